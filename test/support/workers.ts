import type { Db } from '../../src/db/pool.js';
import type { ClaimingWorker } from '../../src/runs/claim.js';

/** A worker on record, as if it had just started. */
export async function registeredWorker(db: Db, name: string): Promise<ClaimingWorker> {
  const worker = { id: `worker-${name}`, name, process: 'p' };
  await db
    .insertInto('workers')
    .values({ ...worker, slots: 4 })
    .onConflict((conflict) => conflict.column('id').doNothing())
    .execute();
  return worker;
}
