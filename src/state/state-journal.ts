import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.js';
import { within } from '../within.js';
import { isDiskFull, writeDurably } from './write-durably.js';

export interface JournalOptions {
  /** Where the snapshots are kept until the record has them; made if missing. */
  directory: string;
  /** Brings one snapshot into the record. May be called again with one that it has brought there. */
  forward: (sealed: Buffer) => Promise<void>;
  /** Whether trying again is of no use. */
  isFinal: (error: unknown) => boolean;
  log: Log;
}

/**
 * The snapshot is on its way. `attempt` settles with the first attempt at forwarding it, or at once where attempts at earlier
 * ones fail.
 */
export interface Journalled {
  attempt: Promise<void>;
  /** Why it isn't safe on disk, which is full: it is safe only when `attempt` has succeeded. */
  unwritten?: unknown;
}

/** A snapshot in a file, or in memory where the disk had no room for it. */
type Entry = ({ path: string } | { sealed: Buffer }) & {
  settle: (error?: unknown) => void;
};

/** An attempt that takes longer is given up and made again on another connection, in ms. */
const ATTEMPT_MS = 30_000;
const FIRST_RETRY_MS = 100;
const LAST_RETRY_MS = 5_000;

const SUFFIX = '.snapshot';

/**
 * Snapshots of one run's state on their way into the record. Each is on disk before Terraform is told that it was
 * taken, and leaves it when the record has it: in order, one after the other, however long the database is away.
 */
export class StateJournal {
  readonly #options: JournalOptions;
  readonly #queue: Entry[] = [];
  readonly #closed = new AbortController();
  #sequence: number;
  #newest: Buffer | undefined;
  #appending: Promise<unknown> = Promise.resolve();
  #running = false;
  #forwarding: Promise<void> = Promise.resolve();
  #final: { error: unknown } | undefined;
  /** Why the last attempt failed; undefined since one succeeded. */
  #setback: { error: unknown } | undefined;

  private constructor(options: JournalOptions, sequence: number) {
    this.#options = options;
    this.#sequence = sequence;
  }

  /** Forwards what an earlier process has left. */
  static async open(options: JournalOptions): Promise<StateJournal> {
    const { directory } = options;
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const names = await readdir(directory);
    // A snapshot that isn't whole was never acknowledged.
    for (const name of names) if (name.endsWith('.tmp')) await rm(join(directory, name), { force: true });
    const left = names.filter((name) => name.endsWith(SUFFIX)).sort();
    const last = left.at(-1);
    const journal = new StateJournal(options, last === undefined ? 0 : Number.parseInt(last, 10));
    if (last !== undefined) journal.#newest = await readFile(join(directory, last));
    for (const name of left) journal.#queue.push({ path: join(directory, name), settle: () => undefined });
    journal.#forward();
    return journal;
  }

  /** The last snapshot that was taken, sealed; undefined before the first. */
  get newest(): Buffer | undefined {
    return this.#newest;
  }

  /**
   * Resolves when the snapshot is safe on disk. Where that is full and nothing waits before it, one is kept in memory on its
   * way: it is `unwritten`, and goes to the record as any other, in its turn. Throws what made forwarding useless.
   */
  async append(sealed: Buffer): Promise<Journalled> {
    const written = this.#appending.then(() => this.#append(sealed));
    this.#appending = written.catch(() => undefined);
    return written;
  }

  /** Resolves when the record has everything. Rejects with what made that impossible, or the signal's reason. */
  async drained(signal?: AbortSignal): Promise<void> {
    await this.#appending;
    signal?.throwIfAborted();
    const aborted = new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    aborted.catch(() => undefined);
    while (this.#queue.length > 0 && !this.#final) await Promise.race([this.#forward(), aborted]);
    if (this.#final) throw this.#final.error;
  }

  /** Stops forwarding. What is left stays on disk. */
  async close(): Promise<void> {
    await this.#appending;
    this.#closed.abort(new Error('The journal was closed.'));
    await this.#forwarding.catch(() => undefined);
    for (const { settle } of this.#queue) settle(this.#closed.signal.reason);
  }

  async #append(sealed: Buffer): Promise<Journalled> {
    if (this.#final) throw this.#final.error;
    this.#closed.signal.throwIfAborted();
    const { directory } = this.#options;
    const path = join(directory, `${String(++this.#sequence).padStart(10, '0')}${SUFFIX}`);
    try {
      await writeDurably(directory, path, sealed);
    } catch (error) {
      // A second one would have to wait for the first, for who knows how long, and is as large.
      if (!isDiskFull(error) || this.#queue.length > 0) throw error;
      return { attempt: this.#enqueue(sealed, { sealed }), unwritten: error };
    }
    return { attempt: this.#enqueue(sealed, { path }) };
  }

  #enqueue(sealed: Buffer, where: { path: string } | { sealed: Buffer }): Promise<void> {
    this.#newest = sealed;
    const attempt = new Promise<void>((resolve, reject) => {
      this.#queue.push({ ...where, settle: (error) => (error === undefined ? resolve() : reject(error)) });
    });
    attempt.catch(() => undefined);
    if (this.#setback) this.#queue.at(-1)?.settle(this.#setback.error);
    this.#forward();
    return attempt;
  }

  #forward(): Promise<void> {
    if (!this.#running) {
      this.#running = true;
      this.#forwarding = this.#forwardAll();
      this.#forwarding.catch(() => undefined);
    }
    return this.#forwarding;
  }

  async #forwardAll(): Promise<void> {
    const { forward, log, directory } = this.#options;
    const { signal } = this.#closed;
    let retryMs = FIRST_RETRY_MS;
    try {
      for (let entry = this.#queue[0]; entry && !this.#final; entry = this.#queue[0]) {
        signal.throwIfAborted();
        try {
          await within(ATTEMPT_MS, forward('path' in entry ? await readFile(entry.path) : entry.sealed));
          if ('path' in entry) await rm(entry.path, { force: true });
        } catch (error) {
          if (('path' in entry && isMissing(error, entry.path)) || this.#options.isFinal(error))
            this.#final = { error };
          entry.settle(error);
          if (this.#final) return;
          if (!this.#setback) {
            log.warn({ directory, err: { message: (error as Error).message } }, 'State waits on disk for the record');
          }
          this.#setback = { error };
          await sleep(retryMs, undefined, { signal });
          retryMs = Math.min(retryMs * 2, LAST_RETRY_MS);
          continue;
        }
        if (this.#setback) log.info({ directory }, 'State goes on into the record');
        this.#setback = undefined;
        retryMs = FIRST_RETRY_MS;
        this.#queue.shift();
        entry.settle();
      }
    } finally {
      this.#running = false;
    }
  }
}

/** Whether a journal's directory still has snapshots that the record may not have. */
export async function holdsSnapshots(directory: string): Promise<boolean> {
  return (await countSnapshots(directory)) > 0;
}

/** How many snapshots a journal's directory still has that the record may not have. */
export async function countSnapshots(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  return names.filter((name) => name.endsWith(SUFFIX)).length;
}

/** Somebody took the file away; a socket of PostgreSQL that isn't there is another matter. */
function isMissing(error: unknown, path: string): boolean {
  const { code, path: missing } = error as NodeJS.ErrnoException;
  return code === 'ENOENT' && missing === path;
}
