import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { isLegal, stateTitle } from './machine.js';
import { findRun, lockRun, timelineOf } from './store.js';
import { addEvent, RunMovedOn, reportsOf, transition } from './transition.js';

/** What became of an action: it was done, or the run is in a state in which it can't be. */
export type ActionResult = { done: true; run: Run } | { done: false; run: Run; reason: string };

/** Confirms a plan that waits for a person. */
export async function confirmRun(tx: Tx, run: Run, actor: string): Promise<ActionResult> {
  if (!isLegal(run, 'confirmed')) return tooLate(tx, run);
  return attempt(tx, run, () => transition(tx, run, 'confirmed', { confirmedBy: actor }, { actor }));
}

/** Discards a run that is pending or waits for a person. `actor` undefined: Signalbox itself. */
export async function discardRun(tx: Tx, run: Run, reason: string, actor?: string): Promise<ActionResult> {
  if (!isLegal(run, 'discarded')) return tooLate(tx, run);
  return attempt(tx, run, () => transition(tx, run, 'discarded', { reason }, { actor }));
}

/**
 * Asks for the end of a plan or apply that is under way: its worker interrupts Terraform and reports the run as
 * canceled when the process is gone. A run that only waits is discarded at once; one that is confirmed but not yet
 * started is canceled at once. What counts is what the run is now, not what it was when it was seen: whoever cancels
 * a plan means the run, also when its plan has ended in that moment. Only Signalbox itself never interrupts an apply
 * that it hadn't seen begin.
 */
export async function cancelRun(tx: Tx, seen: Run, reason: string, actor?: string): Promise<ActionResult> {
  const run = await lockRun(tx, seen.id);
  if (run.state === 'pending' || run.state === 'needs_confirmation') return discardRun(tx, run, reason, actor);
  if (run.state === 'confirmed') {
    return attempt(tx, run, () => transition(tx, run, 'canceled', {}, { actor, detail: reason }));
  }
  if (run.state === 'planning' && run.worker_id === null) {
    // It waits for another attempt: nobody is at work who could be interrupted.
    return attempt(tx, run, () => transition(tx, run, 'canceled', {}, { actor, detail: reason }));
  }
  const begunMeanwhile = run.state === 'applying' && seen.state !== 'applying';
  if (begunMeanwhile && actor === undefined) return tooLate(tx, run);
  if (run.state !== 'planning' && run.state !== 'applying') return tooLate(tx, run);
  if (run.cancel_requested_at !== null) {
    return { done: false, run, reason: `it is being canceled already, as ${run.cancel_requested_by} asked` };
  }
  const asked = await tx
    .updateTable('runs')
    .set({ cancel_requested_at: sql`now()`, cancel_requested_by: actor ?? 'Signalbox' })
    .where('id', '=', run.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await addEvent(tx, asked, 'cancel_requested', { actor, detail: reason });
  await enqueue(tx, ...reportsOf(asked));
  return { done: true, run: asked };
}

/** How long a cancel is given to end by itself before it may be forced, in seconds. Long enough for a cool head. */
export const FORCE_CANCEL_AFTER_SECONDS = 10;

/** From when on a cancel may be forced; undefined while there is none that could be. */
export function forceCancelFrom(
  run: Pick<Run, 'state' | 'cancel_requested_at' | 'force_cancel_requested_at'>,
): Date | undefined {
  const { state, cancel_requested_at: asked, force_cancel_requested_at: forced } = run;
  if ((state !== 'planning' && state !== 'applying') || asked === null || forced !== null) return undefined;
  return new Date(asked.getTime() + FORCE_CANCEL_AFTER_SECONDS * 1_000);
}

/**
 * Asks for a canceled plan or apply to be killed, which may leave the state incomplete. That is refused until a cancel
 * has had time to work, by the database's clock. The worker kills, and reports the run as canceled.
 */
export async function forceCancelRun(tx: Tx, seen: Run, reason: string, actor: string): Promise<ActionResult> {
  const run = await lockRun(tx, seen.id);
  if (run.state !== 'planning' && run.state !== 'applying') return tooLate(tx, run);
  if (run.force_cancel_requested_at !== null) {
    return { done: false, run, reason: `it is being killed already, as ${run.force_cancel_requested_by} asked` };
  }
  if (run.cancel_requested_at === null) {
    return {
      done: false,
      run,
      reason: `it wasn't canceled yet: cancel it first, and force it if that hasn't worked ${FORCE_CANCEL_AFTER_SECONDS} s later`,
    };
  }
  const { rows } = await sql<{ seconds: number }>`
    select extract(epoch from clock_timestamp() - ${run.cancel_requested_at}::timestamptz)::float8 seconds`.execute(tx);
  const seconds = Math.max(0, rows[0]?.seconds ?? 0);
  if (seconds < FORCE_CANCEL_AFTER_SECONDS) {
    const left = Math.ceil(FORCE_CANCEL_AFTER_SECONDS - seconds);
    return {
      done: false,
      run,
      reason: `${run.cancel_requested_by} asked to cancel it only ${Math.floor(seconds)} s ago: give Terraform ${left} s more to end by itself`,
    };
  }
  const asked = await tx
    .updateTable('runs')
    .set({ force_cancel_requested_at: sql`clock_timestamp()`, force_cancel_requested_by: actor })
    .where('id', '=', run.id)
    .returningAll()
    .executeTakeFirstOrThrow();
  await addEvent(tx, asked, 'force_cancel_requested', { actor, detail: reason });
  await enqueue(tx, ...reportsOf(asked));
  return { done: true, run: asked };
}

async function attempt(tx: Tx, run: Run, move: () => Promise<Run>): Promise<ActionResult> {
  try {
    return { done: true, run: await move() };
  } catch (error) {
    if (error instanceof RunMovedOn) return tooLate(tx, run);
    throw error;
  }
}

async function tooLate(tx: Tx, seen: Run): Promise<ActionResult> {
  const run = await findRun(tx, seen.id);
  return { done: false, run, reason: await whatBecameOf(tx, run) };
}

/** The rest of a sentence: 'the run is in state Applied, confirmed by alice'. */
export async function whatBecameOf(db: Db | Tx, run: Run): Promise<string> {
  const present = `the run is in state ${stateTitle(run.state)}`;
  if (run.state === 'discarded' || run.state === 'canceled') {
    const actor = (await timelineOf(db, run.id)).findLast(({ type }) => type === run.state)?.actor;
    return actor ? `${present} (by ${actor})` : present;
  }
  const wasConfirmed = run.state === 'confirmed' || run.state === 'applying' || run.state === 'applied';
  return wasConfirmed ? `${present}, confirmed by ${run.confirmed_by}` : present;
}
