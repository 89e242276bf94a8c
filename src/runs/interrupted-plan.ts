import { sql } from 'kysely';
import type { Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { addEvent, RunMovedOn, reportsOf, transition } from './transition.js';

/** A plan that dies is made again twice: what kills it three times is likely the plan itself. */
const MOST_ATTEMPTS = 3;

/**
 * A plan died: its worker, its Terraform or their machine. It is queued again, for whichever worker is free, or ends the run
 * after the third time. Nothing was changed by it. `why` is a sentence. The caller holds the run's row. Throws RunMovedOn.
 */
export async function planDied(tx: Tx, run: Run, why: string): Promise<Run> {
  if (run.state !== 'planning') throw new RunMovedOn(run.id);
  if (run.cancel_requested_at !== null) {
    return transition(tx, run, 'canceled', {}, { actor: run.cancel_requested_by ?? undefined, detail: why });
  }
  if (run.attempt >= MOST_ATTEMPTS) {
    return transition(tx, run, 'plan_failed', { error: `The plan died ${run.attempt} times. ${why}` });
  }
  // Revoked first: should something of it still live somewhere, it can't touch the state any more.
  const waiting = await tx
    .updateTable('runs')
    .set({ worker_id: null, work_directory: null, state_revoked_at: sql`now()` })
    .where('id', '=', run.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await addEvent(tx, waiting, 'plan_died', { detail: why });
  const { id, workspace_id: workspace, speculative, attempt } = waiting;
  await enqueue(tx, ...reportsOf(waiting), {
    kind: 'job',
    job: { run: id, workspace, speculative, stage: 'plan', attempt },
  });
  return waiting;
}
