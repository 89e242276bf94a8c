import {
  type BackendFactory,
  createPostgresBackend,
  DEFAULT_SCHEMA,
  type PostgresConnectionOptions,
  type PostgresQueueBackend,
  Queue,
  runMigrations,
  Worker,
} from 'bullmq';
import pg from 'pg';
import {
  AGE_SECONDS,
  EVENTS_KEPT,
  type JobQueue,
  type JobWorker,
  LOCK_MS,
  type QueueBackend,
  within,
} from './backend.js';
import { Complaints, type QueueLog } from './complaints.js';

/** A command that PostgreSQL hasn't answered after this time has failed, in ms. */
const COMMAND_MS = 5_000;
const PING_MS = 2_000;
const RETRY_MS = 1_000;
const SWEEP_MS = 3_600_000;

/** Of these the worker that waits keeps one, to LISTEN on. */
const CONNECTIONS = 5;

/** BullMQ's own PostgreSQL backend, in its own schema of the record's database. */
export async function openPostgresBackend(options: { connectionString: string; log: QueueLog }): Promise<QueueBackend> {
  const complaints = new Complaints(options.log);
  const complain = (error: Error) => complaints.raise('postgres', "The queue's PostgreSQL can't be used", error);
  const connectionString = withSettings(options.connectionString);
  await migrate(connectionString);
  const pool = new pg.Pool({
    connectionString,
    application_name: 'signalbox-queue',
    max: CONNECTIONS,
    // A run that starts after a quiet time needn't wait for a connection to be opened.
    min: 1,
    connectionTimeoutMillis: COMMAND_MS,
    query_timeout: COMMAND_MS,
    keepAlive: true,
  });
  pool.on('error', complain);

  const connection = pool as unknown as PostgresConnectionOptions;
  // Siblings of one backend share its pool and its check of the schema. That check is made once, here: BullMQ would
  // remember its failure for good.
  const root = createPostgresBackend('root', { connection, lockDuration: LOCK_MS } as {
    connection: typeof connection;
  });
  root.on('error', complain);
  await root.waitUntilReady();
  const sibling: BackendFactory<PostgresQueueBackend, PostgresConnectionOptions> = (name) =>
    root.forQueue(name) as PostgresQueueBackend;
  const sweeping = setInterval(
    () => void sweep(pool, Date.now() - AGE_SECONDS * 1000).catch(complain),
    SWEEP_MS,
  ).unref();

  return {
    kind: 'postgres',
    queue: (name) =>
      new Queue(name, { connection, streams: { events: { maxLen: EVENTS_KEPT } } }, sibling) as unknown as JobQueue,
    fetcher: (name) => new Worker(name, null, { connection, autorun: false }, sibling) as unknown as JobWorker,
    worker: async (name, process, concurrency) => {
      const settings = { connection, concurrency, lockDuration: LOCK_MS, runRetryDelay: RETRY_MS, autorun: false };
      for (;;) {
        const worker = new Worker(name, process, settings, createPostgresBackend);
        worker.on('error', complain);
        try {
          await worker.waitUntilReady();
          worker.run().catch(complain);
          return worker as unknown as JobWorker;
        } catch (error) {
          // A worker whose first connection failed stays broken: it is made anew.
          await worker.close(true).catch(() => undefined);
          if (pool.ending) throw error;
          complain(error as Error);
          await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
        }
      }
    },
    // The rows of a queue that is empty are few, and its events are swept.
    ageOut: () => undefined,
    ping: async () => {
      await within(PING_MS, 'PostgreSQL', pool.query('select 1'));
      complaints.settle('postgres', "The queue's PostgreSQL can be used again");
    },
    close: async () => {
      clearInterval(sweeping);
      if (!pool.ending) await pool.end();
    },
  };
}

/** The same as BullMQ's `migrate: true`, with more time than a command has. Several processes may start at once. */
async function migrate(connectionString: string): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis: COMMAND_MS });
  await client.connect();
  try {
    await runMigrations(client, DEFAULT_SCHEMA);
  } finally {
    await client.end();
  }
}

/** BullMQ trims a queue's events only while that queue is used: thousands of idle ones would keep theirs. `before`: in ms. */
export async function sweep(pool: pg.Pool, before: number): Promise<void> {
  await pool.query('delete from event where created_at_ms < $1', [before]);
}

/**
 * BullMQ's statements name no schema. What a crash of PostgreSQL takes of the last moment in the queue is put back by
 * the reconciler, so commits here needn't wait for the disk: a run passes through six of them.
 */
function withSettings(connectionString: string): string {
  const url = new URL(connectionString);
  const given = url.searchParams.get('options');
  const settings = `-c search_path=${DEFAULT_SCHEMA} -c synchronous_commit=off`;
  url.searchParams.set('options', given ? `${given} ${settings}` : settings);
  return url.href;
}
