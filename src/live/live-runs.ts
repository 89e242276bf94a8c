import type { Notifications } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import { within } from '../within.js';
import { type OutputPage, readOutputPage } from './output-page.js';
import type { Position } from './position.js';
import { WatchedRun } from './watched-run.js';

/** How often a watched run is looked at though nobody said that it changed, in ms: wake-ups may be lost. */
const LOOK_MS = 3_000;
/** How long an answer of the record's is waited for, in ms: from one that hangs none comes, and no error either. */
const PATIENCE_MS = 10_000;

export interface LiveRunsOptions {
  db: Db;
  notifications: Notifications;
  /** In ms; see the constants. */
  lookMs?: number;
  patienceMs?: number;
}

/**
 * The runs that somebody watches in this process. However many watch one, it is read once at each change: whoever is at
 * the same place waits for the same page. Nothing is kept for a viewer who is slow: it reads on from where it is.
 */
export class LiveRuns {
  readonly #db: Db;
  readonly #patienceMs: number;
  readonly #watched = new Map<string, WatchedRun>();
  readonly #stopListening: (() => void)[];
  readonly #timer: NodeJS.Timeout;

  constructor({ db, notifications, lookMs = LOOK_MS, patienceMs = PATIENCE_MS }: LiveRunsOptions) {
    this.#db = db;
    this.#patienceMs = patienceMs;
    this.#stopListening = (['outputs', 'runs'] as const).map((topic) =>
      notifications.on(topic, (run) => (run === '' ? this.#lookAtAll() : this.#watched.get(run)?.changed(topic))),
    );
    this.#timer = setInterval(() => this.#lookAtAll(), lookMs).unref();
  }

  /** Runs that are watched now. */
  get size(): number {
    return this.#watched.size;
  }

  /** Watches a run until `leave`. */
  join(run: string): { run: WatchedRun; leave: () => void } {
    const known = this.#watched.get(run);
    const watched = known ?? new WatchedRun((from) => this.#read(run, from), this.#patienceMs);
    if (!known) this.#watched.set(run, watched);
    watched.viewers += 1;
    let left = false;
    return {
      run: watched,
      leave: () => {
        if (left) return;
        left = true;
        watched.viewers -= 1;
        if (watched.viewers === 0) this.#watched.delete(run);
      },
    };
  }

  close(): void {
    clearInterval(this.#timer);
    for (const stop of this.#stopListening) stop();
  }

  #read(run: string, from: Position | undefined): Promise<OutputPage | undefined> {
    return within(this.#patienceMs, readOutputPage(this.#db, run, from));
  }

  #lookAtAll(): void {
    for (const run of this.#watched.values()) run.changed('runs');
  }
}
