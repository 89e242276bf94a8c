import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { Notifications, notify } from '../../src/db/notifications.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { Gate, until } from '../queue/support.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

let database: TestDatabase;
let db: Db;
let gate: Gate;
let notifications: Notifications;
let errors: Error[];
let heard: string[];
beforeEach(async () => {
  database = await createTestDatabase();
  db = createDb(createPool({ connectionString: database.url, max: 4, onError: () => undefined }));
  gate = await Gate.start(database.url);
  errors = [];
  heard = [];
  notifications = new Notifications(gate.url(database.url), (error) => errors.push(error));
  notifications.on('runs', (subject) => heard.push(subject));
  await notifications.start();
});
afterEach(async () => {
  await notifications.close();
  await gate.goAway();
  await db.destroy();
  await database.drop();
});

async function listeners(): Promise<number> {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  const { rows } = await client.query(`select count(*)::int as n from pg_stat_activity
    where datname = current_database() and application_name = 'signalbox wake-ups'`);
  await client.end();
  return rows[0].n;
}

test('a wake-up goes out when its transaction commits, and never if it does not', async () => {
  const failing = db.transaction().execute(async (tx) => {
    await notify(tx, 'runs', 'run-never');
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  await db.transaction().execute(async (tx) => {
    await notify(tx, 'runs', 'run-a');
    await sleep(50);
    expect(heard).toEqual([]);
  });
  await until(() => heard.length > 0);
  expect(heard).toEqual(['run-a']);
});

test('only who listens to a topic is woken, until it listens no more', async () => {
  const others: string[] = [];
  const stop = notifications.on('outbox', (subject) => others.push(subject));
  await notify(db, 'outbox');
  await notify(db, 'runs', 'run-a');
  await until(() => heard.length > 0);
  expect([heard, others]).toEqual([['run-a'], ['']]);
  stop();
  await notify(db, 'outbox');
  await notify(db, 'runs', 'run-b');
  await until(() => heard.length > 1);
  expect(others).toEqual(['']);
});

test('a broken connection is opened again, and everyone is told to look', async () => {
  await gate.goAway();
  await gate.comeBack();
  await until(() => heard.length > 0);
  expect(heard).toEqual(['']);
  await notify(db, 'runs', 'run-a');
  await until(() => heard.length > 1);
  expect(heard).toEqual(['', 'run-a']);
  expect(errors).toHaveLength(1);
});

test('after a long outage there is one connection, not one for each attempt', async () => {
  await gate.goAway();
  await sleep(4_500);
  await gate.comeBack();
  await until(() => heard.length > 0);
  await sleep(1_500);
  expect(heard).toEqual(['']);
  expect(await listeners()).toBe(1);
});

test('a connection that the server ends is opened again', async () => {
  const client = new pg.Client({ connectionString: database.url });
  await client.connect();
  await client.query(`select pg_terminate_backend(pid) from pg_stat_activity
    where datname = current_database() and application_name = 'signalbox wake-ups'`);
  await client.end();
  await until(() => heard.length > 0);
  await until(async () => (await listeners()) === 1);
});

test('what is closed stays closed, also in the middle of an outage', async () => {
  await gate.goAway();
  await sleep(200);
  await notifications.close();
  await gate.comeBack();
  await sleep(1_500);
  expect(await listeners()).toBe(0);
});
