const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 30_000;

/** How far apart two reports of something that has been under way for `elapsed` ms are: from 2 s, growing to 30 s. */
export function pauseBetweenReports(elapsed: number): number {
  return Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, elapsed / 4));
}
