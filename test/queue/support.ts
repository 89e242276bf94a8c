import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import pg from 'pg';
import type { QueueBackend } from '../../src/queue/backend.js';
import type { QueueLog } from '../../src/queue/complaints.js';
import { DispatchQueue } from '../../src/queue/dispatch-queue.js';
import { Dispatcher } from '../../src/queue/dispatcher.js';
import { openBackend } from '../../src/queue/open-backend.js';
import type { StageJob } from '../../src/queue/outbox.js';
import { WorkspaceQueues } from '../../src/queue/workspace-queues.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.js';

export type Kind = 'redis' | 'postgres';

/** What a suite runs on: `describe.each(backends)`. */
export const backends: Kind[] = redisAvailable ? ['postgres', 'redis'] : ['postgres'];
if (!redisAvailable) process.stderr.write('redis-server is not on the PATH: these suites ran on PostgreSQL only.\n');

/** Says nothing, and remembers what it was told. */
export class SilentLog implements QueueLog {
  readonly lines: string[] = [];
  info = (_: object, message: string) => void this.lines.push(message);
  warn = this.info;
  error = this.info;
}

/** A database of its own, and a Redis of its own if that is what carries the jobs. */
export class Servers {
  private constructor(
    readonly kind: Kind,
    readonly database: TestDatabase,
    readonly redis: TestRedis | undefined,
  ) {}

  static async start(kind: Kind): Promise<Servers> {
    return new Servers(kind, await createTestDatabase(), kind === 'redis' ? await startRedis() : undefined);
  }

  async stop(): Promise<void> {
    await this.redis?.stop();
    await this.database.drop();
  }

  open(log: QueueLog = new SilentLog(), through?: Gate): Promise<QueueBackend> {
    const databaseUrl = through && !this.redis ? through.url(this.database.url) : this.database.url;
    const redisUrl = through && this.redis ? through.url(this.redis.url) : this.redis?.url;
    return openBackend({ redisUrl, databaseUrl, log });
  }

  /** Address of what carries the jobs. */
  get url(): string {
    return this.redis?.url ?? this.database.url;
  }

