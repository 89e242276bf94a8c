import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.js';

/** Something that is done now and then so that it doesn't grow for ever. */
export interface Chore {
  /** What it removes, in the plural: 'plans'. */
  name: string;
  /** Yields how many it has removed. Ends soon after the signal. */
  run(signal: AbortSignal): Promise<number>;
}

/** After a start other things come first: runs of a worker that was restarted are taken up again. */
const FIRST_MS = 5 * 60_000;
const EVERY_MS = 60 * 60_000;

export interface HousekeeperOptions {
  chores: readonly Chore[];
  log: Pick<Log, 'info' | 'warn'>;
  /** In ms. */
  firstAfter?: number;
  every?: number;
}

/** Does the chores one after the other, a while after the start and then every hour. One that fails doesn't keep the others. */
export class Housekeeper {
  readonly #options: Required<HousekeeperOptions>;
  readonly #stopped = new AbortController();
  #working: Promise<void> = Promise.resolve();

  constructor(options: HousekeeperOptions) {
    this.#options = { firstAfter: FIRST_MS, every: EVERY_MS, ...options };
  }

  start(): void {
    this.#working = this.#work();
  }

  /** Waits for the chore under way. */
  async stop(): Promise<void> {
    this.#stopped.abort();
    await this.#working;
  }

  /** Does everything once. Yields what was removed: names and how many. */
  async tidy(): Promise<Record<string, number>> {
    const { chores, log } = this.#options;
    const removed: Record<string, number> = {};
    for (const { name, run } of chores) {
      if (this.#stopped.signal.aborted) break;
      try {
        const count = await run(this.#stopped.signal);
        if (count > 0) removed[name] = count;
      } catch (error) {
        log.warn({ err: error }, `Housekeeping of ${name} failed: it is tried again in an hour`);
      }
    }
    if (Object.keys(removed).length > 0) log.info(removed, 'What is past its limits was removed');
    return removed;
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopped;
    let pause = this.#options.firstAfter;
    while (!signal.aborted) {
      await sleep(pause, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted) await this.tidy();
      pause = this.#options.every;
    }
  }
}
