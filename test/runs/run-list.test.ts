import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Run, Workspace } from '../../src/db/schema.js';
import { discardRun } from '../../src/runs/actions.js';
import { BadCursor, latestCompletedRun, listRuns, type RunsWanted } from '../../src/runs/run-list.js';
import { RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const discard = (run: Run) => world.inTransaction((tx) => discardRun(tx, run, 'Not wanted.', 'bob'));

async function pushes(workspace: Workspace, count: number): Promise<string[]> {
  const runs: Run[] = [];
  for (let index = 0; index < count; index++) runs.push(await world.push(workspace, `c0ffee${index}`));
  return runs.map(({ id }) => id).reverse();
}

async function page(wanted: RunsWanted) {
  const { rows, newer, older } = await listRuns(world.db, wanted);
  return { ids: rows.map(({ id }) => id), newer, older };
}

test('runs are listed the newest first, twenty a page, down to the oldest and back', async () => {
  const workspace = await world.workspace();
  const ids = await pushes(workspace, 45);
  const first = await page({ workspace: workspace.id });
  expect(first).toMatchObject({ ids: ids.slice(0, 20), newer: undefined });
  const second = await page({ workspace: workspace.id, before: first.older });
  expect(second.ids).toEqual(ids.slice(20, 40));
  const third = await page({ workspace: workspace.id, before: second.older });
  expect(third).toMatchObject({ ids: ids.slice(40), older: undefined });
  const back = await page({ workspace: workspace.id, after: third.newer });
  expect(back.ids).toEqual(ids.slice(20, 40));
  expect(await page({ workspace: workspace.id, before: back.older })).toEqual(third);
  expect(await page({ workspace: workspace.id, after: back.newer })).toEqual(first);
  for (const cursor of [first.older, back.newer]) expect(encodeURIComponent(cursor ?? '')).toBe(cursor);
});

test('the way up ends with a whole first page, runs that are new since among them', async () => {
  const workspace = await world.workspace();
  const ids = await pushes(workspace, 6);
  const { older } = await page({ workspace: workspace.id, limit: 3 });
  const { newer } = await page({ workspace: workspace.id, limit: 3, before: older });
  const [added] = await pushes(workspace, 1);
  const top = await page({ workspace: workspace.id, limit: 3, after: newer });
  expect(top.ids).toEqual([...ids.slice(0, 3)]);
  expect(top.newer).toBeDefined();
  expect((await page({ workspace: workspace.id, limit: 3, after: top.newer })).ids).toEqual([
    added,
    ...ids.slice(0, 2),
  ]);
});

test('a cursor that no list has given out is refused by its name', async () => {
  const workspace = await world.workspace();
  const forged = (text: string) => Buffer.from(text).toString('base64url');
  const wrong = ['', 'x', '%', '../..', forged('runs'), forged('runs -1'), forged('runs 1e3'), forged('runs 1 2')];
  wrong.push(forged('workspaces 1 2 3'), forged('runs 9999999999999999'), forged('runs 1;drop'), 'A'.repeat(100_000));
  for (const before of wrong) {
    await expect(listRuns(world.db, { workspace: workspace.id, before })).rejects.toThrow(BadCursor);
    await expect(listRuns(world.db, { workspace: workspace.id, after: before })).rejects.toThrow(BadCursor);
  }
  const both = { before: forged('runs 1'), after: forged('runs 1') };
  await expect(listRuns(world.db, { workspace: workspace.id, ...both })).rejects.toThrow(BadCursor);
  expect(await page({ workspace: workspace.id, before: forged('runs 1') })).toMatchObject({
    ids: [],
    older: undefined,
  });
});

test('runs are found by state, and by what is known of them', async () => {
  const workspace = await world.workspace();
  const request = world.request(workspace);
  const { run: one } = await world.create({ ...request, commitSha: 'aabb01', commitMessage: 'Add 100% of a_subnet' });
  const { run: other } = await world.create({
    ...request,
    trigger: 'page',
    commitSha: 'ccdd02',
    branch: 'live',
    actor: 'carol',
    message: 'After the outage',
  });
  const plan = await world.speculative(workspace, 77);
  await discard(one);
  const found = async (search: string) => (await page({ workspace: workspace.id, search })).ids;
  expect((await page({ workspace: workspace.id, state: 'discarded' })).ids).toEqual([one.id]);
  expect(await found('100% of')).toEqual([one.id]);
  expect(await found('A_SUB')).toEqual([one.id]);
  expect(await found('aXsub')).toEqual([]);
  expect(await found('aabb')).toEqual([one.id]);
  expect(await found('outage')).toEqual([other.id]);
  expect(await found('live')).toEqual([other.id]);
  expect(await found('carol')).toEqual([other.id]);
  expect(await found(plan.id)).toEqual([plan.id]);
  expect(await found('#77')).toEqual([plan.id]);
  expect(await found('#9999999999')).toEqual([]);
  expect(await found(' \0 \\ ')).toEqual([]);
  expect(await found('  ')).toHaveLength(3);
});

test('the latest completed run is the one that ended last, whatever its number, and never a speculative one', async () => {
  const workspace = await world.workspace();
  expect(await latestCompletedRun(world.db, workspace.id)).toBeUndefined();
  await world.plan(await world.speculative(workspace));
  expect(await latestCompletedRun(world.db, workspace.id)).toBeUndefined();
  const first = await world.plan(await world.push(workspace));
  const second = await world.push(workspace);
  await discard(second);
  expect(await latestCompletedRun(world.db, workspace.id)).toBe(second.id);
  await discard(first);
  expect(await latestCompletedRun(world.db, workspace.id)).toBe(first.id);
});

test('of several that end in one moment the latest is the one that came last, in whatever order they ended', async () => {
  for (const order of [(runs: Run[]) => runs, (runs: Run[]) => runs.reverse()]) {
    const workspace = await world.workspace();
    const queued = [await world.push(workspace), await world.push(workspace), await world.push(workspace)];
    const last = queued.at(-1)?.id;
    await world.inTransaction(async (tx) => {
      for (const run of order(queued)) await discardRun(tx, run, 'The branch is gone.');
    });
    expect(await latestCompletedRun(world.db, workspace.id)).toBe(last);
  }
});

test('what ends in many workspaces at the same time is kept as it was for each of them', async () => {
  const workspaces = await Promise.all([1, 2, 3, 4].map(() => world.workspace()));
  const runs = (await Promise.all(workspaces.map(async (workspace) => [workspace, workspace, workspace]))).flat();
  const queued = await Promise.all(runs.map((workspace) => world.push(workspace)));
  await Promise.all(queued.map(discard));
  for (const { id } of workspaces) {
    const last = await world.db
      .selectFrom('runs')
      .select('ended_at')
      .where('workspace_id', '=', id)
      .orderBy('ended_at', 'desc')
      .limit(1)
      .executeTakeFirstOrThrow();
    const kept = await world.db
      .selectFrom('workspaces')
      .innerJoin('runs', 'runs.id', 'latest_run')
      .select(['latest_state', 'latest_ended_at', 'runs.ended_at'])
      .where('workspaces.id', '=', id)
      .executeTakeFirstOrThrow();
    expect(kept).toEqual({ latest_state: 'discarded', latest_ended_at: last.ended_at, ended_at: last.ended_at });
  }
});
