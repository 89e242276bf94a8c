import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { StageJob } from '../queue/outbox.js';
import { nextRunOf } from './next.js';
import { findRun } from './store.js';
import { RunMovedOn, transition } from './transition.js';

/** A worker as the record knows it (table `workers`). */
export interface ClaimingWorker {
  id: string;
  /** WORKER_NAME. */
  name: string;
  /** The worker's present process: what an earlier one asks for late is refused. */
  process: string;
}

const UNIQUE_VIOLATION = '23505';

/**
 * Starts a stage for a worker, or yields undefined when the record says that it may not start (any more): another run
 * holds the workspace, an older one is pending, the run has moved on, somebody else was quicker, the worker was declared
 * lost.
 */
export async function claimStage(db: Db, job: StageJob, worker: ClaimingWorker): Promise<Run | undefined> {
  try {
    return await db.transaction().execute(async (tx) => {
      const run = await findRun(tx, job.run);
      if (run.attempt !== job.attempt || !(await isPresent(tx, worker))) return undefined;
      return job.stage === 'plan' ? claimPlan(tx, run, worker) : claimApply(tx, run, worker);
    });
  } catch (error) {
    if (error instanceof RunMovedOn || isUniqueViolation(error)) return undefined;
    throw error;
  }
}

/** A first attempt at a plan, or another one after the first one's worker, or its Terraform, has died. */
async function claimPlan(tx: Tx, run: Run, { id, name: worker }: ClaimingWorker): Promise<Run | undefined> {
  // What an earlier attempt had of credentials for state has no value any more.
  const columns = { worker_id: id, attempt: run.attempt + 1, state_token_hash: null, state_revoked_at: null };
  if (run.state === 'planning' && run.worker_id === null) {
    return transition(
      tx,
      run,
      'plan_restarted',
      { worker },
      { columns, condition: (eb) => eb.and([eb('worker_id', 'is', null), eb('attempt', '=', run.attempt)]) },
    );
  }
  if (run.state !== 'pending') return undefined;
  return transition(
    tx,
    run,
    'plan_started',
    { worker },
    {
      columns,
      condition: (eb) =>
        eb.or([eb('speculative', '=', true), eb('id', '=', sql<string>`(${nextRunOf(run.workspace_id)})`)]),
    },
  );
}

async function claimApply(tx: Tx, run: Run, { id, name: worker }: ClaimingWorker): Promise<Run | undefined> {
  if (run.state !== 'confirmed') return undefined;
  if (run.pull_request !== null) await holdForPullRequest(tx, run);
  return transition(tx, run, 'apply_started', { worker }, { columns: { worker_id: id } });
}

/** Whoever declares the worker lost waits for this transaction, or this one waits and sees that it was. */
async function isPresent(tx: Tx, { id, process }: ClaimingWorker): Promise<boolean> {
  const row = await tx
    .selectFrom('workers')
    .select('id')
    .where('id', '=', id)
    .where('process', '=', process)
    .where('lost_at', 'is', null)
    .forShare()
    .executeTakeFirst();
  return row !== undefined;
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

function isUniqueViolation(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === UNIQUE_VIOLATION;
}
