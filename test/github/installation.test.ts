import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Person } from '../support/github/index.js';
import { World } from './world.js';

let world: World;
let alice: Person;
let counter = 0;

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
});
afterAll(() => world.close());
beforeEach(() => world.forgetRuns());

async function pushed() {
  await alice.push(world.repo, { files: { 'network/main.tf': `# ${counter++}\n` } });
  await world.settle();
  return world.run('network');
}

test('uninstalled, the runs that wait are discarded, and say why; one under way goes on to its end', async () => {
  const planning = await world.plan(await pushed(), 'unfinished');
  const waiting = await pushed();
  world.github.uninstall('acme');
  await world.settle();
  expect(await world.present(planning)).toMatchObject({ state: 'planning' });
  expect(await world.present(waiting)).toMatchObject({ state: 'discarded' });
  const events = await world.db.selectFrom('run_events').selectAll().where('run_id', '=', waiting.id).execute();
  expect(events.at(-1)?.detail).toBe('The GitHub App was uninstalled.');
});

test('installed again, the repository follows to its new installation and is planned as before', async () => {
  const { id } = world.github.install(world.repo);
  await world.settle();
  const row = await world.db.selectFrom('repositories').selectAll().executeTakeFirstOrThrow();
  expect(row.installation_id).toBe(id);
  await pushed();
  expect(await world.list()).toEqual(['network: push pending']);
});

test('no delivery was given up', async () => {
  expect(await world.givenUp()).toEqual([]);
});
