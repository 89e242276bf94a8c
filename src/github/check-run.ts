import type { Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { discardRun } from '../runs/actions.js';
import { addEvent } from '../runs/transition.js';
import { type Press, prepareConfirm, refusalOf } from './confirm.js';
import type { Received, RepositoryScope } from './handling.js';
import { mayWrite } from './permissions.js';

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
  return prepareConfirm(event, run, { trigger: 'button', actor, receivedAt: event.receivedAt });
}
