import { cancelRun, discardRun } from '../../src/runs/actions.js';
import { lockWorkspace } from '../../src/workspaces/lock.js';
import { RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());
beforeEach(() => world.delivered());

test('a run is locked to its commit and to the settings of the moment', async () => {
  const workspace = await world.workspace({ auto_apply: true });
  const run = await world.push(workspace, 'abc');
  expect(run).toMatchObject({
    state: 'pending',
    commit_sha: 'abc',
    auto_apply: true,
    attempt: 0,
    settings: {
      name: workspace.name,
      directory: workspace.directory,
      autoApply: true,
      applyRequirements: ['mergeable'],
    },
  });
  await world.db.updateTable('workspaces').set({ directory: 'elsewhere' }).where('id', '=', workspace.id).execute();
  expect((await world.now(run)).settings.directory).toBe(workspace.directory);
});

test('its id fits wherever it goes', async () => {
  const workspace = await world.workspace();
  for (let n = 0; n < 20; n++) expect((await world.push(workspace)).id).toMatch(/^run-[1-9A-HJ-NP-Za-km-z]{16}$/);
});

test('it is reported, and its plan is queued if it is the next one', async () => {
  const workspace = await world.workspace();
  const first = await world.push(workspace);
  expect(await world.effects()).toEqual([`run_report ${first.id}`, `job ${first.id}-plan-0`]);
  await world.delivered();
  const second = await world.push(workspace);
  // The first one's job is asked for again: the claim drops what comes twice.
  expect(await world.effects()).toEqual([`run_report ${second.id}`, `job ${first.id}-plan-0`]);
  await world.begin(first);
  await world.delivered();
  const third = await world.push(workspace);
  expect(await world.effects()).toEqual([`run_report ${third.id}`]);
});

test('a speculative run is queued at once, and reported on its pull request and its head', async () => {
  const workspace = await world.workspace({ auto_apply: true });
  await world.begin(await world.push(workspace));
  await world.delivered();
  const plan = await world.speculative(workspace, 8);
  expect(plan.auto_apply).toBe(false);
  expect(await world.effects()).toEqual([
    `run_report ${plan.id}`,
    'pull_request_report 1/8',
    `head_report 1/${plan.commit_sha}`,
    `job ${plan.id}-plan-0`,
  ]);
});

test('a run of a pull request never applies by itself', async () => {
  const workspace = await world.workspace({ auto_apply: true });
  const { run } = await world.create({ ...world.request(workspace), trigger: 'comment', pullRequest: 5 });
  expect(run.auto_apply).toBe(false);
});

describe('a push that comes again', () => {
  test('gets no second run in its workspace, even when the first has ended', async () => {
    const workspace = await world.workspace();
    const request = { ...world.request(workspace), commitSha: 'same' };
    const first = await world.create(request);
    expect(await world.create(request)).toMatchObject({ created: false, run: { id: first.run.id } });
    await world.inTransaction((tx) => discardRun(tx, first.run, 'Not wanted.'));
    expect(await world.create(request)).toMatchObject({ created: false, run: { id: first.run.id } });
    expect(await world.timeline(first.run)).toHaveLength(2);
  });

  test('gets one when the branch was elsewhere meanwhile, and has come back', async () => {
    const request = { ...world.request(await world.workspace()), commitSha: 'back' };
    const first = await world.create(request);
    await world.create({ ...request, commitSha: 'elsewhere' });
    const back = await world.create(request);
    expect(back.created).toBe(true);
    expect(back.run.id).not.toBe(first.run.id);
    expect(await world.create(request)).toMatchObject({ created: false, run: { id: back.run.id } });
  });

  test('gets one when the branch was deleted, and its run discarded, and is there again', async () => {
    const request = { ...world.request(await world.workspace()), commitSha: 'back' };
    const first = await world.create(request);
    expect(await world.create({ ...request, branchIsBack: true })).toMatchObject({ created: false });
    await world.inTransaction((tx) => discardRun(tx, first.run, 'Branch main was deleted.'));
    expect(await world.create({ ...request, branchIsBack: true })).toMatchObject({ created: true });
  });

  test('gets one in each workspace, and other triggers get their own', async () => {
    const [one, other] = [await world.workspace(), await world.workspace()];
    const runs = [
      await world.push(one, 'sha'),
      await world.push(other, 'sha'),
      await world.push(one, 'sha', 'rerun'),
      await world.push(one, 'sha', 'rerun'),
    ];
    expect(new Set(runs.map(({ id }) => id)).size).toBe(4);
  });
});

