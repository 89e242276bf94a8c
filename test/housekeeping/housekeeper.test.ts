import { setTimeout as sleep } from 'node:timers/promises';
import { type Chore, Housekeeper } from '../../src/housekeeping/housekeeper.js';
import { until } from '../queue/support.js';

let lines: unknown[][];
const log = {
  info: (...line: unknown[]) => void lines.push(line),
  warn: (...line: unknown[]) => void lines.push(line),
};
beforeEach(() => {
  lines = [];
});

const chore = (name: string, run: Chore['run']): Chore => ({ name, run });

test('a chore that fails does not keep the others, and what was removed is one line', async () => {
  const chores = [
    chore('plans', async () => Promise.reject(new Error('no database'))),
    chore('mirrors', async () => 2),
    chore('outputs', async () => 0),
  ];
  const housekeeper = new Housekeeper({ chores, log });
  expect(await housekeeper.tidy()).toEqual({ mirrors: 2 });
  expect(lines.map((line) => line[1])).toEqual([
    'Housekeeping of plans failed: it is tried again in an hour',
    'What is past its limits was removed',
  ]);
});

test('nothing to do is nothing to say', async () => {
  await new Housekeeper({ chores: [chore('plans', async () => 0)], log }).tidy();
  expect(lines).toEqual([]);
});

test('it begins after a while, goes on, and stops at once, also in the middle of a chore', async () => {
  let times = 0;
  let ended = false;
  const count = chore('plans', async () => ++times);
  const long = chore('mirrors', async (signal) => {
    if (times < 3) return 0;
    await sleep(60_000, undefined, { signal }).catch(() => undefined);
    ended = true;
    return 1;
  });
  const never = chore('outputs', async () => (times < 3 ? 0 : Promise.reject(new Error('it was not stopped'))));
  const housekeeper = new Housekeeper({ chores: [count, long, never], log, firstAfter: 100, every: 20 });
  housekeeper.start();
  await sleep(30);
  expect(times).toBe(0);
  await until(() => times === 3);
  await housekeeper.stop();
  expect([times, ended]).toEqual([3, true]);
  expect(lines.flat()).not.toContain('Housekeeping of outputs failed: it is tried again in an hour');
});
