import fc from 'fast-check';
import { dispatchPriority } from '../../src/queue/dispatch-order.js';
import type { StageJob } from '../../src/queue/outbox.js';

const MINUTE = 60_000;
const job = (stage: 'plan' | 'apply', speculative = false): StageJob => ({
  run: 'run-1',
  workspace: 1,
  speculative,
  stage,
  attempt: 0,
});
const kinds = { apply: job('apply'), plan: job('plan'), speculative: job('plan', true) };
const kind = fc.constantFrom(...Object.values(kinds));
const time = fc.integer({ min: Date.UTC(2026, 0, 1), max: Date.UTC(2044, 0, 1) });

test('what comes at the same time goes in the order of its kinds', () => {
  fc.assert(
    fc.property(time, (now) => {
      expect(dispatchPriority(kinds.apply, now)).toBeLessThan(dispatchPriority(kinds.plan, now));
      expect(dispatchPriority(kinds.plan, now)).toBeLessThan(dispatchPriority(kinds.speculative, now));
    }),
  );
});

test('nothing overtakes what has waited for 35 minutes', () => {
  fc.assert(
    fc.property(kind, kind, time, (waiting, newer, since) => {
      expect(dispatchPriority(waiting, since)).toBeLessThan(dispatchPriority(newer, since + 35 * MINUTE));
    }),
  );
});

test('nothing overtakes its own kind', () => {
  fc.assert(
    fc.property(kind, time, fc.nat(), (each, since, later) => {
      expect(dispatchPriority(each, since)).toBeLessThanOrEqual(dispatchPriority(each, since + later));
    }),
  );
});

test('whatever a clock says, it is a priority that BullMQ takes', () => {
  fc.assert(
    fc.property(kind, fc.integer({ min: -1e13, max: 1e14 }), (each, now) => {
      const priority = dispatchPriority(each, now);
      return Number.isInteger(priority) && priority >= 1 && priority < 2 ** 21;
    }),
  );
});
