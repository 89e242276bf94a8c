import type { Db } from '../db/pool.js';
import type { Log } from '../log.js';
import type { SavedState } from '../state/saved-state.js';
import { declareLost, silentWorkers } from './lost-workers.js';

export interface WorkerWatchOptions {
  db: Db;
  /** Without a sign of life for so long a worker is lost, in seconds. */
  lostAfter: number;
  savedState: SavedState;
  log: Log;
}

/** Looks so many times in the time after which a worker is lost. */
const LOOKS = 12;
const LONGEST_PAUSE_MS = 5_000;

/**
 * Looks for workers that give no sign of life, in every process. Only who has itself heard from the database for as long as
 * that takes may judge: after an outage, or a suspension of this machine, everybody gets the whole time again.
 */
export class WorkerWatch {
  readonly #options: WorkerWatchOptions;
  readonly #pauseMs: number;
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Since when the database has answered every time, and when it did last. Of a clock that only goes forward. */
  #answering: { since: number; last: number } | undefined;

  constructor(options: WorkerWatchOptions) {
    this.#options = options;
    this.#pauseMs = Math.min((options.lostAfter * 1_000) / LOOKS, LONGEST_PAUSE_MS);
  }

  start(): void {
    this.#looking = this.#look().then(() => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.start(), this.#pauseMs);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  async #look(): Promise<void> {
    const { db, lostAfter, savedState, log } = this.#options;
    try {
      const silent = await silentWorkers(db, lostAfter);
      if (!this.#mayJudge()) return;
      for (const worker of silent) {
        const runs = await declareLost(db, worker, lostAfter, savedState);
        if (!runs) continue;
        const ids = runs.map(({ id, state }) => `${id} ${state}`);
        log.warn({ worker: worker.name, runs: ids }, `Worker ${worker.name} is lost: its runs were taken from it`);
      }
    } catch (error) {
      this.#answering = undefined;
      log.debug({ err: error }, 'Whether workers are lost can not be judged now');
    }
  }

  /** The database has just answered. */
  #mayJudge(): boolean {
    const now = performance.now();
    const gap = this.#answering ? now - this.#answering.last : Number.POSITIVE_INFINITY;
    const since = this.#answering && gap < 3 * this.#pauseMs + 2_000 ? this.#answering.since : now;
    this.#answering = { since, last: now };
    return now - since >= this.#options.lostAfter * 1_000;
  }
}
