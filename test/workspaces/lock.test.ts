import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Workspace } from '../../src/db/schema.js';
import { discardRun } from '../../src/runs/actions.js';
import { startableStages } from '../../src/runs/startable.js';
import { lockWorkspace, unlockWorkspace } from '../../src/workspaces/lock.js';
import { RunsWorld } from '../runs/world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());
beforeEach(() => world.delivered());

const lock = ({ id }: Pick<Workspace, 'id'>, reason: string | null = null, by: string | null = 'alice') =>
  world.inTransaction((tx) => lockWorkspace(tx, id, { by, reason }));
const unlock = ({ id }: Pick<Workspace, 'id'>) => world.inTransaction((tx) => unlockWorkspace(tx, id));
const startable = async ({ id }: Pick<Workspace, 'id'>) =>
  (await startableStages(world.db, 0)).filter(({ workspace }) => workspace === id).map(({ run }) => run);

test('a lock says who, when and why; a second one changes nothing', async () => {
  const workspace = await world.workspace();
  expect(await lock(workspace, 'migration')).toMatchObject({ locked_by: 'alice', lock_reason: 'migration' });
  expect(await lock(workspace, 'mine', 'bob')).toBeUndefined();
  expect(await unlock(workspace)).toMatchObject({ locked_at: null, locked_by: null, lock_reason: null });
  expect(await unlock(workspace)).toBeUndefined();
});

test('runs of a locked workspace are created, wait in order, and go on after it', async () => {
  const workspace = await world.workspace();
  await lock(workspace);
  const runs = [await world.push(workspace), await world.push(workspace)];
  expect(await world.effects()).toEqual(runs.map(({ id }) => `run_report ${id}`));
  for (const run of runs) expect(await world.claim(run)).toBeUndefined();
  expect(await startable(workspace)).toEqual([]);
  await world.delivered();
  await unlock(workspace);
  const [first, second] = runs.map(({ id }) => id);
  expect(await world.effects()).toEqual([`job ${first}-plan-0`, `run_report ${first}`, `run_report ${second}`]);
  expect(await startable(workspace)).toEqual([first]);
});

test('the run that holds goes on to its end, and the next one waits', async () => {
  const run = await world.in('planning');
  const workspace = { ...(await world.workspace()), id: run.workspace_id };
  const next = await world.push(workspace);
  await world.delivered();
  await lock(workspace);
  expect(await world.effects()).toEqual([`run_report ${next.id}`]);
  const confirmed = await world.confirm(await world.plan(run));
  expect((await world.begin(confirmed, 'apply')).state).toBe('applying');
  const other = await world.in('needs_confirmation');
  await lock({ id: other.workspace_id });
  const waiting = await world.push({ ...workspace, id: other.workspace_id });
  await world.delivered();
  await world.inTransaction((tx) => discardRun(tx, other, 'Not wanted.', 'bob'));
  expect(await world.effects()).not.toContain(`job ${waiting.id}-plan-0`);
});

test('speculative plans go on', async () => {
  const workspace = await world.workspace();
  await lock(workspace);
  const plan = await world.speculative(workspace);
  expect(await world.effects()).toContain(`job ${plan.id}-plan-0`);
  expect((await world.begin(plan)).state).toBe('planning');
});

test('a pending run may be discarded while its workspace is locked', async () => {
  const workspace = await world.workspace();
  const run = await world.push(workspace);
  await lock(workspace);
  expect(await world.inTransaction((tx) => discardRun(tx, run, 'Not wanted.', 'bob'))).toMatchObject({ done: true });
});

test('a lock and a run that is created in the same moment: after the unlock it is queued', async () => {
  for (let round = 0; round < 20; round++) {
    const workspace = await world.workspace();
    await lock(workspace);
    await world.delivered();
    const [run] = await Promise.all([world.push(workspace), unlock(workspace)]);
    expect(await world.effects()).toContain(`job ${run.id}-plan-0`);
  }
});

test('comments on open pull requests that show the workspace are brought up to date, the newest ones', async () => {
  const workspace = await world.workspace();
  const row = { repository_id: 1, title: 'A change', draft: false, fork: false, head_ref: 'x', head_sha: 'h' };
  const rest = { base_ref: 'main', base_sha: 'b', author: 'alice', affected_sha: 'h' };
  const pull = (number: number, state: 'open' | 'closed', affected: number[], comment: number | null) =>
    world.db
      .insertInto('pull_requests')
      .values({ ...row, ...rest, number, state, affected, comment_id: comment })
      .execute();
  await pull(901, 'open', [workspace.id], 1);
  await pull(902, 'closed', [workspace.id], 1);
  await pull(903, 'open', [], 1);
  await pull(904, 'open', [workspace.id], null);
  await lock(workspace);
  expect(await world.effects()).toEqual(['pull_request_report 1/901']);
});
