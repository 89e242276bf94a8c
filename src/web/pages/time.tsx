import { relativeTime } from '../browser/relative-time.js';

/** '2026-11-24 09:02:11 UTC'. */
export function exactTime(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** Relative, with the exact time on hover. */
export function Time({ at, now }: { at: Date; now: Date }) {
  return (
    <time datetime={at.toISOString()} title={exactTime(at)}>
      {relativeTime(at, now)}
    </time>
  );
}
