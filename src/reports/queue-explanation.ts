import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { RunState } from '../runs/machine.js';

/** Why a pending run doesn't start yet. */
export interface QueueExplanation {
  /** Pending runs of the workspace that were queued earlier. */
  ahead: number;
  /** The run that holds the workspace, or else the oldest pending one that is to start before this. */
  waitsFor?: { run: string; state: RunState; since: Date; githubId: number | undefined };
  /** Applied, not merged yet: only its own runs and those that contain it may go on. */
  heldFor?: { pullRequest: number };
}

/** What a pending run waits for. Neither a run nor a pull request: a worker with a free slot. */
export async function explainQueue(db: Db, run: Run): Promise<QueueExplanation> {
  if (run.speculative) return { ahead: 0 };
  const { rows } = await sql<{
    id: string;
    state: RunState;
    since: Date;
    github_id: number | null;
    ahead: number;
  }>`
    select other.id, other.state, coalesce(event.at, other.created_at) since, shown.github_id,
      (select count(*) from runs older where older.workspace_id = ${run.workspace_id} and not older.speculative
        and older.state = 'pending' and older.sequence < ${run.sequence}) ahead
    from runs other
      join workspaces held on held.id = other.workspace_id
      left join lateral (select at from run_events where run_id = other.id and state = other.state
        and type not in ('refused', 'cancel_requested') order by id desc limit 1) event on true
      left join lateral (select github_id from check_runs where run_id = other.id order by id desc limit 1) shown on true
    where other.workspace_id = ${run.workspace_id} and not other.speculative and other.id <> ${run.id}
      and (other.state in ('planning', 'needs_confirmation', 'confirmed', 'applying')
        or (other.state = 'pending' and other.sequence < ${run.sequence} and (held.held_pull_request is null
          or other.pull_request = held.held_pull_request or other.clears_hold)))
    order by other.state = 'pending', other.sequence limit 1`.execute(db);
  const workspace = await db
    .selectFrom('workspaces')
    .select('held_pull_request')
    .where('id', '=', run.workspace_id)
    .executeTakeFirstOrThrow();

  const held = workspace.held_pull_request;
  const first = rows[0];
  return {
    ahead: first ? first.ahead : 0,
    ...(first && {
      waitsFor: { run: first.id, state: first.state, since: first.since, githubId: first.github_id ?? undefined },
    }),
    ...(held !== null && held !== run.pull_request && !run.clears_hold && { heldFor: { pullRequest: held } }),
  };
}
