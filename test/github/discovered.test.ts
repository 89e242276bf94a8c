import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { World } from './world.js';

let world: World;

beforeAll(async () => {
  world = await World.start({ settings: null });
});
afterAll(() => world.close());

const names = async () =>
  (
    await world.db
      .selectFrom('workspaces')
      .select(['name', 'branch', 'removed_at'])
      .where('removed_at', 'is', null)
      .orderBy('name')
      .execute()
  ).map(({ name, branch }) => `${name} on ${branch}`);

test('without a settings file root modules are workspaces, and their first push plans them', async () => {
  expect(await names()).toEqual(['app on main', 'network on main']);
  expect(await world.list()).toEqual(['app: push pending', 'network: push pending']);
});

test('a file that names them takes over, and they keep their record', async () => {
  const before = await world.db.selectFrom('workspaces').select(['id', 'name']).orderBy('id').execute();
  await world.forgetRuns();
  const settings = 'workspaces:\n  - name: network\n    directory: network\n    auto-apply: true\n';
  await world.github.as('alice').push(world.repo, { files: { '.github/signalbox.yml': settings } });
  await world.settle();
  expect(await names()).toEqual(['network on main']);
  const after = await world.db.selectFrom('workspaces').selectAll().where('removed_at', 'is', null).execute();
  expect(after).toMatchObject([{ id: before.find(({ name }) => name === 'network')?.id, auto_apply: true }]);
});

test("a file that can't be read changes no workspace, and queues nothing until it can", async () => {
  await world.github.as('alice').push(world.repo, {
    files: { '.github/signalbox.yml': 'workspaces: [', 'network/main.tf': '# meanwhile\n' },
  });
  await world.settle();
  expect(await names()).toEqual(['network on main']);
  expect(await world.list()).toEqual([]);
  expect(await world.effects('settings_report')).toMatchObject([{ problems: [{ line: 1 }] }]);
});

test("the repository's first comment finds its workspaces, though nothing was pushed since the App came", async () => {
  const alice = world.github.as('alice');
  await alice.push(world.repo, { files: { '.github/signalbox.yml': null } });
  const pull = await world.open('first');
  await world.forgetRuns();
  await world.db.deleteFrom('workspaces').execute();
  await world.db.updateTable('repositories').set({ settings_sha: null }).execute();
  expect((await world.say('alice', pull.number, 'plan network')).reactions).toEqual(['eyes', 'rocket']);
  expect(await world.list()).toEqual(['network: speculative comment pending']);
  expect(await world.givenUp()).toEqual([]);
});
