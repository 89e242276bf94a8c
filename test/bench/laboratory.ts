import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.js';
import { LocalGitHub, type LocalGitHubOptions } from '../support/github/index.js';
import { redisAvailable, startRedis } from '../support/redis.js';
import { freePort, Signalbox } from '../support/signalbox.js';

/** Where one benchmark takes place: servers of its own, on loopback, gone when it ends. */
export interface Laboratory {
  directory: string;
  /** A new database on a PostgreSQL that waits for the disk, as the embedded one does. */
  createDatabase(name: string): Promise<Database>;
  /** Undefined where there is no `redis-server`. `database`: a number from 0 to 15. */
  redisUrl(database: number): string | undefined;
  startGitHub(name: string, options?: Partial<LocalGitHubOptions>): Promise<LocalGitHub>;
  startSignalbox(options: SignalboxOptions): Promise<Signalbox>;
  /** Ends with the laboratory. The last one ends first. */
  onClose(end: () => Promise<unknown>): void;
}

export interface Database {
  name: string;
  url: string;
  query<T>(text: string, values?: unknown[]): Promise<T[]>;
}

export interface SignalboxOptions {
  name: string;
  github: LocalGitHub;
  database: Database;
  redisUrl?: string | undefined;
  env?: Record<string, string>;
}

/** Opens a laboratory, works in it, and closes it whatever happens. */
export async function inLaboratory(work: (laboratory: Laboratory) => Promise<void>): Promise<void> {
  const ends: (() => Promise<unknown>)[] = [];
  try {
    await work(await open(ends));
  } finally {
    for (const end of ends.reverse()) await end().catch((error) => process.stderr.write(`${error}\n`));
  }
}

async function open(ends: (() => Promise<unknown>)[]): Promise<Laboratory> {
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-bench-'));
  ends.push(() => rm(directory, { recursive: true, force: true }));
  const server = await startEmbeddedPostgres(join(directory, 'postgres'));
  ends.push(() => server.stop());
  const redis = redisAvailable ? await startRedis() : undefined;
  if (redis) ends.push(() => redis.stop());

  return {
    directory,
    createDatabase: (name) => createDatabase(server.url, name, ends),
    redisUrl: (database) => redis && `${redis.url}/${database}`,
    startGitHub: async (name, options) => {
      const github = await LocalGitHub.start({ directory: join(directory, name), ...options });
      ends.push(() => github.close());
      return github;
    },
    startSignalbox: async ({ name, github, database, redisUrl, env }) => {
      const port = await freePort();
      github.setWebhook({ url: `http://127.0.0.1:${port}/api/github/webhooks`, secret: 'benchmark' });
      const signalbox = await Signalbox.start({
        github,
        port,
        dataDirectory: join(directory, name),
        env: {
          DATABASE_URL: database.url,
          PUBLIC_URL: `http://127.0.0.1:${port}`,
          // What is measured is us, not how slowly GitHub wants to be asked.
          GITHUB_CONTENT_PER_MINUTE: '10000',
          GITHUB_CONTENT_PER_HOUR: '15000',
          ...(redisUrl === undefined ? {} : { REDIS_URL: redisUrl }),
          ...env,
        },
      });
      ends.push(() => signalbox.stop());
      return signalbox;
    },
    onClose: (end) => void ends.push(end),
  };
}

async function createDatabase(server: string, name: string, ends: (() => Promise<unknown>)[]): Promise<Database> {
  const admin = new pg.Client({ connectionString: server });
  await admin.connect();
  await admin.query(`create database ${name}`);
  await admin.end();
  const url = new URL(server);
  url.pathname = `/${name}`;
  const pool = new pg.Pool({ connectionString: url.href, max: 1, application_name: 'bench', idleTimeoutMillis: 500 });
  ends.push(() => pool.end());
  return {
    name,
    url: url.href,
    query: async <T>(text: string, values: unknown[] = []) => (await pool.query(text, values)).rows as T[],
  };
}
