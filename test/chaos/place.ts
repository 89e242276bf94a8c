import { randomBytes } from 'node:crypto';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import pg from 'pg';
import { LocalGitHub, type Repository } from '../support/github/index.js';
import { startRedis, type TestRedis } from '../support/redis.js';
import { environmentFor, freePort, NO_APP } from '../support/signalbox.js';
import { REPOSITORIES, type RepositoryName } from './configuration.js';
import { Journal } from './journal.js';
import type { Options } from './options.js';
import { MortalPostgres } from './postgres.js';
import { endProcessesOf, processesOf } from './processes.js';
import { Supervised } from './supervised.js';

/** So many seconds without a sign of life make a worker lost here: the supervisor is always quicker. */
export const LOST_AFTER_SECONDS = 40;

/** Everything that a day needs, on loopback: GitHub, PostgreSQL, Redis, one web, some workers, and the journal. */
export class Place {
  readonly repositories = new Map<RepositoryName, Repository>();
  readonly encryptionKey = randomBytes(32);
  #ends: (() => Promise<unknown>)[] = [];
  #pool: pg.Pool | undefined;
  #open: { github: LocalGitHub; journal: Journal; postgres: MortalPostgres; web: Supervised } | undefined;
  redis: TestRedis | undefined;
  workers: Supervised[] = [];

  constructor(
    readonly directory: string,
    readonly options: Options,
  ) {}

  get github(): LocalGitHub {
    return this.#opened.github;
  }

  get journal(): Journal {
    return this.#opened.journal;
  }

  get postgres(): MortalPostgres {
    return this.#opened.postgres;
  }

  get web(): Supervised {
    return this.#opened.web;
  }

  get processes(): Supervised[] {
    return [this.web, ...this.workers];
  }

  async open(): Promise<void> {
    const { directory, options } = this;
    await mkdir(directory, { recursive: true });
    const journal = await Journal.start(join(directory, 'journal'));
    this.#ends.push(() => journal.close());
    const port = await freePort();
    const webhook = { url: `http://127.0.0.1:${port}/api/github/webhooks`, secret: 'chaos-webhook-secret' };
    const github = await LocalGitHub.start({ directory: join(directory, 'github'), webhook });
    this.#ends.push(() => github.close());
    const postgres = await MortalPostgres.start(join(directory, 'postgres'));
    this.#ends.push(() => postgres.kill());
    if (options.backend === 'redis') {
      const redis = await startRedis();
      this.redis = redis;
      this.#ends.push(() => redis.stop());
    }
    this.#pool = new pg.Pool({ connectionString: postgres.url, max: 2, connectionTimeoutMillis: 5_000 });
    this.#pool.on('error', () => undefined);
    this.#pool.on('connect', (client) => client.on('error', () => undefined));
    this.#ends.push(async () => this.#pool?.end());

    await this.#settle(github);
    const common = {
      ...environmentFor(github),
      DATABASE_URL: postgres.url,
      ENCRYPTION_KEY: this.encryptionKey.toString('hex'),
      GITHUB_CONTENT_PER_MINUTE: '10000',
      GITHUB_CONTENT_PER_HOUR: '15000',
      WORKER_LOST_AFTER: String(LOST_AFTER_SECONDS),
      SANDBOX: options.sandbox,
      PUBLIC_URL: `http://127.0.0.1:${port}`,
      LOG_LEVEL: 'debug',
      ...(this.redis && { REDIS_URL: this.redis.url }),
    };
    const web = new Supervised('web', port, directory, { ...common, ROLES: 'web' });
    this.#open = { github, journal, postgres, web };
    const withoutApp = { ...common, ...NO_APP };
    for (let number = 1; number <= options.workers; number += 1) {
      const name = `worker-${number}`;
      const env = { ...withoutApp, ROLES: 'worker', WORKER_NAME: name, WORKER_SLOTS: '3' };
      this.workers.push(new Supervised(name, await freePort(), directory, env));
    }
    for (const each of this.processes) {
      each.start();
      this.#ends.push(() => each.stop());
      // The first one migrates: the others needn't queue up for that.
      if (each === web) await github.until('web', () => web.isReady(), 60_000);
    }
    await github.until('every process', () => this.isReady(), 60_000);
  }

  async isReady(): Promise<boolean> {
    return (await Promise.all(this.processes.map((each) => each.isReady()))).every(Boolean);
  }

  /** Asks the record, by plain SQL. Throws while PostgreSQL is away. */
  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    if (!this.#pool) throw new Error('The place has not been opened.');
    return (await this.#pool.query<Row>(text, values)).rows;
  }

  repository(name: RepositoryName): Repository {
    const repository = this.repositories.get(name);
    if (!repository) throw new Error(`There is no repository ${name}.`);
    return repository;
  }

  /** SIGTERM, workers first. Yields the exit codes by name. */
  async stopProcesses(): Promise<Record<string, number | null>> {
    const codes: Record<string, number | null> = {};
    await Promise.all(this.workers.map(async (each) => (codes[each.name] = await each.stop())));
    codes.web = await this.web.stop();
    return codes;
  }

  /** What still runs here beside PostgreSQL and Redis. */
  async leftovers(): Promise<string[]> {
    const found = await processesOf(this.directory);
    return found.filter(({ name }) => name !== 'postgres').map(({ pid, commandLine }) => `${pid} ${commandLine}`);
  }

  /** Ends all of it, whatever state it is in. */
  async close({ keep }: { keep: boolean }): Promise<void> {
    for (const end of this.#ends.reverse()) await end().catch((error) => process.stderr.write(`${error}\n`));
    this.#ends = [];
    await endProcessesOf(this.directory);
    if (!keep) await rm(this.directory, { recursive: true, force: true });
  }

  get #opened() {
    if (!this.#open) throw new Error('The place has not been opened.');
    return this.#open;
  }

  /** root owns acme, alice and carol write, bob reads. */
  async #settle(github: LocalGitHub): Promise<void> {
    for (const login of ['root', 'alice', 'bob', 'carol']) await github.createUser(login);
    await github.createOrganization('acme', { owners: ['root'] });
    for (const name of REPOSITORIES) {
      const repository = await github.createRepository({ owner: 'acme', name, private: true });
      for (const login of ['alice', 'carol']) await repository.setPermission(login, 'write');
      await repository.setPermission('bob', 'read');
      this.repositories.set(name, repository);
    }
  }
}
