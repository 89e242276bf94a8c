import { RANK, type Rank } from '../queue/effect-order.js';
import type { Closure, Gate } from '../queue/gate.js';
import { GateClosed } from '../queue/outbox-pump.js';
import type { Verdict } from './budget.js';
import type { RateLimit } from './rate-limit.js';

/** So many failures in a row, without an answer between, are not one report's fault. */
const MANY_FAILURES = 2;

/** How long one call after the other asks whether GitHub is back, in ms: twice as long each time, up to the longest. */
const FIRST_PROBE_MS = 1_000;
const LONGEST_PROBE_MS = 15_000;

/** When less than this share of GitHub's own limit is left, progress is no longer told, and the rest goes slowly. */
const MARGIN = 0.2;
const SLOWEST_MS = 60_000;

/** How long an installation where one delivery at a time is let in is left alone, in ms: its end wakes us before. */
const ONE_AT_A_TIME_MS = 5_000;

/** After an outage that was shorter, what failed is soon tried again by itself, in ms. */
const SHORT_OUTAGE_MS = 5_000;

type Asked = 'read' | 'write';

interface Installation {
  /** GitHub asked for silence until then. */
  silentUntil: number;
  /** By rank: when the budget has room for it again. */
  closedUntil: Map<number, number>;
  /** Little is left of the budget: what one report takes is known before the next one begins. */
  short: boolean;
  inFlight: number;
  failures: number;
  /** What failed last. That GitHub can be read says nothing of whether it can be written. */
  failed: Asked;
  away?: { since: number; probeAt: number; probes: number } | undefined;
  /** Whether it has answered since this process started. */
  answered: boolean;
  rate?: RateLimit | undefined;
}

export interface InstallationGateOptions {
  /** GitHub fails for this installation, and goes on failing: told of each probe. */
  onAway?: (installation: number, error: unknown) => void;
  /** It answers: for the first time, or after it was away. `long`: what has failed shouldn't wait any longer. */
  onBack?: (installation: number, how: { wasAway: boolean; long: boolean }) => void;
  /** Milliseconds of any clock that only goes forward. */
  now?: () => number;
}

/**
 * When GitHub may be asked, installation by installation, as far as this process knows. The budget, GitHub's own limits
 * and its failures close it. While GitHub is away, one delivery at a time tries whether it is back.
 */
export class InstallationGate implements Gate {
  readonly #installations = new Map<number, Installation>();
  readonly #listeners = new Set<() => void>();
  readonly #onAway: NonNullable<InstallationGateOptions['onAway']>;
  readonly #onBack: NonNullable<InstallationGateOptions['onBack']>;
  readonly #now: () => number;

  constructor({ onAway, onBack, now }: InstallationGateOptions = {}) {
    this.#onAway = onAway ?? (() => undefined);
    this.#onBack = onBack ?? (() => undefined);
    this.#now = now ?? (() => performance.now());
  }

  onOpen(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  closures(): Closure[] {
    return [...this.#installations].flatMap(([lane, installation]) =>
      this.#closuresOf(installation).map((closure) => ({ lane, ...closure })),
    );
  }

  enter(lane: number, rank: number): boolean {
    const installation = this.#at(lane);
    if (this.#closuresOf(installation).some((closure) => closure.rank <= rank)) return false;
    installation.inFlight += 1;
    return true;
  }

  leave(lane: number): void {
    const installation = this.#at(lane);
    installation.inFlight -= 1;
    if (installation.short || installation.away) this.#open();
  }

  /** Before any request. Throws GateClosed while GitHub wants silence. */
  check(id: number): void {
    const ms = this.#at(id).silentUntil - this.#now();
    if (ms > 0) throw new GateClosed(ms, 'GitHub asked for a pause', RANK.free);
  }

  /** GitHub asked for a pause, in ms. */
  silence(id: number, ms: number): void {
    const installation = this.#at(id);
    installation.silentUntil = Math.max(installation.silentUntil, this.#now() + ms);
  }

  /** What the budget said to a write of this rank. */
  judged(id: number, rank: Rank, { next, ample }: Verdict): void {
    const installation = this.#at(id);
    installation.short = !ample;
    if (next > 0) this.#close(installation, rank, next);
  }

  /** What GitHub said last of its own limit. */
  rateOf(id: number): RateLimit | undefined {
    return this.#at(id).rate;
  }

  /** Any answer of GitHub's tells how much is left. Of answers that overtook each other the least counts. */
  count(id: number, rate: RateLimit): void {
    const installation = this.#at(id);
    const known = installation.rate;
    const same = known && Math.abs(known.reset.getTime() - rate.reset.getTime()) < 60_000;
    if (same && known.remaining < rate.remaining) return;
    installation.rate = rate;
    const left = Math.max(0, rate.reset.getTime() - Date.now());
    if (rate.remaining === 0) {
      this.silence(id, left);
    } else if (rate.remaining < rate.limit * MARGIN) {
      this.#close(installation, RANK.progress, left);
      this.#close(installation, RANK.verdict, Math.min(SLOWEST_MS, left / rate.remaining));
    }
  }

  /** GitHub answered: it is there. */
  answered(id: number, asked: Asked): void {
    const installation = this.#at(id);
    const { away, answered } = installation;
    if (installation.failures > 0 && installation.failed === 'write' && asked === 'read') return;
    Object.assign(installation, { failures: 0, away: undefined, answered: true });
    if (answered && !away) return;
    const long = away !== undefined && this.#now() - away.since >= SHORT_OUTAGE_MS;
    this.#onBack(id, { wasAway: away !== undefined, long });
    this.#open();
  }

  /** GitHub didn't answer, or answered that it can't, or that there is no such thing. */
  failed(id: number, asked: Asked, error: unknown): void {
    const installation = this.#at(id);
    installation.failures += 1;
    installation.failed = asked;
    if (installation.failures < MANY_FAILURES) return;
    const now = this.#now();
    const { since, probeAt, probes } = installation.away ?? { since: now, probeAt: now, probes: 0 };
    // What had begun before GitHub went away fails all at once: that is one failure.
    if (now < probeAt) return;
    const pause = Math.min(FIRST_PROBE_MS * 2 ** probes, LONGEST_PROBE_MS);
    installation.away = { since, probeAt: now + pause, probes: probes + 1 };
    this.#onAway(id, error);
  }

  #closuresOf({ silentUntil, closedUntil, short, inFlight, away }: Installation): Omit<Closure, 'lane'>[] {
    const now = this.#now();
    const found: Omit<Closure, 'lane'>[] = [];
    const add = (rank: number, ms: number) => {
      if (ms > 0) found.push({ rank, ms });
    };
    add(RANK.free, silentUntil - now);
    if (away) add(RANK.free, away.probeAt > now || inFlight === 0 ? away.probeAt - now : ONE_AT_A_TIME_MS);
    if (short && inFlight > 0) add(RANK.answer, ONE_AT_A_TIME_MS);
    for (const [rank, until] of closedUntil) add(rank, until - now);
    return found;
  }

  #close(installation: Installation, rank: number, ms: number): void {
    const until = this.#now() + ms;
    installation.closedUntil.set(rank, Math.max(installation.closedUntil.get(rank) ?? 0, until));
  }

  #open(): void {
    for (const listener of this.#listeners) listener();
  }

  #at(id: number): Installation {
    let found = this.#installations.get(id);
    if (!found) {
      found = {
        silentUntil: 0,
        closedUntil: new Map(),
        short: false,
        inFlight: 0,
        failures: 0,
        failed: 'read',
        answered: false,
      };
      this.#installations.set(id, found);
    }
    return found;
  }
}
