import { randomBytes } from 'node:crypto';
import pg from 'pg';

export interface TestDatabase {
  url: string;
  drop(): Promise<void>;
}

/** A database of one's own, migrated: cloned from the template that `postgres.ts` made. */
export async function createTestDatabase(): Promise<TestDatabase> {
  const server = process.env.SIGNALBOX_TEST_POSTGRES;
  if (!server) throw new Error('There is no PostgreSQL for tests: is global-setup.js in the Jest configuration?');
  const name = `test_${randomBytes(6).toString('hex')}`;
  await asAdmin(server, `create database ${name} template template strategy file_copy`);
  const url = new URL(server);
  url.pathname = `/${name}`;
  return { url: url.href, drop: () => asAdmin(server, `drop database ${name} with (force)`) };
}

async function asAdmin(server: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: server });
  await client.connect();
  try {
    // Two clones at once collide on the template: the lock makes them take turns.
    await client.query('select pg_advisory_lock(1)');
    await client.query(statement);
  } finally {
    await client.end();
  }
}
