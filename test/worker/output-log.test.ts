import { setTimeout as sleep } from 'node:timers/promises';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { createMask } from '../../src/variables/masking.js';
import { OutputLog } from '../../src/worker/output-log.js';
import { Gate, until } from '../queue/support.js';
import { RunsWorld } from '../runs/world.js';
import { outputOf } from '../support/output.js';

let world: RunsWorld;
let gate: Gate;
/** The same record, through the gate. */
let remote: Db;
beforeAll(async () => {
  world = await RunsWorld.open();
  gate = await Gate.start(world.url);
  remote = createDb(createPool({ connectionString: gate.url(world.url), max: 2, onError: () => undefined }));
});
afterAll(async () => {
  await remote.destroy();
  await gate.goAway();
  await world.close();
});

const SECRET = 'correct-horse-battery';
const logOf = (run: Awaited<ReturnType<RunsWorld['in']>>, db = world.db) =>
  new OutputLog(db, run, 'plan', createMask([SECRET]));

test('text gets into the record in order, soon, and all of it by the end', async () => {
  const run = await world.in('planning');
  const log = logOf(run);
  let expected = '';
  for (let n = 0; n < 50; n++) {
    log.append(`line ${n}\n`);
    expected += `line ${n}\n`;
    if (n % 10 === 0) await sleep(60);
  }
  await until(async () => (await outputOf(world.db, run.id, 'plan')).includes('line 0\n'), 2_000);
  await log.end();
  expect(await outputOf(world.db, run.id, 'plan')).toBe(expected);
  await log.end();
  expect(await outputOf(world.db, run.id, 'plan')).toBe(expected);
});

test('a secret is masked wherever its pieces fall', async () => {
  for (const at of [1, 5, 12, SECRET.length - 1]) {
    const run = await world.in('planning');
    const log = logOf(run);
    log.append(`before ${SECRET.slice(0, at)}`);
    // Longer than it waits for more: what is held back stays held back.
    await sleep(300);
    expect(await outputOf(world.db, run.id, 'plan')).toBe('before ');
    log.append(`${SECRET.slice(at)} after`);
    await log.end();
    expect(await outputOf(world.db, run.id, 'plan')).toBe('before *** after');
  }
});

test('what only began like a secret is shown at the end', async () => {
  const run = await world.in('planning');
  const log = logOf(run);
  log.append('it is correct-horse');
  await log.end();
  expect(await outputOf(world.db, run.id, 'plan')).toBe('it is correct-horse');
});

test('text that the database cannot hold is shown all the same', async () => {
  const run = await world.in('planning');
  const log = logOf(run);
  log.append('a\0b \ud800 ✓ 🚂');
  await log.end();
  expect(await outputOf(world.db, run.id, 'plan')).toBe('a\uFFFDb \uFFFD ✓ 🚂');
});

test('while the database is away text is kept, and written when it is back, once and in order', async () => {
  const run = await world.in('planning');
  const log = logOf(run, remote);
  log.append('one ');
  await until(async () => (await outputOf(world.db, run.id, 'plan')) === 'one ');
  await gate.goAway();
  log.append('two ');
  await sleep(300);
  log.append('three ');
  const ended = log.end();
  await sleep(300);
  expect(await outputOf(world.db, run.id, 'plan')).toBe('one ');
  await gate.comeBack();
  await ended;
  expect(await outputOf(world.db, run.id, 'plan')).toBe('one two three ');
});

test('the text of a run that is no longer on record holds up nobody', async () => {
  const run = await world.in('planning');
  const log = logOf({ ...run, id: 'run-gone' });
  log.append('text');
  await log.end();
});

test('of several attempts the last one is shown', async () => {
  const run = await world.in('planning');
  for (const attempt of [1, 2]) {
    const log = logOf({ ...run, attempt });
    log.append(`attempt ${attempt}`);
    await log.end();
  }
  expect(await outputOf(world.db, run.id, 'plan')).toBe('attempt 2');
});

test('after a restart the same text is appended again, and only what the record lacks is written', async () => {
  const text = `before ${SECRET} between\nund dann ein Gruß 🚂\nand after\n`;
  const expected = text.replace(SECRET, '***');
  for (const cut of [0, 12, 26, 44, text.length]) {
    const run = await world.in('planning');
    const log = logOf(run);
    log.append(text.slice(0, cut));
    await sleep(300);
    // It is killed here: what it held back is lost with it.
    const next = await OutputLog.resume(world.db, run, 'plan', createMask([SECRET]));
    next.append(text.slice(0, 20));
    next.append(text.slice(20));
    await next.end();
    expect(await outputOf(world.db, run.id, 'plan')).toBe(expected);
  }
});
