import { createHash, randomBytes } from 'node:crypto';
import type { Db } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { Log } from '../log.js';
import type { Encryption } from '../variables/encryption.js';
import { Listeners } from './listeners.js';
import { RegisteredRun } from './registered-run.js';
import { releaseStateLock } from './state-lock.js';
import { StateRequests } from './state-requests.js';
import { StateRevoked, StateVersions, type StateWriter } from './state-versions.js';

/** What a run's Terraform is told about its state. */
export interface StateAccess {
  address: string;
  lockAddress: string;
  unlockAddress: string;
  username: string;
  password: string;
  port: number;
}

export interface StateServerOptions {
  db: Db;
  encryption: Encryption;
  log: Log;
}

/** Serves state to the Terraforms of this process' runs, on the loopback interface. */
export class StateServer {
  readonly #db: Db;
  readonly #log: Log;
  readonly #versions: StateVersions;
  readonly #runs = new Map<string, RegisteredRun>();
  /** Port of each run whose port isn't `port`. */
  readonly #adopted = new Map<string, number>();
  readonly #listeners: Listeners;
  #port = 0;

  private constructor({ db, encryption, log }: StateServerOptions) {
    this.#db = db;
    this.#log = log;
    this.#versions = new StateVersions(db, encryption);
    const requests = new StateRequests(this.#runs, log);
    this.#listeners = new Listeners((request, response) => void requests.answer(request, response));
  }

  static async start(options: StateServerOptions): Promise<StateServer> {
    const server = new StateServer(options);
    server.#port = await server.#listeners.listenAnywhere();
    return server;
  }

  /** Where runs find it that are registered from now on. */
  get port(): number {
    return this.#port;
  }

  /**
   * Gives a run's Terraform access to its workspace's state, by new credentials: earlier ones of this run end, and so does
   * a lock that an earlier Terraform of it has left. A `readOnly` run can't write or lock. Throws StateRevoked when the
   * run has been taken away from its worker.
   *
   * @param directory the run's control directory, where snapshots wait for the record
   */
  async register({
    run,
    directory,
    readOnly,
  }: {
    run: Run;
    directory: string;
    readOnly: boolean;
  }): Promise<StateAccess> {
    const password = randomBytes(32).toString('base64url');
    const tokenHash = createHash('sha256').update(password).digest('hex');
    const updated = await this.#db
      .updateTable('runs')
      .set({ state_token_hash: tokenHash, state_port: this.#port })
      .where('id', '=', run.id)
      .where('attempt', '=', run.attempt)
      .where('worker_id', 'is not distinct from', run.worker_id)
      .where('state_revoked_at', 'is', null)
      .returning('id')
      .executeTakeFirst();
    if (!updated) throw new StateRevoked(run.id);
    const writer = { run: run.id, workspace: run.workspace_id, tokenHash };
    if (!readOnly) await releaseStateLock(this.#db, writer);
    const base = (await this.#versions.newest(run.workspace_id)) ?? null;
    await this.#add(writer, directory, readOnly, base);
    const address = `http://127.0.0.1:${this.#port}/runs/${run.id}/state`;
    return { address, lockAddress: address, unlockAddress: address, username: run.id, password, port: this.#port };
  }

  /**
   * After a restart: the run's Terraform finds its state where it was, with the credentials that it has; snapshots that
   * were left on disk go on into the record. `run` is as the record has it. Throws PortTaken.
   */
  async adopt(run: Run, directory: string): Promise<void> {
    if (run.state_token_hash === null || run.state_port === null)
      throw new Error(`${run.id} never had access to state.`);
    const writer = { run: run.id, workspace: run.workspace_id, tokenHash: run.state_token_hash };
    await this.#add(writer, directory, run.speculative, undefined);
    if (run.state_port === this.#port) return;
    this.#adopted.set(run.id, run.state_port);
    await this.#listeners.listen(run.state_port);
  }

  /** Whether the run's Terraform finds its state here. */
  serves(run: string): boolean {
    return this.#runs.has(run);
  }

  /** Takes in a snapshot that Terraform couldn't hand in itself (`errored.tfstate`). Throws as `drained` does. */
  async write(run: string, state: Buffer): Promise<void> {
    const registered = this.#runs.get(run);
    if (!registered) throw new Error(`${run} has no access to state.`);
    await registered.write(state);
  }

  /**
   * Resolves when the record has every snapshot of the run; at once for a run that has no access. Rejects with
   * StateRevoked when the record takes none of it any more, and with the signal's reason.
   */
  async drained(run: string, signal?: AbortSignal): Promise<void> {
    await this.#runs.get(run)?.drained(signal);
  }

  /** Ends the run's access. Snapshots that aren't in the record yet stay on disk. */
  async release(run: string): Promise<void> {
    const registered = this.#runs.get(run);
    const port = this.#adopted.get(run);
    this.#runs.delete(run);
    this.#adopted.delete(run);
    await registered?.close();
    if (port !== undefined && ![...this.#adopted.values()].includes(port)) await this.#listeners.close(port);
  }

  /** Stops answering. What runs still wait for stays on disk, to be adopted. */
  async close(): Promise<void> {
    await this.#listeners.closeAll();
    await Promise.all([...this.#runs.values()].map((run) => run.close()));
    this.#runs.clear();
    this.#adopted.clear();
  }

  async #add(
    writer: StateWriter,
    directory: string,
    readOnly: boolean,
    base: Buffer | null | undefined,
  ): Promise<void> {
    await this.release(writer.run);
    const options = { db: this.#db, versions: this.#versions, log: this.#log, writer, directory, readOnly };
    this.#runs.set(writer.run, await RegisteredRun.open({ ...options, ...(base === undefined ? {} : { base }) }));
  }
}
