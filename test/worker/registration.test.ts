import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { sql } from 'kysely';
import { Registration } from '../../src/worker/registration.js';
import { RunsWorld } from '../runs/world.js';

let world: RunsWorld;
let directory: string;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-registration-'));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const open = (dataDirectory = directory, name = 'host') =>
  Registration.open({ db: world.db, dataDirectory, name, slots: 4 });
const rowOf = ({ worker }: Registration) =>
  world.db.selectFrom('workers').selectAll().where('id', '=', worker.id).executeTakeFirstOrThrow();

test('a worker is its DATA_DIR: it is the same one after a restart, under another name too', async () => {
  const first = await open();
  const again = await open(directory, 'renamed');
  expect(again.worker.id).toBe(first.worker.id);
  expect(again.worker.process).not.toBe(first.worker.process);
  expect(await rowOf(again)).toMatchObject({ name: 'renamed', stopped_at: null });
});

test('two workers of one name are two', async () => {
  const other = mkdtempSync(join(tmpdir(), 'signalbox-registration-'));
  const [one, two] = [await open(), await open(other)];
  rmSync(other, { recursive: true, force: true });
  expect(two.worker.id).not.toBe(one.worker.id);
});

test('a sign of life of a process that has a successor changes nothing, and says so', async () => {
  const first = await open();
  const second = await open();
  await world.db.updateTable('workers').set({ seen_at: sql`now() - interval '1 hour'` }).execute();
  expect(await first.beat()).toBe('replaced');
  expect(Date.now() - (await rowOf(second)).seen_at.getTime()).toBeGreaterThan(3_000_000);
  expect(await second.beat()).toBe('present');
  expect(Date.now() - (await rowOf(second)).seen_at.getTime()).toBeLessThan(60_000);
});

test('a worker that was declared lost hears of it, also after a restart, until it says that it is back', async () => {
  const first = await open();
  await world.db.updateTable('workers').set({ lost_at: sql`now()` }).where('id', '=', first.worker.id).execute();
  expect(await first.beat()).toBe('lost');
  const second = await open();
  expect(await second.beat()).toBe('lost');
  await first.comeBack();
  expect(await second.beat()).toBe('lost');
  await second.comeBack();
  expect(await second.beat()).toBe('present');
});

test('one that stops in order takes its leave', async () => {
  const registration = await open();
  await registration.leave();
  expect((await rowOf(registration)).stopped_at).not.toBeNull();
});
