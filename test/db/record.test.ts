import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { createPool } from '../../src/db/pool.js';
import { openRecord, RecordUnavailable } from '../../src/db/record.js';
import { createLog } from '../../src/log.js';
import { Gate, until } from '../queue/support.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const log = createLog({ level: 'silent', format: 'json' });
let database: TestDatabase;
let gate: Gate;
let directory: string;
beforeEach(async () => {
  database = await createTestDatabase();
  gate = await Gate.start(database.url);
  directory = mkdtempSync(join(tmpdir(), 'signalbox-record-'));
});
afterEach(async () => {
  await gate.goAway();
  await database.drop();
  rmSync(directory, { recursive: true, force: true });
});
const open = (databaseUrl: string | undefined) => openRecord({ databaseUrl, dataDirectory: directory, slots: 1, log });

test('without DATABASE_URL it is the embedded PostgreSQL, which ends with it', async () => {
  const record = await open(undefined);
  expect(await record.db.selectFrom('runs').selectAll().execute()).toEqual([]);
  await record.close();
  const pool = createPool({ connectionString: record.url, max: 1, onError: () => undefined });
  await expect(pool.query('select 1')).rejects.toThrow('ECONNREFUSED');
  await pool.end();
  const again = await open(undefined);
  await again.ping();
  await again.close();
});

test('a database that is not there yet is waited for', async () => {
  const url = gate.url(database.url);
  await gate.goAway();
  const opening = open(url);
  await sleep(700);
  await gate.comeBack();
  const record = await opening;
  await record.ping();
  await record.close();
});

test('what does not mend itself is told at once, without the password', async () => {
  const wrong = new URL(database.url);
  wrong.password = 'not-the-password';
  const refused = open(wrong.href);
  await expect(refused).rejects.toThrow(RecordUnavailable);
  await expect(refused).rejects.toThrow("PostgreSQL at DATABASE_URL can't be used: password authentication failed");
  await expect(refused).rejects.not.toThrow('not-the-password');
  const missing = new URL(database.url);
  missing.pathname = '/missing';
  await expect(open(missing.href)).rejects.toThrow('database "missing" does not exist');
});

test('the record survives that its connections break, also in the middle of a transaction', async () => {
  const record = await open(gate.url(database.url));
  const broken = record.db.transaction().execute(async (tx) => {
    await sql`select 1`.execute(tx);
    await gate.goAway();
    await sleep(100);
    await sql`select 1`.execute(tx);
  });
  await expect(broken).rejects.toThrow();
  await expect(record.ping()).rejects.toThrow();
  await gate.comeBack();
  await until(() =>
    record.ping().then(
      () => true,
      () => false,
    ),
  );
  await record.close();
});

test('numbers of GitHub come back as numbers', async () => {
  const record = await open(database.url);
  const { rows } = await sql<{ n: unknown }>`select 9007199254740991::bigint as n`.execute(record.db);
  expect(rows).toEqual([{ n: Number.MAX_SAFE_INTEGER }]);
  await record.close();
});
