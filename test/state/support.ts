import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { Run } from '../../src/db/schema.js';
import { createLog } from '../../src/log.js';
import { StateServer } from '../../src/state/state-server.js';
import { Encryption } from '../../src/variables/encryption.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

export const log = createLog({ level: 'silent', format: 'json' });
export const encryption = new Encryption(Buffer.alloc(32, 7));

export interface StateWorld {
  db: Db;
  /** The same database through `proxy`. */
  remote: Db;
  proxy: TcpProxy;
  directory: string;
  /** A workspace of its own, with a run that is applying in it. */
  createRun(options?: { workspace?: number; speculative?: boolean }): Promise<Run>;
  startServer(db?: Db): Promise<StateServer>;
  close(): Promise<void>;
}

export async function createStateWorld(): Promise<StateWorld> {
  const database: TestDatabase = await createTestDatabase();
  const proxy = await TcpProxy.start(new URL(database.url));
  const through = new URL(database.url);
  through.port = String(proxy.port);
  const dbOf = (connectionString: string) =>
    createDb(createPool({ connectionString, max: 8, onError: () => undefined }));
  const db = dbOf(database.url);
  const remote = dbOf(through.href);
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-state-'));
  const servers: StateServer[] = [];
  await db
    .insertInto('repositories')
    .values({ id: 1, installation_id: 1, owner: 'acme', name: 'infra', default_branch: 'main' })
    .execute();
  let count = 0;

  return {
    db,
    remote,
    proxy,
    directory,
    createRun: async ({ workspace, speculative = false } = {}) => {
      const name = `w${++count}`;
      const id = workspace ?? (await insertWorkspace(db, name));
      return db
        .insertInto('runs')
        .values({
          id: `run-${count}`,
          workspace_id: id,
          repository_id: 1,
          speculative,
          state: speculative ? 'planning' : 'applying',
          worker: 'w1',
          attempt: 1,
          trigger: 'push',
          actor: 'alice',
          commit_sha: 'a',
          commit_message: 'm',
          branch: 'main',
          settings: JSON.stringify({ name, directory: '.', branch: 'main', autoApply: false, applyRequirements: [] }),
          auto_apply: false,
        })
        .returningAll()
        .executeTakeFirstOrThrow();
    },
    startServer: async (through = db) => {
      const server = await StateServer.start({ db: through, encryption, log });
      servers.push(server);
      return server;
    },
    close: async () => {
      await Promise.all(servers.map((server) => server.close()));
      await Promise.all([db.destroy(), remote.destroy()]);
      await proxy.stop();
      await database.drop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

async function insertWorkspace(db: Db, name: string): Promise<number> {
  const { id } = await db
    .insertInto('workspaces')
    .values({
      repository_id: 1,
      name,
      directory: name,
      branch: 'main',
      auto_apply: false,
      trigger_prefixes: [],
      trigger_patterns: [],
      apply_requirements: [],
      supersede_pending: false,
    })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** The run is over, as `transition` leaves it. */
export async function endRun(db: Db, run: Run): Promise<void> {
  const now = new Date();
  const state = run.speculative ? 'planned' : 'applied';
  await db.updateTable('runs').set({ state, ended_at: now, state_revoked_at: now }).where('id', '=', run.id).execute();
}

export async function revoke(db: Db, run: Run): Promise<void> {
  await db.updateTable('runs').set({ state_revoked_at: new Date() }).where('id', '=', run.id).execute();
}

export function stateOf(serial: number, value = `value ${serial}`): Buffer {
  const outputs = { value: { value, type: 'string' } };
  const content = {
    version: 4,
    terraform_version: '1.11.4',
    serial,
    lineage: 'l',
    outputs,
    resources: [],
    check_results: null,
  };
  return Buffer.from(JSON.stringify(content));
}

/** Serials of the workspace's state versions, oldest first. */
export async function serialsOf(db: Db, run: Run): Promise<number[]> {
  const rows = await db
    .selectFrom('state_versions')
    .select('serial')
    .where('workspace_id', '=', run.workspace_id)
    .orderBy('id')
    .execute();
  return rows.map(({ serial }) => serial);
}

/** A way to the database that can be cut, and can swallow what is sent. */
export class TcpProxy {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #mode: 'open' | 'refusing' | 'silent' = 'open';
  readonly port: number;

  private constructor(server: Server, port: number) {
    this.#server = server;
    this.port = port;
  }

  static async start(target: URL): Promise<TcpProxy> {
    const server = createServer((near) => proxy.#connect(near, target));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const proxy: TcpProxy = new TcpProxy(server, (server.address() as { port: number }).port);
    return proxy;
  }

  /** Connections break, and new ones are refused. */
  cut(): void {
    this.#mode = 'refusing';
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Nothing is answered any more; nothing breaks either. */
  silence(): void {
    this.#mode = 'silent';
    for (const socket of this.#sockets) socket.pause();
  }

  restore(): void {
    this.#mode = 'open';
    for (const socket of this.#sockets) socket.resume();
  }

  async stop(): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #connect(near: Socket, target: URL): void {
    if (this.#mode === 'refusing') return void near.destroy();
    const far = connect(Number(target.port), target.hostname);
    for (const [from, to] of [[near, far] as const, [far, near] as const]) {
      this.#sockets.add(from);
      from.on('error', () => undefined);
      from.on('close', () => {
        this.#sockets.delete(from);
        to.destroy();
      });
      from.on('data', (chunk) => to.write(chunk));
      if (this.#mode === 'silent') from.pause();
    }
  }
}

export interface Workplace {
  directory: string;
  terraform(args: string[]): TerraformRun;
}

export interface TerraformRun {
  process: ChildProcess;
  ended: Promise<{ code: number | null; output: string }>;
  /** Resolves when it has printed this. */
  prints(text: string): Promise<void>;
}

/** A root module whose state is kept at `access`. */
export function workplace(
  parent: string,
  configuration: string,
  access: { address: string; lockAddress: string; unlockAddress: string; username: string; password: string },
): Workplace {
  const directory = mkdtempSync(join(parent, 'module-'));
  mkdirSync(join(directory, 'home'));
  writeFileSync(join(directory, 'main.tf'), configuration);
  writeFileSync(join(directory, 'z_override.tf.json'), '{"terraform":{"backend":{"http":{}}}}');
  const env = {
    PATH: process.env.PATH ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: join(directory, 'home'),
    CHECKPOINT_DISABLE: '1',
    TF_IN_AUTOMATION: '1',
    TF_INPUT: '0',
    TF_HTTP_ADDRESS: access.address,
    TF_HTTP_LOCK_ADDRESS: access.lockAddress,
    TF_HTTP_UNLOCK_ADDRESS: access.unlockAddress,
    TF_HTTP_USERNAME: access.username,
    TF_HTTP_PASSWORD: access.password,
    TF_HTTP_RETRY_MAX: '8',
  };
  return {
    directory,
    terraform: (args) => {
      const child = spawn('terraform', [...args, '-no-color'], { cwd: directory, env });
      let output = '';
      child.stdout.on('data', (chunk) => (output += chunk));
      child.stderr.on('data', (chunk) => (output += chunk));
      const ended = new Promise<{ code: number | null; output: string }>((resolve) => {
        child.on('close', (code) => resolve({ code, output }));
      });
      const prints = async (text: string) => {
        while (!output.includes(text)) await once(child.stdout, 'data');
      };
      return { process: child, ended, prints };
    },
  };
}
