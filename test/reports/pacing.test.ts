import { expect, test } from '@jest/globals';
import { pauseBetweenReports } from '../../src/reports/pacing.js';

test('progress is told every 2 s at first, every 30 s in the end', () => {
  expect([0, 8_000, 40_000, 3_600_000].map(pauseBetweenReports)).toEqual([2_000, 2_000, 10_000, 30_000]);
});
