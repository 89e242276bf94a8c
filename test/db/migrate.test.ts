import { readdirSync, readFileSync } from 'node:fs';
import { sql } from 'kysely';
import pg from 'pg';
import { migrate } from '../../src/db/migrate.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let url: string;
let open: Db[];
beforeEach(async () => {
  database = await createTestDatabase();
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  // A migrated clone that has forgotten everything is a new database.
  await client.query('drop schema public cascade; create schema public');
  await client.end();
  url = database.url;
  open = [];
});
afterEach(async () => {
  await Promise.all(open.map((db) => db.destroy()));
  await database.drop();
});
const connect = () => {
  const db = createDb(createPool({ connectionString: url, max: 2, onError: () => undefined }));
  open.push(db);
  return db;
};
const applied = async (db: Db) =>
  (await sql<{ name: string }>`select name from kysely_migration order by name`.execute(db)).rows.map(
    (row) => row.name,
  );
const files = readdirSync(new URL('../../src/db/migrations/', import.meta.url)).map((file) => file.replace('.sql', ''));

test('a new database is brought to this version; doing it again changes nothing', async () => {
  const db = connect();
  await migrate(db);
  expect(await applied(db)).toEqual(files.sort());
  await migrate(db);
  expect(await applied(db)).toEqual(files);
  expect(await db.selectFrom('runs').selectAll().execute()).toEqual([]);
});

test('several processes may start at once', async () => {
  const all = [connect(), connect(), connect(), connect()];
  await Promise.all(all.map(migrate));
  expect(await applied(connect())).toEqual(files);
});

test('a migration that fails leaves nothing behind', async () => {
  const db = connect();
  // In the way of the last table.
  await sql`create table git_tokens (x int)`.execute(db);
  await expect(migrate(db)).rejects.toThrow('already exists');
  const { rows } = await sql`select from information_schema.tables where table_name = 'runs'`.execute(db);
  expect(rows).toEqual([]);
});

test('states and stages in the tables are those of the code', () => {
  const text = readFileSync(new URL('../../src/db/migrations/0001-the-record.sql', import.meta.url), 'utf8');
  for (const state of ['pending', 'planning', 'needs_confirmation', 'confirmed', 'applying', 'planned', 'canceled'])
    expect(text).toContain(`'${state}'`);
});
