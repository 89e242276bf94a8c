import { RetryLater } from '../queue/outbox-pump.js';

const MINUTE_MS = 60_000;

/** Share of the budget that what isn't final may use: the rest is kept for what is. */
const INTERMEDIATE_SHARE = 0.75;

/**
 * What GitHub lets an installation write. At most `perMinute` writes in any 60 s, whenever one begins to count; after a
 * refusal because of a rate limit, nothing at all until GitHub's time is up. Each process counts its own.
 */
export class Budget {
  readonly #perMinute: number;
  readonly #now: () => number;
  /** By installation: when each write of the last minute was sent, oldest first. */
  readonly #writes = new Map<number, number[]>();
  readonly #closedUntil = new Map<number, number>();

  /** `now` yields milliseconds of any clock that only goes forward. */
  constructor(perMinute: number, now: () => number = () => performance.now()) {
    this.#perMinute = perMinute;
    this.#now = now;
  }

  /** Before any request. Throws RetryLater. */
  enter(installation: number): void {
    const wait = (this.#closedUntil.get(installation) ?? 0) - this.#now();
    if (wait > 0) throw new RetryLater(wait, 'GitHub asked for a pause');
  }

  /** Before a write; it counts from here. `final`: what it says is going to stay. Throws RetryLater. */
  spend(installation: number, final: boolean): void {
    this.enter(installation);
    const now = this.#now();
    const writes = (this.#writes.get(installation) ?? []).filter((at) => at > now - MINUTE_MS);
    this.#writes.set(installation, writes);
    const most = final ? this.#perMinute : Math.max(1, Math.floor(this.#perMinute * INTERMEDIATE_SHARE));
    const excess = writes.length - most;
    if (excess >= 0) {
      const wait = (writes[excess] ?? now) + MINUTE_MS - now;
      throw new RetryLater(Math.max(1, wait), `${most} writes a minute are what GitHub is asked for at most`);
    }
    writes.push(now);
  }

  /** GitHub asked for a pause, in ms. */
  close(installation: number, ms: number): void {
    this.#closedUntil.set(installation, Math.max(this.#closedUntil.get(installation) ?? 0, this.#now() + ms));
  }
}

const FIRST_PAUSE_MS = 2_000;
const LONGEST_PAUSE_MS = 30_000;

/** How far apart two reports of something that has been under way for `elapsed` ms are: from 2 s, growing to 30 s. */
export function pauseBetweenReports(elapsed: number): number {
  return Math.min(LONGEST_PAUSE_MS, Math.max(FIRST_PAUSE_MS, elapsed / 4));
}
