import { sql } from 'kysely';
import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { loadSettings, workspacesOf } from '../workspaces/sync.js';
import type { Outcome } from './apply.js';
import { type Command, parseCommand } from './command.js';
import type { Answer } from './command-request.js';
import { prepareCommand } from './commands.js';
import { findBranch } from './commits.js';
import type { Received } from './handling.js';
import { HELP } from './help.js';
import { mayAdminister, mayWrite } from './permissions.js';
import { fetchPullRequest } from './pull-requests.js';
import { takeSettings } from './settings.js';
import { code, enumerate } from './words.js';

const REASON_HINT = ' If the reason begins with that, put a colon before it: `/lock: the reason`.';

/** A command that is handled later than this is refused: it was meant for another time. */
const MAX_AGE_MINUTES = 10;

/**
 * A comment on a pull request, open or not. Commands by people are answered with a reaction, and with one line where
 * they can't be followed; everything else is conversation.
 */
export async function comment(event: Received<'issue_comment.created'>): Promise<void> {
  const { payload } = event;
  if (!payload.issue.pull_request || payload.comment.user?.type === 'Bot') return;
  const workspaces = await knownWorkspaces(event);
  const command = parseCommand(
    payload.comment.body,
    workspaces.map(({ name }) => name),
  );
  if (!command) return;
  const { db, repository } = event;
  await enqueue(db, { kind: 'reaction', repository: repository.id, comment: payload.comment.id, content: 'eyes' });
  if (command.verb === 'help') {
    return event.commit((tx) => answer(tx, event, { reaction: '+1', body: HELP }));
  }
  const refusal = await refusalOf(event, command, workspaces);
  if (refusal) return event.commit((tx) => answer(tx, event, { reaction: 'confused', body: refusal }));

  const known = command as Command;
  const asked = known.workspaces.length === 0 ? undefined : known.workspaces;
  const followed = await prepareCommand(event, {
    verb: known.verb as Exclude<Command['verb'], 'help'>,
    pullRequest: await fetchPullRequest(event, payload.issue.number),
    workspaces: asked ? workspaces.filter(({ name }) => asked.includes(name)) : workspaces,
    named: asked !== undefined,
    reason: known.reason,
    actor: payload.comment.user?.login ?? payload.sender.login,
    askedAt: new Date(payload.comment.created_at),
    receivedAt: event.receivedAt,
  });
  await event.commit(async (tx) => answer(tx, event, toReply(known.verb, await followed(tx))));
}

/** The workspaces on record; in a repository that never pushed while the App was installed, read for the first time. */
async function knownWorkspaces(event: Received<'issue_comment.created'>): Promise<Workspace[]> {
  const { db, repository } = event;
  const recorded = await workspacesOf(db, repository.id);
  if (recorded.length > 0) return recorded;
  const branch = await findBranch(event, repository.default_branch);
  if (!branch || repository.settings_sha === branch.sha) return [];
  const settings = await loadSettings(db, event.mirrors.of(repository), repository, branch.sha);
  return db.transaction().execute((tx) => takeSettings(tx, settings));
}

async function refusalOf(
  event: Received<'issue_comment.created'>,
  command: NonNullable<ReturnType<typeof parseCommand>>,
  workspaces: Workspace[],
): Promise<string | undefined> {
  const { payload, db } = event;
  const login = payload.comment.user?.login ?? payload.sender.login;
  if (command.verb === 'force-cancel') {
    if (!(await mayAdminister(event, login))) {
      return 'Only people with admin access to this repository may `force-cancel`: ask one of them.';
    }
  } else if (!(await mayWrite(event, login))) {
    return `Only people with write access to this repository may \`${command.verb}\`: ask one of them.`;
  }
  const { rows } = await sql<{ minutes: number }>`
    select extract(epoch from now() - ${payload.comment.created_at}::timestamptz)::float8 / 60 minutes`.execute(db);
  const minutes = rows[0]?.minutes ?? 0;
  if (minutes > MAX_AGE_MINUTES) {
    return `This \`${command.verb}\` reached Signalbox ${Math.floor(minutes)} minutes late, so it wasn't followed: look at the present state, then ask again.`;
  }
  if ('unknown' in command) {
    const names = enumerate(command.unknown.map((name) => code(name)));
    const known = workspaces.length === 0 ? 'none' : enumerate(workspaces.map(({ name }) => code(name)));
    return `There is no workspace ${names} here. The workspaces are: ${known}.${command.verb === 'lock' ? REASON_HINT : ''}`;
  }
  return undefined;
}

/** One line where the reasons are the same, else a line each. What nobody named and made no sense isn't mentioned. */
function toReply(verb: string, result: Answer): Reply {
  if ('refused' in result) return { reaction: 'confused', body: result.refused };
  const refused = result.outcomes.filter((outcome): outcome is Outcome & { done: false } => !outcome.done);
  const done = result.outcomes.length - refused.length;
  const why = result.named || done === 0 ? reasons(refused) : undefined;
  const finished = verb === 'apply' || verb === 'plan' ? 'rocket' : '+1';
  const body = [...(result.told ?? []), why].filter(Boolean).join('\n\n');
  return { reaction: done > 0 ? finished : 'confused', body: body === '' ? undefined : body };
}

function reasons(refused: readonly { workspace: string; reason: string }[]): string | undefined {
  const byReason = new Map<string, string[]>();
  for (const { workspace, reason } of refused) {
    byReason.set(reason, [...(byReason.get(reason) ?? []), code(workspace)]);
  }
  const lines = [...byReason].map(([reason, names]) => `${several(names)} ${reason}.`);
  if (lines.length < 2) return lines[0];
  return lines.map((line) => `- ${line}`).join('\n');
}

function several(names: string[]): string {
  if (names.length === 1) return enumerate(names);
  const shown = names.length > 5 ? [...names.slice(0, 5), `${names.length - 5} others`] : names;
  return `${enumerate(shown)}: each`;
}

interface Reply {
  reaction: 'rocket' | '+1' | 'confused';
  body: string | undefined;
}

async function answer(tx: Tx, { payload, repository }: Received<'issue_comment.created'>, { reaction, body }: Reply) {
  const { id } = payload.comment;
  await enqueue(tx, { kind: 'reaction', repository: repository.id, comment: id, content: reaction });
  if (body === undefined) return;
  await enqueue(tx, { kind: 'reply', repository: repository.id, number: payload.issue.number, key: String(id), body });
}
