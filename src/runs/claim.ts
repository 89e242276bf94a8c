import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { StageJob } from '../queue/outbox.js';
import { nextRunOf } from './next.js';
import { findRun } from './store.js';
import { RunMovedOn, transition } from './transition.js';

/** How long a worker may be silent before its runs are in doubt, in seconds. It renews three times in that time. */
export const LEASE_SECONDS = 90;

const UNIQUE_VIOLATION = '23505';

/**
 * Starts a stage for a worker, or yields undefined when the record says that it may not start (any more): another run
 * holds the workspace, an older one is pending, the run has moved on, somebody else was quicker.
 */
export async function claimStage(db: Db, job: StageJob, worker: string): Promise<Run | undefined> {
  try {
    return await db.transaction().execute(async (tx) => {
      const run = await findRun(tx, job.run);
      if (run.attempt !== job.attempt) return undefined;
      const lease = { lease_until: sql<Date>`now() + make_interval(secs => ${LEASE_SECONDS})` };
      if (job.stage === 'plan') {
        if (run.state !== 'pending') return undefined;
        return transition(
          tx,
          run,
          'plan_started',
          { worker },
          {
            columns: { ...lease, attempt: run.attempt + 1 },
            condition: (eb) =>
              eb.or([eb('speculative', '=', true), eb('id', '=', sql<string>`(${nextRunOf(run.workspace_id)})`)]),
          },
        );
      }
      if (run.state !== 'confirmed') return undefined;
      if (run.pull_request !== null) await holdForPullRequest(tx, run);
      return transition(tx, run, 'apply_started', { worker }, { columns: lease });
    });
  } catch (error) {
    if (error instanceof RunMovedOn || isUniqueViolation(error)) return undefined;
    throw error;
  }
}

/**
 * From here on the infrastructure may be what the pull request says, while its branch isn't merged: until it is, a run
 * of a commit without it would plan its reversal.
 */
async function holdForPullRequest(tx: Tx, run: Run): Promise<void> {
  await tx
    .updateTable('workspaces')
    .set({ held_pull_request: run.pull_request, held_head_sha: run.commit_sha })
    .where('id', '=', run.workspace_id)
    .execute();
}

/** Says that the worker still lives. Yields false when the run isn't this worker's any more. */
export async function renewLease(db: Db, run: string, worker: string): Promise<boolean> {
  const renewed = await db
    .updateTable('runs')
    .set({ lease_until: sql`now() + make_interval(secs => ${LEASE_SECONDS})` })
    .where('id', '=', run)
    .where('worker', '=', worker)
    .where('state', 'in', ['planning', 'applying'])
    .returning('id')
    .executeTakeFirst();
  return renewed !== undefined;
}

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION;
}
