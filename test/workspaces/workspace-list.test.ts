import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Run, Workspace } from '../../src/db/schema.js';
import { cancelRun, discardRun } from '../../src/runs/actions.js';
import { BadCursor } from '../../src/runs/run-list.js';
import { findWorkspace, listWorkspaces, type WorkspacesWanted } from '../../src/workspaces/workspace-list.js';
import { RunsWorld } from '../runs/world.js';

let world: RunsWorld;
let never: Workspace;
let waits: Workspace;
let holds: Workspace;
let ended: Workspace;
let endedLater: Workspace;

const discard = (run: Run) => world.inTransaction((tx) => discardRun(tx, run, 'Not wanted.', 'bob'));

beforeAll(async () => {
  world = await RunsWorld.open();
  const repositories = [
    { id: 2, installation_id: 2, owner: 'Globex', name: 'Cloud', default_branch: 'main' },
    { id: 3, installation_id: 2, owner: 'globex', name: 'cloud', default_branch: 'main', removed_at: new Date() },
  ];
  await world.db.insertInto('repositories').values(repositories).execute();
  never = await world.workspace();
  waits = await world.workspace();
  holds = await world.workspace();
  ended = await world.workspace();
  endedLater = await world.workspace();
  await discard(await world.push(ended));
  await discard(await world.push(endedLater));
  await world.push(waits);
  await world.push(waits);
  await world.plan(await world.push(holds));
  await world.push(holds);
  // Speculative plans are no matter of the queue.
  await world.speculative(never);
});
afterAll(() => world.close());

const list = (wanted: Partial<WorkspacesWanted> = {}) =>
  listWorkspaces(world.db, { repositories: [1, 2, 3], ...wanted });
const names = async (wanted: Partial<WorkspacesWanted> = {}) =>
  (await list(wanted)).rows.map(({ workspace, run }) => `${workspace.name} ${run?.state ?? 'never run'}`);

test('what works or waits for a person comes first, then what is pending, what ended, and what never ran', async () => {
  expect(await names()).toEqual([
    `${holds.name} needs_confirmation`,
    `${waits.name} pending`,
    `${endedLater.name} discarded`,
    `${ended.name} discarded`,
    `${never.name} never run`,
  ]);
  const [first] = (await list()).rows;
  expect(first).toMatchObject({ repository: { id: 1, owner: 'acme', name: 'infra' }, workspace: { id: holds.id } });
  expect(first?.workspace).toEqual(
    await world.db.selectFrom('workspaces').selectAll().where('id', '=', holds.id).executeTakeFirstOrThrow(),
  );
});

test('a pending workspace is shown with the run that is next', async () => {
  const run = (await list({ search: waits.name })).rows[0]?.run;
  const oldest = await world.db
    .selectFrom('runs')
    .select('id')
    .where('workspace_id', '=', waits.id)
    .orderBy('sequence')
    .executeTakeFirst();
  expect(run?.id).toBe(oldest?.id);
});

test('filters narrow the list by name, state and repository', async () => {
  expect(await names({ search: never.name.toUpperCase() })).toEqual([`${never.name} never run`]);
  expect(await names({ search: '%' })).toEqual([]);
  expect(await names({ search: '\0' })).toHaveLength(5);
  expect(await names({ state: 'discarded' })).toEqual([`${endedLater.name} discarded`, `${ended.name} discarded`]);
  expect(await names({ state: 'pending' })).toEqual([`${waits.name} pending`]);
  expect(await names({ repository: 'ACME/Infra' })).toHaveLength(5);
  expect(await names({ repository: 'acme' })).toEqual([]);
  expect(await names({ repository: "acme/in'fra\0/x" })).toEqual([]);
});

test('only what is in the given repositories is seen', async () => {
  expect(await names({ repositories: [] })).toEqual([]);
  expect(await names({ repositories: [2] })).toEqual([]);
});

test('pages lead down and up again', async () => {
  const all = await names();
  const first = await list({ limit: 2 });
  const second = await list({ limit: 2, before: first.older });
  const third = await list({ limit: 2, before: second.older });
  const shown = [first, second, third].flatMap(({ rows }) => rows.map(({ workspace }) => workspace.name));
  expect(shown).toEqual(all.map((line) => line.split(' ')[0]));
  expect([first.newer, third.older]).toEqual([undefined, undefined]);
  expect(await list({ limit: 2, after: third.newer })).toEqual(second);
  expect(await list({ limit: 2, after: second.newer })).toEqual(first);
  await expect(list({ before: 'x' })).rejects.toThrow(BadCursor);
});

test('what was removed is in no list, and is still found by its name', async () => {
  const gone = await world.workspace();
  await world.db.updateTable('workspaces').set({ removed_at: new Date() }).where('id', '=', gone.id).execute();
  expect(await names({ search: gone.name })).toEqual([]);
  expect(await findWorkspace(world.db, 'acme', 'infra', gone.name)).toMatchObject({ workspace: { id: gone.id } });
});

test('a workspace is found by its place, whatever the case, in the repository that has the name now', async () => {
  const values = {
    directory: '.',
    branch: 'main',
    auto_apply: false,
    trigger_prefixes: [],
    trigger_patterns: [],
    apply_requirements: [],
    supersede_pending: false,
  };
  await world.db
    .insertInto('workspaces')
    .values([2, 3].map((repository_id) => ({ ...values, repository_id, name: 'network' })))
    .execute();
  const found = await findWorkspace(world.db, 'gloBex', 'CLOUD', 'Network');
  expect(found).toMatchObject({ workspace: { name: 'network' }, repository: { id: 2, owner: 'Globex' } });
  expect(await findWorkspace(world.db, 'globex', 'cloud', 'other')).toBeUndefined();
  expect(await findWorkspace(world.db, 'globex\0', 'cloud', 'network')).toBeUndefined();
  // Of a repository that was removed nothing is listed.
  expect(await names({ repositories: [2, 3], search: 'network' })).toEqual(['network never run']);
});

test('a run that holds comes to the end of its workspace’s list of states with it', async () => {
  const workspace = await world.workspace();
  const run = await world.begin(await world.push(workspace));
  expect(await names({ search: workspace.name })).toEqual([`${workspace.name} planning`]);
  const planned = await world.plan(run);
  const confirmed = await world.confirm(planned);
  await world.inTransaction((tx) => cancelRun(tx, confirmed, 'Stop it.', 'bob'));
  expect(await names({ search: workspace.name })).toEqual([`${workspace.name} canceled`]);
});
