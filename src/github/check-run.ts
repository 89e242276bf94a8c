import type { Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { type ActionResult, confirmRun, discardRun, whatBecameOf } from '../runs/actions.js';
import { addEvent } from '../runs/transition.js';
import { applyWorkspace, type Outcome } from './apply.js';
import type { Received, RepositoryScope } from './handling.js';
import { mayWrite } from './permissions.js';
import { fetchPullRequest } from './pull-requests.js';
import { unmetRequirements } from './requirements.js';
import { shortSha } from './words.js';

/** What a button does, within a transaction. A reason: it does nothing. */
type Press = (tx: Tx) => Promise<string | undefined>;

const MAX_AGE_MS = 10 * 60_000;

/** A button on one of our check runs: Apply or Discard. Whoever presses is checked as a commenter is. */
export async function button(event: Received<'check_run.requested_action'>): Promise<void> {
  const { payload } = event;
  if (payload.check_run.app?.id !== event.appId) return;
  const action = payload.requested_action?.identifier;
  const run = await runOfCheck(event, payload.check_run);
  if (!run || (action !== 'apply' && action !== 'discard')) return;
  const press = await prepare(event, run, action, payload.sender.login);
  await event.commit(async (tx) => {
    const refusal = await press(tx);
    if (refusal !== undefined) await refuse(tx, run, payload.sender.login, refusal);
  });
}

/** The run that one of our check runs shows, by its `external_id`: `<run>/<stage>/<attempt>`. */
export async function runOfCheck(
  { db, repository }: Pick<RepositoryScope, 'db' | 'repository'>,
  check: { external_id: string | null; head_sha: string },
): Promise<Run | undefined> {
  const id = /^(run-\w+)\/(plan|apply)\/\d+$/.exec(check.external_id ?? '')?.[1];
  if (id === undefined) return undefined;
  return db
    .selectFrom('runs')
    .selectAll()
    .where('id', '=', id)
    .where('repository_id', '=', repository.id)
    .where('commit_sha', '=', check.head_sha)
    .executeTakeFirst();
}

/** A button has no way to answer but a line in its check run. The run itself doesn't change. */
export async function refuse(tx: Tx, run: Run, actor: string, reason: string): Promise<void> {
  await addEvent(tx, run, 'refused', { actor, detail: reason.replaceAll('`', "'") });
  await enqueue(tx, { kind: 'run_report', run: run.id });
}

async function prepare(
  event: Received<'check_run.requested_action'>,
  run: Run,
  action: 'apply' | 'discard',
  actor: string,
): Promise<Press> {
  if (!(await mayWrite(event, actor))) {
    return async () => `Only people with write access to this repository may ${action}.`;
  }
  if (Date.now() - event.receivedAt.getTime() > MAX_AGE_MS) {
    return async () => `This ${action} was handled more than ten minutes late, so it wasn't followed: press again.`;
  }
  if (action === 'discard')
    return async (tx) => refusalOf(await discardRun(tx, run, 'It was discarded by the button.', actor));
  if (run.pull_request === null && !run.speculative) {
    return async (tx) => refusalOf(await confirmRun(tx, run, actor));
  }
  return prepareApply(event, run, actor);
}

async function prepareApply(event: Received<'check_run.requested_action'>, run: Run, actor: string): Promise<Press> {
  if (run.pull_request === null) return async () => "A merge queue's plan is applied by its merge.";
  const pullRequest = await fetchPullRequest(event, run.pull_request);
  const { number, state, head_sha } = pullRequest;
  if (state !== 'open') return async () => `#${number} is ${state}: its plans can't be applied any more.`;
  if (head_sha !== run.commit_sha) {
    return async () => `The head of #${number} moved on from ${shortSha(run.commit_sha)} to ${shortSha(head_sha)}.`;
  }
  const workspace = await event.db
    .selectFrom('workspaces')
    .selectAll()
    .where('id', '=', run.workspace_id)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  if (!workspace) return async () => `There is no workspace ${run.settings.name} any more.`;
  const unmet = await unmetRequirements(event, pullRequest, new Set(workspace.apply_requirements));
  return async (tx) => {
    const stale = await whatReplaced(tx, run);
    if (stale) return stale;
    const { receivedAt } = event;
    const request = { pullRequest, trigger: 'button' as const, actor, askedAt: undefined, receivedAt, unmet };
    return sentence(await applyWorkspace(tx, request, workspace));
  };
}

/** The plan whose button was pressed must be the one that would be approved: the newest of its kind. */
async function whatReplaced(tx: Tx, run: Run): Promise<string | undefined> {
  const newest = await tx
    .selectFrom('runs')
    .selectAll()
    .where('workspace_id', '=', run.workspace_id)
    .where('pull_request', '=', run.pull_request)
    .where('speculative', '=', run.speculative)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
  if (newest.id !== run.id) return `This plan was replaced by that of ${newest.id}.`;
  return newest.speculative || newest.state === 'needs_confirmation' ? undefined : capital(whatBecameOf(newest));
}

function refusalOf(result: ActionResult): string | undefined {
  return result.done ? undefined : capital(result.reason);
}

function sentence(outcome: Outcome): string | undefined {
  return outcome.done ? undefined : `${outcome.workspace} ${outcome.reason}.`;
}

function capital(reason: string): string {
  return `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}.`;
}
