import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { planDied } from '../runs/interrupted-plan.js';
import { lockRun } from '../runs/store.js';
import { transition } from '../runs/transition.js';
import type { SavedState } from '../state/saved-state.js';
import { lockForDanger } from '../workspaces/lock.js';

export interface LostWorker {
  id: string;
  /** WORKER_NAME: its host, mostly. */
  name: string;
  /** Without a sign of life for so long, in seconds. */
  silent: number;
}

/** Workers that were to be heard of within `seconds`, and weren't, by the database's clock. */
export async function silentWorkers(db: Db, seconds: number): Promise<LostWorker[]> {
  const { rows } = await sql<LostWorker>`
    select id, name, extract(epoch from now() - seen_at)::integer silent from workers
    where stopped_at is null and lost_at is null and seen_at < now() - make_interval(secs => ${seconds})`.execute(db);
  return rows;
}

/**
 * Declares a worker lost, unless it was heard of meanwhile, and takes its runs from it. Their state credentials are revoked
 * in the same transaction, so that a Terraform that still lives there can't write. A plan is made again elsewhere. An apply is
 * over, and its workspace is locked until an admin has made sure that nothing of it runs any more: nobody else can know.
 *
 * @returns the runs as they are then; undefined when the worker isn't lost after all
 */
export async function declareLost(
  db: Db,
  worker: LostWorker,
  seconds: number,
  savedState: SavedState,
): Promise<Run[] | undefined> {
  return db.transaction().execute(async (tx) => {
    const { rows } = await sql`
      update workers set lost_at = now()
      where id = ${worker.id} and stopped_at is null and lost_at is null
        and seen_at < now() - make_interval(secs => ${seconds}) returning id`.execute(tx);
    if (rows.length === 0) return undefined;
    const held = await tx
      .selectFrom('runs')
      .select('id')
      .where('worker_id', '=', worker.id)
      .where('state', 'in', ['planning', 'applying'])
      .orderBy('sequence')
      .execute();
    const runs: Run[] = [];
    for (const { id } of held) {
      const run = await lockRun(tx, id);
      if (run.worker_id !== worker.id) continue;
      if (run.state === 'planning') {
        runs.push(await planDied(tx, run, `Worker ${worker.name} was lost: no sign of life for ${worker.silent} s.`));
      } else if (run.state === 'applying') runs.push(await endLostApply(tx, run, worker, savedState));
    }
    return runs;
  });
}

async function endLostApply(tx: Tx, run: Run, { name, silent }: LostWorker, savedState: SavedState): Promise<Run> {
  const reason = `Worker ${name} was lost while it applied ${run.id}: something of it may still run there. Make sure that no Terraform is left on ${name}, look at what was applied, then unlock.`;
  await lockForDanger(tx, run.workspace_id, { reason, run: run.id });
  const error = `Worker ${name} was lost while it applied: no sign of life for ${silent} s. Its credentials for the state were revoked, and the workspace is locked.`;
  const progress = run.progress && { ...run.progress, unsaved: await savedState.unsaved(tx, run) };
  const columns = progress ? { progress: JSON.stringify(progress) } : {};
  return transition(tx, run, 'apply_failed', { error }, { columns });
}
