import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { addComment } from '../../src/runs/comments.js';
import { findRunDetail } from '../../src/runs/run-detail.js';
import { lockWorkspace } from '../../src/workspaces/lock.js';
import { RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

test('a pending run is shown with what it waits for', async () => {
  const workspace = await world.workspace();
  const holder = await world.plan(await world.push(workspace));
  const run = await world.push(workspace);
  await world.inTransaction((tx) => lockWorkspace(tx, workspace.id, { by: 'alice', reason: 'freeze' }));
  const detail = await findRunDetail(world.db, run.id);
  expect(detail).toMatchObject({
    run: { id: run.id },
    workspace: { id: workspace.id, locked_by: 'alice' },
    repository: { owner: 'acme', name: 'infra' },
    explanation: { waitsFor: { run: holder.id, state: 'needs_confirmation' }, lock: { by: 'alice', reason: 'freeze' } },
    pullRequest: undefined,
    githubCheckRun: undefined,
    newest: run.id,
  });
  expect(detail?.timeline.map(({ type }) => type)).toEqual(['created']);
  expect(await findRunDetail(world.db, holder.id)).toMatchObject({ explanation: undefined, newest: run.id });
});

test('what is said of the run ahead does not make it seem newer', async () => {
  const workspace = await world.workspace();
  const holder = await world.begin(await world.push(workspace));
  const run = await world.push(workspace);
  const since = async () => (await findRunDetail(world.db, run.id))?.explanation?.waitsFor?.since;
  const before = await since();
  await world.inTransaction((tx) => addComment(tx, holder, 'bob', 'It takes its time.'));
  expect(await since()).toEqual(before);
});

test('a run of a pull request is shown with that, its check run, and the plan that was reviewed', async () => {
  const workspace = await world.workspace();
  const pull = { repository_id: 1, number: 5, title: 'A change', state: 'open' as const, draft: false, fork: false };
  const ends = { head_ref: 'x', head_sha: 'h', base_ref: 'main', base_sha: 'b', author: 'alice' };
  await world.db
    .insertInto('pull_requests')
    .values({ ...pull, ...ends })
    .execute();
  const older = await world.plan(await world.speculative(workspace));
  const plan = await world.plan(await world.speculative(workspace));
  const request = world.request(workspace);
  const approval = { pullRequest: 5, reviewedRun: plan.id, approvedBy: 'alice', commitSha: plan.commit_sha };
  const { run } = await world.create({ ...request, trigger: 'comment', ...approval });
  for (const [attempt, github_id] of [
    [1, 7001],
    [2, 7002],
    [3, null],
  ] as const) {
    const check = { repository_id: 1, head_sha: run.commit_sha, name: 'signalbox/x', run_id: run.id, github_id };
    await world.db
      .insertInto('check_runs')
      .values({ ...check, external_id: `${run.id}/plan/${attempt}` })
      .execute();
  }
  expect(await findRunDetail(world.db, run.id)).toMatchObject({
    pullRequest: { number: 5, title: 'A change' },
    githubCheckRun: 7002,
    newest: run.id,
  });
  expect(await findRunDetail(world.db, plan.id)).toMatchObject({ appliedAs: run.id, newest: plan.id });
  expect(await findRunDetail(world.db, older.id)).toMatchObject({ appliedAs: undefined, newest: plan.id });
});

test('a superseded run names the one in its place', async () => {
  const workspace = await world.workspace({ supersede_pending: true });
  await world.begin(await world.push(workspace));
  const old = await world.push(workspace);
  const next = await world.push(workspace);
  expect(await findRunDetail(world.db, old.id)).toMatchObject({ run: { superseded_by: next.id }, newest: next.id });
});

test.each(['run-nobodyHasIt', '', '1', 'run-', "run-x' or 1=1", 'run-\0', 'RUN-1'])(
  'there is no run %p',
  async (id) => {
    expect(await findRunDetail(world.db, id)).toBeUndefined();
  },
);
