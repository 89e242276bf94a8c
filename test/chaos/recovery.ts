import type { Evidence } from './evidence.js';

/**
 * The longest time, in ms, from a blow until a run that was at work in that moment got any further. Undefined: no blow
 * met a run at work.
 */
export function longestRecovery({ events }: Evidence, blows: readonly number[]): number | undefined {
  const longest = { ms: -1 };
  for (const [index, event] of events.entries()) {
    if (event.state !== 'planning' && event.state !== 'applying') continue;
    const next = events.slice(index + 1).find(({ run }) => run === event.run);
    if (!next) continue;
    for (const at of blows) if (at >= event.at && at < next.at) longest.ms = Math.max(longest.ms, next.at - at);
  }
  return longest.ms < 0 ? undefined : longest.ms;
}
