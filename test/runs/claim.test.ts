import { sql } from 'kysely';
import { discardRun } from '../../src/runs/actions.js';
import { startableStages } from '../../src/runs/startable.js';
import { registeredWorker } from '../support/workers.js';
import { RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

test('of workers that claim a stage at once, one gets it', async () => {
  for (let round = 0; round < 10; round++) {
    const run = await world.push(await world.workspace());
    const claims = await Promise.all(['a', 'b', 'c', 'd'].map((worker) => world.claim(run, 'plan', worker)));
    const [claimed, ...others] = claims.filter((claim) => claim !== undefined);
    expect(others).toEqual([]);
    expect(claimed).toMatchObject({ state: 'planning', attempt: 1 });
    expect((await world.now(run)).worker).toBe(claimed?.worker);
    expect(await world.timeline(run)).toEqual(['pending: created, alice', 'planning: plan_started']);
  }
});

test('an apply is claimed once, too', async () => {
  const confirmed = await world.in('confirmed');
  const claims = await Promise.all(['a', 'b', 'c'].map((worker) => world.claim(confirmed, 'apply', worker)));
  expect(claims.filter((claim) => claim !== undefined)).toHaveLength(1);
});

test('the oldest pending run goes first, whoever asks for a later one', async () => {
  const workspace = await world.workspace();
  const [first, second, third] = [
    await world.push(workspace),
    await world.push(workspace),
    await world.push(workspace),
  ];
  expect(await world.claim(second)).toBeUndefined();
  expect(await world.claim(third)).toBeUndefined();
  const planning = await world.begin(first);
  expect(await world.claim(second)).toBeUndefined();
  await world.plan(planning, { changes: false });
  expect(await world.claim(third)).toBeUndefined();
  expect(await world.claim(second)).toMatchObject({ state: 'planning' });
});

test('a run that waits for a person keeps the others waiting', async () => {
  const run = await world.in('needs_confirmation');
  const workspace = await world.db
    .selectFrom('workspaces')
    .selectAll()
    .where('id', '=', run.workspace_id)
    .executeTakeFirstOrThrow();
  const next = await world.push(workspace);
  expect(await world.claim(next)).toBeUndefined();
  await world.inTransaction((tx) => discardRun(tx, run, 'Not wanted.', 'bob'));
  expect(await world.claim(next)).toBeDefined();
});

test('speculative plans wait for nobody, and nobody waits for them', async () => {
  const run = await world.in('planning');
  const workspace = { ...(await world.workspace()), id: run.workspace_id };
  const plans = [await world.speculative(workspace), await world.speculative(workspace, 6)];
  for (const plan of plans) expect(await world.claim(plan)).toMatchObject({ state: 'planning' });
});

test('whatever goes wrong, the record has one run that holds a workspace', async () => {
  const holding = await world.in('applying');
  const other = await world.push({ ...(await world.workspace()), id: holding.workspace_id });
  for (const state of ['planning', 'needs_confirmation', 'confirmed', 'applying'] as const) {
    const forced = world.db
      .updateTable('runs')
      .set({ state, worker: 'w', confirmed_by: 'x' })
      .where('id', '=', other.id)
      .execute();
    await expect(forced).rejects.toThrow('runs_holding');
  }
});

test('a job of another attempt, another stage or a run that moved on is stale', async () => {
  const run = await world.push(await world.workspace());
  expect(await world.claim({ ...run, attempt: 1 })).toBeUndefined();
  expect(await world.claim(run, 'apply')).toBeUndefined();
  await world.inTransaction((tx) => discardRun(tx, run, 'Not wanted.'));
  expect(await world.claim(run)).toBeUndefined();
  const confirmed = await world.in('confirmed');
  expect(await world.claim(confirmed, 'plan')).toBeUndefined();
  expect((await world.now(confirmed)).state).toBe('confirmed');
});

test('an apply of a pull request holds its workspace for it, from the moment it starts', async () => {
  const workspace = await world.workspace();
  const reviewed = await world.plan(await world.speculative(workspace));
  const confirmed = await world.plan(await world.approved(workspace, reviewed));
  expect(confirmed.state).toBe('confirmed');
  const holdOf = () =>
    world.db
      .selectFrom('workspaces')
      .select(['held_pull_request', 'held_head_sha'])
      .where('id', '=', workspace.id)
      .executeTakeFirst();
  expect(await holdOf()).toEqual({ held_pull_request: null, held_head_sha: null });
  await world.begin(confirmed, 'apply');
  expect(await holdOf()).toEqual({ held_pull_request: 5, held_head_sha: confirmed.commit_sha });
});

test('a held workspace lets only runs of its pull request through, and those that contain it', async () => {
  const workspace = await world.workspace();
  await world.db.updateTable('workspaces').set({ held_pull_request: 5 }).where('id', '=', workspace.id).execute();
  const other = await world.push(workspace);
  expect(await world.claim(other)).toBeUndefined();
  const { run: containing } = await world.create({ ...world.request(workspace), clearsHold: true });
  expect(await world.claim(containing)).toBeDefined();
  expect(await world.claim(other)).toBeUndefined();
});

test('a worker that was declared lost, or whose process is another one by now, can claim nothing', async () => {
  const run = await world.push(await world.workspace());
  await registeredWorker(world.db, 'gone');
  const worker = world.db.updateTable('workers').where('name', '=', 'gone');
  await worker.set({ lost_at: sql<Date>`now()` }).execute();
  expect(await world.claim(run, 'plan', 'gone')).toBeUndefined();
  await worker.set({ lost_at: null, process: 'its successor' }).execute();
  expect(await world.claim(run, 'plan', 'gone')).toBeUndefined();
  expect(await world.claim(run)).toMatchObject({ state: 'planning', worker: 'w1', worker_id: 'worker-w1' });
});

describe('a stage that could start and has not for a while', () => {
  const startable = async (workspace: number) =>
    (await startableStages(world.db, 0))
      .filter((job) => job.workspace === workspace)
      .map((job) => `${job.run} ${job.stage}`)
      .sort();

  test('is the plan of the next run, a speculative plan, or a confirmed apply', async () => {
    const workspace = await world.workspace();
    const [first, second] = [await world.push(workspace), await world.push(workspace)];
    const plan = await world.speculative(workspace);
    expect(await startable(workspace.id)).toEqual([`${first.id} plan`, `${plan.id} plan`].sort());
    const planned = await world.plan(first);
    expect(await startable(workspace.id)).toEqual([`${plan.id} plan`]);
    const confirmed = await world.confirm(planned);
    expect(await startable(workspace.id)).toEqual([`${confirmed.id} apply`, `${plan.id} plan`].sort());
    await world.begin(confirmed, 'apply');
    expect(await startable(workspace.id)).toEqual([`${plan.id} plan`]);
    expect((await world.now(second)).state).toBe('pending');
  });

  test('is never the apply of a pull request that has still to be checked, but one whose job was lost after that', async () => {
    const workspace = await world.workspace();
    const reviewed = await world.plan(await world.speculative(workspace));
    const confirmed = await world.plan(await world.approved(workspace, reviewed));
    expect(await world.effects()).toContain(`apply_check ${confirmed.id}`);
    expect(await startable(workspace.id)).toEqual([]);
    await world.delivered();
    expect(await startable(workspace.id)).toEqual([`${confirmed.id} apply`]);
  });
});