describe('where pending runs are superseded', () => {
  test('a newer push discards the older pending ones, and says so', async () => {
    const workspace = await world.workspace({ supersede_pending: true });
    const planning = await world.begin(await world.push(workspace));
    const waiting = await world.push(workspace);
    const newest = await world.push(workspace);
    expect((await world.now(planning)).state).toBe('planning');
    expect((await world.now(waiting)).state).toBe('discarded');
    expect(await world.timeline(waiting)).toEqual([
      'pending: created, alice',
      `discarded: discarded, Superseded by ${newest.id}, a newer push to main.`,
    ]);
    expect(await world.now(waiting)).toMatchObject({ superseded_by: newest.id });
    await world.plan(planning, { changes: false });
    expect(await world.claim(newest)).toBeDefined();
  });

  test('runs that a person asked for, speculative ones and other workspaces are left alone', async () => {
    const workspace = await world.workspace({ supersede_pending: true });
    const others = [
      await world.push(workspace, 'x', 'rerun'),
      await world.speculative(workspace),
      await world.push(await world.workspace({ supersede_pending: true })),
    ];
    await world.push(workspace);
    for (const run of others) expect((await world.now(run)).state).toBe('pending');
  });

  test('and a rerun supersedes nothing', async () => {
    const workspace = await world.workspace({ supersede_pending: true });
    const pushed = await world.push(workspace);
    await world.push(workspace, 'x', 'rerun');
    expect((await world.now(pushed)).state).toBe('pending');
  });

  test('a run that is claimed in that moment is planned or superseded, not both', async () => {
    for (let round = 0; round < 20; round++) {
      const workspace = await world.workspace({ supersede_pending: true });
      const older = await world.push(workspace);
      const [claimed] = await Promise.all([world.claim(older), world.push(workspace)]);
      expect((await world.now(older)).state).toBe(claimed ? 'planning' : 'discarded');
    }
  });
});

test('a run that is created in the moment in which another one ends is queued by one of the two', async () => {
  for (let round = 0; round < 40; round++) {
    const holding = await world.in('needs_confirmation');
    const workspace = { ...(await world.workspace()), id: holding.workspace_id };
    await world.delivered();
    const [next] = await Promise.all([
      world.push(workspace),
      world.inTransaction((tx) => discardRun(tx, holding, 'Not wanted.')),
    ]);
    expect(await world.effects()).toContain(`job ${next.id}-plan-0`);
  }
});

test('pushes that supersede, cancels and ends of runs in the same moment never block each other', async () => {
  for (let round = 0; round < 20; round++) {
    const workspace = await world.workspace({ supersede_pending: true });
    const planning = await world.begin(await world.push(workspace));
    const waiting = await world.push(workspace);
    await Promise.all([
      world.push(workspace),
      world.plan(planning, { changes: false }),
      world.inTransaction((tx) => cancelRun(tx, waiting, 'Stop it.', 'bob')),
      world.inTransaction((tx) => lockWorkspace(tx, workspace.id, { by: 'bob', reason: null })),
    ]);
    expect((await world.now(waiting)).state).toBe('discarded');
  }
});

test('a creation that fails leaves nothing behind', async () => {
  const workspace = await world.workspace();
  const failing = world.create({ ...world.request(workspace), reviewedRun: 'run-that-is-not' });
  await expect(failing).rejects.toThrow('foreign key');
  expect(await world.effects()).toEqual([]);
});
