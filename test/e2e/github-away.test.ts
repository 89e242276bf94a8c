import { expect, test } from '@jest/globals';
import { outage } from '../chaos/outage.js';

test('runs end while GitHub rejects everything; after it, every check run is right with at most two calls each', async () => {
  const figures = await outage({ backend: 'postgres', workers: 0, seconds: 25, workspaces: 10, pushes: 5 });
  expect(figures).toMatchObject({ runs: 50, endedWhileAway: 50, wrong: [] });
  expect(figures.secondsToCatchUp).toBeLessThan(120);
  expect(figures.calls).toBeLessThanOrEqual(2 * figures.checkRuns);
  expect(figures.mostForOne).toBeLessThanOrEqual(2);
  expect(figures.busiestMinute).toBeLessThanOrEqual(80);
  // One call asks whether it is back, ever more rarely; what was under way when it went away has failed once.
  expect(figures.askedWhileAway).toBeLessThan(60 + figures.secondsAway);
}, 900_000);
