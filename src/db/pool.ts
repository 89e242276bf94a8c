import { Kysely, PostgresDialect, type Transaction } from 'kysely';
import pg from 'pg';
import type { Database } from './schema.js';

export type Db = Kysely<Database>;
export type Tx = Transaction<Database>;

/** Ids of GitHub and counters fit into 2^53; delivery ids, which don't, are never stored as numbers. */
const INT8 = 20;
const types = {
  getTypeParser: (oid: number, format?: 'text' | 'binary') =>
    oid === INT8 ? (value: string) => Number(value) : pg.types.getTypeParser(oid, format),
} as pg.CustomTypesConfig;

/**
 * One pool per process. `max` bounds its connections: they grow with a process' slots, never with workspaces.
 * A connection that breaks while idle is replaced by the pool; `onError` hears of it.
 */
export function createPool(options: {
  connectionString: string;
  max: number;
  onError: (error: Error) => void;
}): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.connectionString,
    max: options.max,
    types,
    connectionTimeoutMillis: 10_000,
    keepAlive: true,
    // A database host that vanishes without a word is noticed in seconds, not hours.
    keepAliveInitialDelayMillis: 10_000,
    application_name: 'signalbox',
  });
  pool.on('error', options.onError);
  // The pool listens only while a connection is idle. One that breaks between two statements of a transaction would
  // otherwise end the process; whoever uses it gets the error from its next statement.
  pool.on('connect', (client) => client.on('error', () => undefined));
  return pool;
}

export function createDb(pool: pg.Pool): Db {
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) });
}
