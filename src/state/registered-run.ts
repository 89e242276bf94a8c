import { createHash, timingSafeEqual } from 'node:crypto';
import { join } from 'node:path';
import type { Db } from '../db/pool.js';
import type { StateLock } from '../db/schema.js';
import type { Log } from '../log.js';
import { readStateSummary, StateFileError } from '../terraform/state-file.js';
import { SealBroken } from '../variables/encryption.js';
import { within } from '../within.js';
import { LockKeeper } from './lock-keeper.js';
import { StateJournal } from './state-journal.js';
import { StateRevoked, type StateVersions, type StateWriter } from './state-versions.js';

export interface RegisteredRunOptions {
  db: Db;
  versions: StateVersions;
  log: Log;
  writer: StateWriter;
  /** The run's control directory. */
  directory: string;
  /** A speculative run: it reads, and takes no lock. */
  readOnly: boolean;
  /** The workspace's newest snapshot, sealed, where that is known already; null: there is none. */
  base?: Buffer | null;
}

/** What a run that may only read was asked to do. */
export class ReadOnly extends Error {
  override name = 'ReadOnly';
}

/** How long the record may take to say something before we go on from what we know, in ms. */
const PATIENCE_MS = 3_000;

/** The state as one run's Terraform sees it. Goes on while the database is away, as far as that is right. */
export class RegisteredRun {
  readonly #options: RegisteredRunOptions;
  readonly #journal: StateJournal;
  readonly #locks: LockKeeper;
  /** Nobody else writes while this run holds its workspace: what was the newest when it came is so until it writes. */
  #base: Buffer | null | undefined;

  private constructor(options: RegisteredRunOptions, journal: StateJournal) {
    this.#options = options;
    this.#journal = journal;
    this.#locks = new LockKeeper(options.db, options.writer, options.log);
    this.#base = options.base;
  }

  /** Goes on forwarding what an earlier process has left in the directory. */
  static async open(options: RegisteredRunOptions): Promise<RegisteredRun> {
    const { versions, writer, directory, log } = options;
    const journal = await StateJournal.open({
      directory: stateDirectory(directory),
      forward: (sealed) => versions.save(writer, sealed),
      isFinal: isLasting,
      log: log.child({ run: writer.run }),
    });
    return new RegisteredRun(options, journal);
  }

  /** Compares in a time that tells nothing about the password. */
  accepts(password: string): boolean {
    const expected = Buffer.from(this.#options.writer.tokenHash, 'hex');
    const given = createHash('sha256').update(password).digest();
    return expected.length === given.length && timingSafeEqual(expected, given);
  }

  /** The newest state: this run's own, else the workspace's. Undefined where there is none. Throws StateRevoked. */
  async read(): Promise<Buffer | undefined> {
    const { versions, writer } = this.#options;
    await ignoringOutages(() => versions.checkWriter(writer));
    const own = this.#journal.newest;
    if (own === undefined && this.#base === undefined) {
      this.#base = (await within(PATIENCE_MS, versions.newest(writer.workspace))) ?? null;
    }
    const sealed = own ?? this.#base;
    return sealed ? versions.open(writer.workspace, sealed) : undefined;
  }

  /**
   * Takes a snapshot. It is safe when this resolves: in the record if that answers, else on disk until it does; on a full
   * disk in the record. Throws StateRevoked, StateFileError, ReadOnly, and ENOSPC or EDQUOT where neither had it in time.
   */
  async write(state: Buffer): Promise<void> {
    this.#checkMayWrite();
    readStateSummary(state);
    const { versions, writer } = this.#options;
    const { attempt, unwritten } = await this.#journal.append(versions.seal(writer.workspace, state));
    if (unwritten === undefined) return ignoringOutages(() => attempt);
    await attempt.catch((error) => {
      throw isLasting(error) ? error : unwritten;
    });
  }

  /** Yields who holds the lock, if somebody else does. Throws StateRevoked, ReadOnly. */
  async lock(info: StateLock['info']): Promise<StateLock | undefined> {
    this.#checkMayWrite();
    return this.#locks.lock(info, PATIENCE_MS);
  }

  /** Yields who holds the lock, if it isn't the one with this id. */
  async unlock(id: string | undefined): Promise<StateLock | undefined> {
    this.#checkMayWrite();
    return this.#locks.unlock(id, PATIENCE_MS);
  }

  /** Yields who holds the lock, if it is known not to be the one with this id. */
  conflict(id: string): StateLock | undefined {
    return this.#locks.conflict(id);
  }

  drained(signal?: AbortSignal): Promise<void> {
    return this.#journal.drained(signal);
  }

  async close(): Promise<void> {
    this.#locks.close();
    await this.#journal.close();
  }

  #checkMayWrite(): void {
    if (this.#options.readOnly) throw new ReadOnly('A speculative run only reads the state.');
  }
}

/** Where in a run's control directory its snapshots wait for the record. */
export function stateDirectory(control: string): string {
  return join(control, 'state');
}

/** The record's word, if it has one in time; what makes no difference later is thrown. */
async function ignoringOutages(ask: () => Promise<void>): Promise<void> {
  try {
    await within(PATIENCE_MS, ask());
  } catch (error) {
    if (isLasting(error)) throw error;
  }
}

/** Whether the record's answer will be the same the next time. */
function isLasting(error: unknown): boolean {
  return error instanceof StateRevoked || error instanceof StateFileError || error instanceof SealBroken;
}
