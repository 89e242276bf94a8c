import { beforeEach, describe, expect, test } from '@jest/globals';
import { RANK } from '../../src/queue/effect-order.js';
import { GateClosed } from '../../src/queue/outbox-pump.js';
import { InstallationGate } from '../../src/reports/installation-gate.js';

const down = new Error('503');
let now: number;
let gate: InstallationGate;
let told: string[];
beforeEach(() => {
  now = 0;
  told = [];
  gate = new InstallationGate({
    now: () => now,
    onAway: () => told.push('away'),
    onBack: (_, { wasAway, long }) => told.push(wasAway ? `back ${long}` : 'there'),
  });
});

/** One delivery after the other fails for so long; how often GitHub was asked. */
function outage(ms: number): number {
  let asked = 0;
  for (const end = now + ms; now < end; now += 100) {
    if (!gate.enter(1, RANK.final)) continue;
    asked += 1;
    gate.failed(1, 'write', down);
    gate.leave(1);
  }
  return asked;
}

describe('while GitHub is away', () => {
  test('one call every 15 s asks whether it is back; the first answer lets everything in', () => {
    expect(outage(600_000)).toBeLessThan(50);
    now += 15_000;
    expect(gate.enter(1, RANK.final)).toBe(true);
    expect(gate.enter(1, RANK.final)).toBe(false);
    gate.answered(1, 'write');
    expect([gate.enter(1, RANK.final), gate.enter(1, RANK.progress)]).toEqual([true, true]);
    expect(told.at(-1)).toBe('back true');
  });

  test('other installations go on', () => {
    outage(60_000);
    expect(gate.closures().every(({ lane }) => lane === 1)).toBe(true);
    expect(gate.enter(2, RANK.progress)).toBe(true);
  });

  test('what had begun before fails all at once, and counts once', () => {
    for (let begun = 0; begun < 24; begun++) gate.enter(1, RANK.final);
    for (let begun = 0; begun < 24; begun++) {
      gate.failed(1, 'write', down);
      gate.leave(1);
    }
    expect(gate.closures()).toEqual([{ lane: 1, rank: RANK.free, ms: 1_000 }]);
  });

  test('that it can be read is no sign that it can be written', () => {
    outage(60_000);
    now += 15_000;
    gate.enter(1, RANK.final);
    gate.answered(1, 'read');
    expect(told).not.toContain('back true');
    gate.failed(1, 'write', down);
    gate.leave(1);
    expect(gate.enter(1, RANK.final)).toBe(false);
  });

  test('a delivery that asked nothing of GitHub is followed by the next one', () => {
    outage(60_000);
    now += 15_000;
    let opened = 0;
    gate.onOpen(() => {
      opened += 1;
    });
    gate.enter(1, RANK.final);
    gate.leave(1);
    expect([opened, gate.enter(1, RANK.final)]).toEqual([1, true]);
  });
});

test('one report that fails again and again, between others that do not, closes nothing', () => {
  for (let report = 0; report < 20; report++) {
    gate.failed(1, 'write', down);
    gate.answered(1, 'write');
  }
  expect(gate.closures()).toEqual([]);
  expect(told).toEqual(['there']);
});

test('a pause that GitHub asks for keeps everything out, and stops what has begun at its next request', () => {
  gate.silence(1, 5_000);
  expect(gate.enter(1, RANK.free)).toBe(false);
  expect(() => gate.check(1)).toThrow(GateClosed);
  gate.check(2);
  now = 5_000;
  gate.check(1);
  expect(gate.enter(1, RANK.free)).toBe(true);
});

describe('when the budget is short', () => {
  test('a rank that has none left stays out with the less urgent ones, until it has', () => {
    gate.judged(1, RANK.final, { granted: true, next: 3_000, ample: true });
    expect([RANK.answer, RANK.final, RANK.progress].map((rank) => gate.enter(1, rank))).toEqual([true, false, false]);
    now = 3_000;
    expect(gate.enter(1, RANK.progress)).toBe(true);
  });

  test('one report goes after the other, so that none is made for nothing', () => {
    gate.judged(1, RANK.final, { granted: true, next: 0, ample: false });
    expect([gate.enter(1, RANK.final), gate.enter(1, RANK.answer), gate.enter(1, RANK.free)]).toEqual([
      true,
      false,
      true,
    ]);
    gate.leave(1);
    gate.leave(1);
    expect(gate.enter(1, RANK.answer)).toBe(true);
    gate.judged(1, RANK.answer, { granted: true, next: 0, ample: true });
    expect(gate.enter(1, RANK.final)).toBe(true);
  });
});

describe("GitHub's own limit", () => {
  const rate = (remaining: number, minutes = 30) => ({
    limit: 5_000,
    remaining,
    reset: new Date(Date.now() + minutes * 60_000),
  });

  test('is remembered, the least of answers that overtook each other', () => {
    gate.count(1, rate(4_000));
    gate.count(1, rate(4_001));
    expect(gate.rateOf(1)?.remaining).toBe(4_000);
    gate.count(1, rate(4_999, 90));
    expect(gate.rateOf(1)?.remaining).toBe(4_999);
  });

  test('below a fifth of it progress is left out, and the rest is spread over the time that is left', () => {
    gate.count(1, rate(1_000));
    expect(gate.enter(1, RANK.progress)).toBe(true);
    gate.leave(1);
    gate.count(1, rate(900));
    expect([gate.enter(1, RANK.answer), gate.enter(1, RANK.final)]).toEqual([true, false]);
    now = 2_001;
    expect([gate.enter(1, RANK.progress), gate.enter(1, RANK.final)]).toEqual([false, true]);
  });

  test('with nothing left nothing is asked until it is reset', () => {
    gate.count(1, rate(0, 1));
    now = 59_000;
    expect(gate.enter(1, RANK.answer)).toBe(false);
    now = 60_001;
    expect(gate.enter(1, RANK.answer)).toBe(true);
  });
});
