import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { recheckApply } from '../../src/github/recheck.js';
import type { Person, PullHandle } from '../support/github/index.js';
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

/** A pull request whose change of `network` was applied, and that isn't merged yet. */
async function applied(): Promise<PullHandle> {
  const pull = await world.open(`applied-${counter++}`);
  await world.showPlan('network');
  await world.say('alice', pull.number, 'apply');
  const run = await world.plan(await world.run('network'));
  await recheckApply(world.services, run.id);
  await world.apply(run);
  return pull;
}

const workspace = () =>
  world.db.selectFrom('workspaces').selectAll().where('name', '=', 'network').executeTakeFirstOrThrow();

const standard = async () => (await world.runs()).filter((run) => !run.speculative && run.pull_request === null);

async function pushUnrelated(text: string): Promise<string> {
  const sha = await alice.push(world.repo, { files: { 'network/other.tf': `# ${text}\n` } });
  await world.settle();
  return sha;
}

const startable = async () => (await world.effects('job')).map(({ job }) => job.run);

test('applied and not merged, an unrelated push waits; the merge discards it in favour of its own run', async () => {
  const pull = await applied();
  expect(await workspace()).toMatchObject({ held_pull_request: pull.number, held_head_sha: pull.headSha });
  await pushUnrelated('waits');
  const waiting = await world.run('network');
  expect(waiting).toMatchObject({ state: 'pending', clears_hold: false });
  expect(await startable()).not.toContain(waiting.id);

  const merge = await alice.merge(world.repo, pull.number);
  await world.settle();
  const [discarded, own, ...others] = await standard();
  expect(others).toEqual([]);
  expect(discarded).toMatchObject({ id: waiting.id, state: 'discarded' });
  expect(own).toMatchObject({ state: 'pending', commit_sha: merge, trigger: 'push', branch: 'main' });
  expect(await workspace()).toMatchObject({ held_pull_request: null, held_head_sha: null });
  expect(await startable()).toContain(own?.id);
  const events = await world.db.selectFrom('run_events').selectAll().where('run_id', '=', waiting.id).execute();
  expect(events.at(-1)?.detail).toContain(`#${pull.number} was applied and is merged as ${merge.slice(0, 7)}`);
});

test("a push that has the pull request in it needn't wait", async () => {
  const pull = await applied();
  await alice.push(world.repo, {
    from: pull.headSha,
    files: { 'network/more.tf': `# on top ${counter}\n` },
    force: true,
  });
  await world.settle();
  const run = await world.run('network');
  expect(run).toMatchObject({ clears_hold: true, pull_request: null });
  expect(await startable()).toContain(run.id);
});

test('squashed: the merge contains no commit of the pull request, and is its run all the same', async () => {
  const pull = await applied();
  const merge = await alice.merge(world.repo, pull.number, 'squash');
  await world.settle();
  expect(await standard()).toMatchObject([{ state: 'pending', commit_sha: merge }]);
  expect(await startable()).toContain((await standard())[0]?.id);
});

test("the merge's own run is made also when the webhook of its push is lost, and is one when that comes late", async () => {
  const pull = await applied();
  const lost = world.github.loseDeliveries(({ event }) => event === 'push');
  const merge = await alice.merge(world.repo, pull.number);
  await world.settle();
  lost.stop();
  expect(await standard()).toMatchObject([
    { state: 'pending', commit_sha: merge, commit_message: expect.stringContaining('Merge pull request') },
  ]);
  const delivery = world.github.deliveries.findLast(({ event }) => event === 'push');
  if (delivery) world.github.webhooks.redeliver(delivery);
  await world.settle();
  expect(await standard()).toHaveLength(1);
});

test('runs of commits on top of the merge are not discarded, and no older run comes after them', async () => {
  const pull = await applied();
  const lost = world.github.loseDeliveries(({ event }) => event === 'pull_request' || event === 'push');
  await alice.merge(world.repo, pull.number);
  await world.github.settled();
  lost.stop();
  const later = await pushUnrelated('on top');
  const closed = world.github.deliveries.findLast(({ event }) => event === 'pull_request');
  if (closed) world.github.webhooks.redeliver(closed);
  await world.settle();
  expect(await standard()).toMatchObject([{ state: 'pending', commit_sha: later }]);
});

test("closed without a merge, waiting runs go on, and don't apply by themselves", async () => {
  const pull = await applied();
  await world.db.updateTable('workspaces').set({ auto_apply: true }).execute();
  await world.db.updateTable('repositories').set({ settings_sha: null }).execute();
  await pushUnrelated('goes on');
  const waiting = await world.run('network');
  await world.db.updateTable('runs').set({ auto_apply: true }).where('id', '=', waiting.id).execute();
  await alice.close(world.repo, pull.number);
  await world.settle();
  expect(await world.present(waiting)).toMatchObject({ state: 'pending', auto_apply: false });
  expect(await workspace()).toMatchObject({ held_pull_request: null });
  expect(await startable()).toContain(waiting.id);
});

test('no delivery was given up, and no request made that GitHub would not understand', async () => {
  expect(await world.givenUp()).toEqual([]);
  expect(world.github.violations).toEqual([]);
});
