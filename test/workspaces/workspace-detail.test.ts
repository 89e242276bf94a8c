import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { queueOf, settingsOf } from '../../src/workspaces/workspace-detail.js';
import { RunsWorld } from '../runs/world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

test('the queue has the run that holds the workspace, and those that wait, in order', async () => {
  const workspace = await world.workspace();
  expect(await queueOf(world.db, workspace)).toEqual({
    holder: undefined,
    pending: [],
    pendingCount: 0,
    explanation: undefined,
  });
  const holder = await world.begin(await world.push(workspace));
  const [first, second] = [await world.push(workspace), await world.push(workspace)];
  await world.speculative(workspace);
  const queue = await queueOf(world.db, workspace);
  expect(queue.holder).toMatchObject({ id: holder.id, state: 'planning' });
  expect(queue.pending.map(({ id }) => id)).toEqual([first?.id, second?.id]);
  expect(queue.pendingCount).toBe(2);
  expect(queue.explanation).toMatchObject({ ahead: 0, waitsFor: { run: holder.id } });
});

test('a long queue is cut, and counted', async () => {
  const workspace = await world.workspace();
  for (let count = 0; count < 52; count++) await world.push(workspace);
  const { pending, pendingCount } = await queueOf(world.db, workspace);
  expect([pending.length, pendingCount]).toEqual([50, 52]);
});

test('settings say where each of them comes from', async () => {
  const workspace = await world.workspace({ auto_apply: true });
  const origins = (settings_origin: typeof workspace.settings_origin) =>
    Object.fromEntries(
      settingsOf({ ...workspace, settings_origin }).settings.map(({ key, origin }) => [
        key,
        typeof origin === 'string' ? origin : origin.line,
      ]),
    );
  const written = { sha: 'abc', lines: { name: 2, directory: 3, 'auto-apply': 7 } };
  expect(settingsOf({ ...workspace, settings_origin: written })).toMatchObject({ sha: 'abc' });
  expect(settingsOf({ ...workspace, settings_origin: written }).settings.slice(2, 4)).toEqual([
    { key: 'branch', value: 'main', origin: 'default' },
    { key: 'auto-apply', value: true, origin: { file: '.github/signalbox.yml', line: 7 } },
  ]);
  const defaults = { branch: 'default', 'trigger-prefixes': 'default', 'trigger-patterns': 'default' };
  const rest = { ...defaults, 'apply-requirements': 'default', 'supersede-pending': 'default' };
  expect(origins(written)).toEqual({ name: 2, directory: 3, 'auto-apply': 7, ...rest });
  expect(origins({ sha: 'abc' })).toEqual({
    name: 'discovered',
    directory: 'discovered',
    'auto-apply': 'default',
    ...rest,
  });
  expect(new Set(Object.values(origins(null)))).toEqual(new Set(['unknown']));
  const found = { ...workspace, trigger_prefixes: ['modules/vpc'], settings_origin: { sha: 'abc' } };
  expect(settingsOf(found).settings.find(({ key }) => key === 'trigger-prefixes')?.origin).toBe('discovered');
});
