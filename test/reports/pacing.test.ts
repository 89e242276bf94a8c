import { expect, test } from '@jest/globals';
import fc from 'fast-check';
import { RetryLater } from '../../src/queue/outbox-pump.js';
import { Budget, pauseBetweenReports } from '../../src/reports/pacing.js';

test('never more writes in any minute than allowed, and what is put off goes out later', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 20 }), fc.array(fc.nat(20_000), { maxLength: 100 }), (most, gaps) => {
      let now = 0;
      const budget = new Budget(most, () => now);
      const sent: number[] = [];
      for (const gap of gaps) {
        now += gap;
        try {
          budget.spend(1, true);
        } catch (error) {
          if (!(error instanceof RetryLater)) throw error;
          now += error.ms;
          budget.spend(1, true);
        }
        sent.push(now);
      }
      for (const [index, at] of sent.entries()) {
        const before = sent[index - most];
        if (before !== undefined) expect(at - before).toBeGreaterThanOrEqual(60_000);
      }
    }),
  );
});

test('keeps a part of the budget for what is final', () => {
  const budget = new Budget(8, () => 0);
  for (let sent = 0; sent < 6; sent++) budget.spend(1, false);
  expect(() => budget.spend(1, false)).toThrow(RetryLater);
  budget.spend(1, true);
  budget.spend(1, true);
  expect(() => budget.spend(1, true)).toThrow(RetryLater);
});

test('a pause that GitHub asks for holds for that installation alone', () => {
  let now = 0;
  const budget = new Budget(8, () => now);
  budget.close(1, 5_000);
  expect(() => budget.enter(1)).toThrow(RetryLater);
  budget.enter(2);
  now = 5_000;
  budget.enter(1);
});

test('progress is told every 2 s at first, every 30 s in the end', () => {
  expect([0, 8_000, 40_000, 3_600_000].map(pauseBetweenReports)).toEqual([2_000, 2_000, 10_000, 30_000]);
});
