import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import pg from 'pg';
import { startEmbeddedPostgres } from '../../src/db/embedded.js';
import { migrate } from '../../src/db/migrate.js';
import { createDb, createPool } from '../../src/db/pool.js';

/**
 * Starts one PostgreSQL for the whole test run, with a migrated template that each test file's database is cloned from.
 * Yields the function that stops it.
 */
export async function startTestPostgres(): Promise<() => Promise<void>> {
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-test-postgres-'));
  const server = await startEmbeddedPostgres(directory, { throwaway: true });
  const admin = new pg.Client({ connectionString: server.url });
  await admin.connect();
  await admin.query('create database template');
  await admin.end();

  const pool = createPool({ connectionString: databaseUrl(server.url, 'template'), max: 2, onError: () => undefined });
  await migrate(createDb(pool));
  await pool.end();

  process.env.SIGNALBOX_TEST_POSTGRES = server.url;
  return async () => {
    await server.stop();
    await rm(directory, { recursive: true, force: true });
  };
}

function databaseUrl(server: string, name: string): string {
  const url = new URL(server);
  url.pathname = `/${name}`;
  return url.href;
}
