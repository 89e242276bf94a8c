import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { githubStanding, whatWaitsForGitHub } from '../../src/reports/github-standing.js';
import { PLENTY, World } from './world.js';

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterAll(() => world.close());

const lines = async () => (await whatWaitsForGitHub(world.db)).map((line) => line.replace(/\d{4}-\S+Z/, '<time>'));

test('tells for each installation what was written, what GitHub says is left, and what waits', async () => {
  world.handlers = world.reportsWith(PLENTY).handlers;
  const run = await world.createRun(await world.push());
  await world.report(run);
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  await world.report(run);
  expect(await githubStanding(world.db)).toEqual([
    {
      installation: world.installation,
      account: 'acme',
      writesLastMinute: 2,
      writesLastHour: 2,
      rateLimit: 100_000,
      rateRemaining: 99_999,
      rateReset: expect.any(Date),
      closedUntil: null,
      failingSince: null,
      failure: null,
      waiting: 1,
      oldestSeconds: expect.any(Number),
    },
  ]);
  expect(await lines()).toEqual([]);
});

test('says since when GitHub is away, until it answers', async () => {
  const run = await world.createRun(await world.push());
  const outage = world.github.misbehave({ how: { status: 503, message: 'Unicorn!' } });
  for (let tries = 0; tries < 2; tries++) await expect(world.report(run)).rejects.toThrow();
  await world.github.until('a note', async () => (await lines()).length > 0);
  expect(await lines()).toEqual(['acme: 2 effects wait: GitHub is away since <time>']);
  expect(await githubStanding(world.db)).toMatchObject([{ failure: expect.stringContaining('Unicorn!') }]);
  outage.stop();
  await world.report(run);
  await world.github.until('its end', async () => (await githubStanding(world.db))[0]?.failingSince === null);
});

test('says until when GitHub asked for a pause', async () => {
  world.handlers = world.reportsWith(PLENTY).handlers;
  const run = await world.createRun(await world.push());
  world.github.misbehave({ times: 1, how: { status: 429, headers: { 'retry-after': '60' } } });
  await expect(world.report(run)).rejects.toThrow();
  expect(await lines()).toEqual(['acme: 3 effects wait: GitHub asked for a pause until <time>']);
  await sql`update github_budgets set closed_until = now()`.execute(world.db);
  expect(await lines()).toEqual([]);
});
