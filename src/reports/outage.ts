import type { RunEvent } from '../db/schema.js';

/** What a run that is under way waits for outside of Signalbox, in a sentence or two; undefined when it waits for nothing. */
export function outageOf(timeline: readonly RunEvent[]): string | undefined {
  const last = timeline.findLast(({ type }) => !['refused', 'cancel_requested', 'comment'].includes(type));
  return last?.type === 'waiting' ? (last.detail ?? undefined) : undefined;
}
