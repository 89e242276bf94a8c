import type { Db } from '../db/pool.js';
import type { Run } from '../db/schema.js';

/** The runs that the record says this worker is at. */
export async function heldRuns(db: Db, worker: string): Promise<Run[]> {
  return db
    .selectFrom('runs')
    .selectAll()
    .where('worker_id', '=', worker)
    .where('state', 'in', ['planning', 'applying'])
    .orderBy('sequence')
    .execute();
}
