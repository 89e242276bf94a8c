import type { Db, Tx } from '../db/pool.js';
import type { Repository, Run, RunEvent } from '../db/schema.js';
import { lockQueue } from './next.js';

export async function findRun(db: Db | Tx, id: string): Promise<Run> {
  return db.selectFrom('runs').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
}

/** Undefined where there is no such run. */
export async function findRunAndRepository(
  db: Db,
  id: string,
): Promise<{ run: Run; repository: Repository } | undefined> {
  if (id.includes('\0')) return undefined;
  const run = await db.selectFrom('runs').selectAll().where('id', '=', id).executeTakeFirst();
  if (!run) return undefined;
  const repository = await db
    .selectFrom('repositories')
    .selectAll()
    .where('id', '=', run.repository_id)
    .executeTakeFirstOrThrow();
  return { run, repository };
}

/** The run as it is now, and as it stays until the transaction ends; the queue of its workspace is locked before. */
export async function lockRun(tx: Tx, id: string): Promise<Run> {
  const { workspace_id, speculative } = await findRun(tx, id);
  if (!speculative) await lockQueue(tx, workspace_id);
  return tx.selectFrom('runs').selectAll().where('id', '=', id).forNoKeyUpdate().executeTakeFirstOrThrow();
}

export async function timelineOf(db: Db | Tx, run: string): Promise<RunEvent[]> {
  return db.selectFrom('run_events').selectAll().where('run_id', '=', run).orderBy('id').execute();
}

/** Ids of a pull request's plans that could be applied while they were of its head. */
export async function plannedRunsOf(db: Db | Tx, repository: number, pullRequest: number): Promise<string[]> {
  const runs = await db
    .selectFrom('runs')
    .select('id')
    .where('repository_id', '=', repository)
    .where('pull_request', '=', pullRequest)
    .where('state', '=', 'planned')
    .execute();
  return runs.map(({ id }) => id);
}

/** Unfinished runs of a pull request, oldest first. */
export async function unfinishedRunsOf(db: Db | Tx, repository: number, pullRequest: number): Promise<Run[]> {
  return db
    .selectFrom('runs')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('pull_request', '=', pullRequest)
    .where('ended_at', 'is', null)
    .orderBy('sequence')
    .execute();
}
