import fc from 'fast-check';
import { describeDuration, parseDuration, parseSize } from '../src/units.js';

test('a time has a unit; without one it is in seconds', () => {
  expect(['90s', '15m', '15 min', '2h', '1D', '0', '15'].map(parseDuration)).toEqual([
    90_000, 900_000, 900_000, 7_200_000, 86_400_000, 0, 15_000,
  ]);
  for (const wrong of ['', '-1m', '1.5h', '15 minutes', 'm', '1e3s', '9999999999s']) {
    expect(parseDuration(wrong)).toBeUndefined();
  }
});

test('a size has a unit; without one it is in bytes', () => {
  expect(['512M', '10g', '1.5 GiB', '1TB', '0', '1048576'].map(parseSize)).toEqual([
    512 * 1024 ** 2,
    10 * 1024 ** 3,
    1.5 * 1024 ** 3,
    1024 ** 4,
    0,
    1024 ** 2,
  ]);
  for (const wrong of ['', '-1G', '1.G', 'lots', 'G']) expect(parseSize(wrong)).toBeUndefined();
});

test('a time is told as a person would', () => {
  expect([900_000, 30_000, 5_400_000, 1_000, 90_061_000, 0].map(describeDuration)).toEqual([
    '15 minutes',
    '30 seconds',
    '1 hour 30 minutes',
    '1 second',
    '1 day 1 hour',
    '0 seconds',
  ]);
});

test('whatever is told of a time, it is short', () => {
  fc.assert(
    fc.property(fc.nat(), (ms) =>
      /^\d+ (day|hour|minute|second)s?( \d+ (hour|minute|second)s?)?$/.test(describeDuration(ms)),
    ),
  );
});
