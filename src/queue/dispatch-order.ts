import type { StageJob } from './outbox.js';

/** The time that counts, in ms: coarse, so that what is waiting is in the order of its kinds. */
const UNIT_MS = 5 * 60_000;
/** BullMQ has priorities below 2^21: five minutes each, from here on, last for 19 years. */
const BEGINNING = Date.UTC(2026, 0, 1);
const LAST = 2 ** 21 - 1;

/** By how many units a stage lets those go first that come after it, and are of a kind before its own. */
const HANDICAP = { apply: 0, plan: 3, speculative: 6 };

/**
 * Where a stage stands in the dispatch queue: the lower goes first, and of equals who came first. Applies go before plans,
 * and plans before speculative plans, but only for about so long: an apply doesn't overtake a plan that has waited for a
 * quarter of an hour, nor a speculative plan that has for half an hour; a plan doesn't overtake a speculative plan that
 * has for a quarter. So none waits for ever, however many of the others come.
 *
 * `now`: when it began to wait, in ms since 1970.
 */
export function dispatchPriority({ stage, speculative }: StageJob, now: number): number {
  const handicap = HANDICAP[stage === 'apply' ? 'apply' : speculative ? 'speculative' : 'plan'];
  const priority = 1 + Math.floor((now - BEGINNING) / UNIT_MS) + handicap;
  return Math.min(Math.max(priority, 1 + handicap), LAST);
}
