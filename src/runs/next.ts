import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import { enqueue } from '../queue/outbox.js';

/**
 * Which pending run of a workspace is next: the oldest of those that needn't wait for a pull request which was applied
 * but isn't merged yet. Yields no row when the workspace has none, or is locked.
 */
export function nextRunOf(workspace: number | ReturnType<typeof sql.ref>) {
  return sql<{ id: string }>`
    select pending.id from runs pending join workspaces held on held.id = pending.workspace_id
    where pending.workspace_id = ${workspace} and pending.state = 'pending' and not pending.speculative and held.locked_at is null
      and (held.held_pull_request is null or pending.pull_request = held.held_pull_request or pending.clears_hold)
    order by pending.sequence limit 1`;
}

/**
 * Makes whoever else creates or ends a run of the workspace wait until the transaction ends. Without it a run that is
 * created while another ends may be seen by neither, and wait for the reconciler. Whoever locks runs of the workspace
 * too locks its queue first: this is the one order.
 */
export async function lockQueue(tx: Tx, workspace: number): Promise<void> {
  await sql`select from workspaces where id = ${workspace} for no key update`.execute(tx);
}

/** Queues the plan of the workspace's next run if nothing holds the workspace. The claim decides again. */
export async function enqueueNextRun(tx: Db | Tx, workspace: number): Promise<void> {
  const { rows } = await sql<{ id: string; attempt: number }>`
    select next.id, runs.attempt from (${nextRunOf(workspace)}) next join runs on runs.id = next.id
    where not exists (select from runs holding where holding.workspace_id = ${workspace} and not holding.speculative
      and holding.state in ('planning', 'needs_confirmation', 'confirmed', 'applying'))`.execute(tx);
  for (const run of rows) {
    await enqueue(tx, {
      kind: 'job',
      job: { run: run.id, workspace, speculative: false, stage: 'plan', attempt: run.attempt },
    });
  }
}
