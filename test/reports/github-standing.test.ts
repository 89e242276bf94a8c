import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { githubBudgets } from '../../src/reports/github-standing.js';
import { PLENTY, World } from './world.js';

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world.close());

const budget = async () => (await githubBudgets(world.db, { perMinute: 80, perHour: 500 }))[0];

test('tells for each installation what was written, and what GitHub says is left', async () => {
  world.handlers = world.reportsWith(PLENTY).handlers;
  const run = await world.createRun(await world.push());
  await world.report(run);
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  await world.report(run);
  expect(await budget()).toEqual({
    installation: world.installation,
    limits: [
      { limit: 'content_minute', allowed: 80, remaining: 78 },
      { limit: 'content_hour', allowed: 500, remaining: 498 },
      { limit: 'requests', allowed: 100_000, remaining: 99_999 },
    ],
    pauseSeconds: 0,
  });
});

test('says for how long GitHub asked for a pause', async () => {
  const run = await world.createRun(await world.push());
  world.github.misbehave({ times: 1, how: { status: 429, headers: { 'retry-after': '60' } } });
  await expect(world.report(run)).rejects.toThrow();
  const pause = (await budget())?.pauseSeconds ?? 0;
  expect(pause).toBeGreaterThan(50);
  expect(pause).toBeLessThanOrEqual(60);
  await sql`update github_budgets set closed_until = now()`.execute(world.db);
  expect(await budget()).toMatchObject({ pauseSeconds: 0 });
});
