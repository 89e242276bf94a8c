import { setTimeout as sleep } from 'node:timers/promises';
import { ShortMemory } from '../../src/signin/short-memory.js';

const counting = () => {
  let count = 0;
  return async () => ++count;
};

test('an answer counts from when it was asked for, not from when it came', async () => {
  const memory = new ShortMemory<number>({ milliseconds: 100, size: 10 });
  const ask = counting();
  const slow = async () => {
    await sleep(120);
    return ask();
  };
  expect(await memory.recall('a', slow)).toBe(1);
  expect(await memory.recall('a', slow)).toBe(2);
});

test('failures are not remembered', async () => {
  const memory = new ShortMemory<number>({ milliseconds: 10_000, size: 10 });
  await expect(memory.recall('a', () => Promise.reject(new Error('away')))).rejects.toThrow('away');
  expect(await memory.recall('a', async () => 1)).toBe(1);
});

test('the oldest answers make room', async () => {
  const memory = new ShortMemory<number>({ milliseconds: 10_000, size: 2 });
  const ask = counting();
  for (const key of ['a', 'b', 'c']) await memory.recall(key, ask);
  expect(await memory.recall('c', ask)).toBe(3);
  expect(await memory.recall('b', ask)).toBe(2);
  expect(await memory.recall('a', ask)).toBe(4);
});

test('what is forgotten is asked again', async () => {
  const memory = new ShortMemory<number>({ milliseconds: 10_000, size: 10 });
  const ask = counting();
  for (const key of ['a 1', 'a 2', 'b 1']) await memory.recall(key, ask);
  memory.forget('a');
  expect([await memory.recall('a 1', ask), await memory.recall('b 1', ask)]).toEqual([4, 3]);
});