  /** Everything that BullMQ knows is gone. */
  async wipe(): Promise<void> {
    if (this.redis) return void (await this.#withRedis((redis) => redis.flushall()));
    await this.#withPostgres((client) => client.query('truncate bullmq.job, bullmq.meta, bullmq.event cascade'));
  }

  /** Connections that whoever carries the jobs has open, our own question not counted. */
  async connections(): Promise<number> {
    if (this.redis) {
      const list = await this.#withRedis((redis) => redis.client('LIST'));
      return String(list).trim().split('\n').length - 1;
    }
    return this.#withPostgres(async (client) => {
      const { rows } = await client.query(
        `select count(*)::int as n from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
      );
      return rows[0].n;
    });
  }

  async #withRedis<T>(use: (redis: Redis) => Promise<T>): Promise<T> {
    const redis = new Redis(this.url);
    try {
      return await use(redis);
    } finally {
      redis.disconnect();
    }
  }

  async #withPostgres<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = new pg.Client({ connectionString: this.database.url });
    await client.connect();
    try {
      return await use(client);
    } finally {
      await client.end();
    }
  }
}

/** Stands before a server, so that it can be away (refuses), or not answer (hangs), and come back. */
export class Gate {
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  #server: Server | undefined;
  #port = 0;
  #hanging = false;

  private constructor(target: string) {
    this.#target = new URL(target);
  }

  static async start(target: string): Promise<Gate> {
    const gate = new Gate(target);
    await gate.comeBack();
    return gate;
  }

  url(original: string): string {
    const url = new URL(original);
    url.port = String(this.#port);
    return url.href;
  }

  /** Connections break, and new ones are refused. */
  async goAway(): Promise<void> {
    const closed = new Promise((resolve) => (this.#server ? this.#server.close(resolve) : resolve(undefined)));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.#server = undefined;
  }

  /** Connections stay open, and nothing comes through. */
  hang(): void {
    this.#hanging = true;
    for (const socket of this.#sockets) socket.pause();
  }

  async comeBack(): Promise<void> {
    this.#hanging = false;
    for (const socket of this.#sockets) socket.resume();
    if (this.#server) return;
    const server = createServer((from) => this.#join(from));
    await new Promise<void>((resolve) => server.listen(this.#port, '127.0.0.1', resolve));
    this.#port = (server.address() as { port: number }).port;
    this.#server = server;
  }

  #join(from: Socket): void {
    const to = connect(Number(this.#target.port), this.#target.hostname);
    for (const [socket, other] of [
      [from, to],
      [to, from],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('data', (data) => other.write(data));
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
      if (this.#hanging) socket.pause();
    }
  }
}

export interface FakeRun {
  id: string;
  workspace: number;
  speculative: boolean;
  state: 'pending' | 'working' | 'done';
  since: number;
}

/** Stands for the record: knows what may start, and is the only gate. */
export class FakeRecord {
  readonly runs: FakeRun[] = [];
  /** Ids in the order in which they were claimed. */
  readonly claimed: string[] = [];
  claims = 0;

  add(workspace: number, { speculative = false } = {}): StageJob {
    const run = {
      id: `run-${this.runs.length + 1}`,
      workspace,
      speculative,
      state: 'pending' as const,
      since: Date.now(),
    };
    this.runs.push(run);
    return jobOf(run);
  }

  claim = async (job: StageJob): Promise<FakeRun | undefined> => {
    this.claims += 1;
    await sleep(1);
    const run = this.runs.find(({ id }) => id === job.run);
    if (!run || !this.#mayStart(run)) return undefined;
    run.state = 'working';
    this.claimed.push(run.id);
    return run;
  };

  /** Ends a run and yields the stage that may start because of it. */
  end(run: FakeRun): StageJob | undefined {
    run.state = 'done';
    const next = this.runs.find((other) => other.workspace === run.workspace && this.#mayStart(other));
    return next && jobOf(next);
  }

  startable = async (): Promise<StageJob[]> => this.runs.filter((run) => this.#mayStart(run)).map(jobOf);

  #mayStart(run: FakeRun): boolean {
    if (run.state !== 'pending') return false;
    if (run.speculative) return true;
    const others = this.runs.filter(({ workspace, speculative }) => workspace === run.workspace && !speculative);
    return others.find(({ state }) => state === 'pending') === run && !others.some(({ state }) => state === 'working');
  }
}

export function jobOf(run: Pick<FakeRun, 'id' | 'workspace' | 'speculative'>): StageJob {
  return { run: run.id, workspace: run.workspace, speculative: run.speculative, stage: 'plan', attempt: 0 };
}

/** One process' queue, on a fake record. `work` is what a stage does; runs end after it and hand on their workspace. */
export class TestWorker {
  readonly workspaces: WorkspaceQueues;
  readonly dispatch: DispatchQueue;
  readonly dispatcher: Dispatcher<FakeRun>;
  readonly log = new SilentLog();
  most = 0;

  constructor(
    readonly backend: QueueBackend,
    record: FakeRecord,
    {
      slots = 3,
      work = async () => {},
      now = Date.now,
    }: { slots?: number; work?: (run: FakeRun) => Promise<void>; now?: () => number } = {},
  ) {
    this.workspaces = new WorkspaceQueues(backend);
    this.dispatch = new DispatchQueue(backend, this.workspaces, now);
    this.dispatcher = new Dispatcher({
      backend,
      workspaces: this.workspaces,
      dispatch: this.dispatch,
      slots,
      start: record.claim,
      work: async (run) => {
        this.most = Math.max(this.most, this.dispatcher.slotsInUse);
        await work(run);
        const next = record.end(run);
        if (next) await this.dispatch.add(next);
      },
      log: this.log,
    });
  }
}

export async function until(condition: () => boolean | Promise<boolean>, ms = 20_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await condition())) {
    if (Date.now() > end) throw new Error(`It didn't happen within ${ms} ms: ${condition}`);
    await sleep(5);
  }
}
