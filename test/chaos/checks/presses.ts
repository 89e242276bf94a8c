import type { Check } from '../evidence.js';

/** Whoever pressed a button moved the run, queued one, or was told on the check run why not. */
export const pressesHaveEffects: Check = ({ presses, events, runs }) =>
  presses.flatMap(({ run, button, by, at }) => {
    const told = events.some((event) => {
      if (event.actor !== by || event.run !== run || event.at < at - CLOCKS_MS) return false;
      return ['confirmed', 'discarded', 'refused'].includes(event.type);
    });
    const queued = runs.some((each) => each.reviewedRun === run && each.actor === by);
    return told || queued ? [] : [`${by} pressed ${button} on ${run}, and nothing came of it`];
  });

/** The record's clock and the harness' are one machine's, but rounded differently. */
const CLOCKS_MS = 5;
