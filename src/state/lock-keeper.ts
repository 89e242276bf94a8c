import { setTimeout as sleep } from 'node:timers/promises';
import type { Db } from '../db/pool.js';
import type { StateLock } from '../db/schema.js';
import type { Log } from '../log.js';
import { within } from '../within.js';
import { acquireStateLock, releaseStateLock } from './state-lock.js';
import { StateRevoked, type StateWriter } from './state-versions.js';

const ATTEMPT_MS = 10_000;
const RETRY_MS = 1_000;

type Outcome = { conflict?: StateLock } | { error: unknown };

/**
 * One run's lock on its workspace's state. The run holds its workspace in the record, so that nobody else's Terraform
 * can rightly want the lock: while the database is away the lock is taken here, and entered there when it is back.
 */
export class LockKeeper {
  readonly #db: Db;
  readonly #writer: StateWriter;
  readonly #log: Log;
  readonly #closed = new AbortController();
  /** What Terraform holds; undefined: nothing, or not known after a restart. */
  #held: StateLock['info'] | undefined;
  #entering: Promise<Outcome> | undefined;
  #entered: StateLock['info'] | undefined;
  /** Tells those who wait that the record is away. */
  readonly #onSetback = new Set<(outcome: Outcome) => void>();

  constructor(db: Db, writer: StateWriter, log: Log) {
    this.#db = db;
    this.#writer = writer;
    this.#log = log;
  }

  async lock(info: StateLock['info'], patienceMs: number): Promise<StateLock | undefined> {
    const conflict = this.conflict(info.ID);
    if (conflict) return conflict;
    this.#held = info;
    return this.#outcome(patienceMs);
  }

  async unlock(id: string | undefined, patienceMs: number): Promise<StateLock | undefined> {
    const conflict = id === undefined ? undefined : this.conflict(id);
    if (conflict) return conflict;
    this.#held = undefined;
    return this.#outcome(patienceMs);
  }

  conflict(id: string): StateLock | undefined {
    if (this.#held === undefined || this.#held.ID === id) return undefined;
    return { run: this.#writer.run, info: this.#held };
  }

  close(): void {
    this.#closed.abort();
  }

  /** What the record says to the lock as it is now; nothing, if it doesn't answer in time. */
  async #outcome(patienceMs: number): Promise<StateLock | undefined> {
    this.#entering ??= this.#enter();
    let onSetback: (outcome: Outcome) => void = () => undefined;
    const setback = new Promise<Outcome>((resolve) => {
      onSetback = resolve;
    });
    this.#onSetback.add(onSetback);
    const said = Promise.race([this.#entering, setback]);
    const outcome = await within(patienceMs, said).catch((): Outcome => ({}));
    this.#onSetback.delete(onSetback);
    if ('error' in outcome) throw outcome.error;
    return outcome.conflict;
  }

  /** Brings the record to what is held here, again and again until it is so or can't be. */
  async #enter(): Promise<Outcome> {
    try {
      for (;;) {
        const held = this.#held;
        try {
          const conflict = await within(ATTEMPT_MS, this.#write(held));
          if (conflict !== undefined) {
            if (this.#held === held) this.#held = undefined;
            return { conflict };
          }
          this.#entered = held;
          if (this.#held === held) return {};
        } catch (error) {
          if (error instanceof StateRevoked) return { error };
          for (const tell of this.#onSetback) tell({});
          this.#log.debug({ run: this.#writer.run, err: error }, 'The state lock waits for the record');
          await sleep(RETRY_MS, undefined, { signal: this.#closed.signal });
        }
      }
    } catch {
      // Closed: the lock of a run that ends counts as free.
      return {};
    } finally {
      this.#entering = undefined;
    }
  }

  async #write(held: StateLock['info'] | undefined): Promise<StateLock | undefined> {
    if (held !== undefined) return acquireStateLock(this.#db, this.#writer, held);
    await releaseStateLock(this.#db, this.#writer, this.#entered?.ID);
    return undefined;
  }
}
