import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Run } from '../../src/db/schema.js';
import { recheckApply } from '../../src/github/recheck.js';
import type { Person, PullHandle } from '../support/github/index.js';
import { World } from './world.js';

let world: World;
let alice: Person;
let counter = 0;
let pull: PullHandle;
let run: Run;

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
});
afterAll(() => world.close());

/** A run of a pull request that carol approved and whose fresh plan was the same: confirmed, its apply not queued yet. */
beforeEach(async () => {
  await world.forgetRuns();
  pull = await world.open(`confirmed-${counter++}`);
  await world.showPlan('network');
  await world.say('carol', pull.number, 'apply');
  run = await world.plan(await world.run('network'));
  expect(run).toMatchObject({ state: 'confirmed', confirmed_by: 'carol' });
  expect(await world.effects('apply_check')).toEqual([{ kind: 'apply_check', run: run.id }]);
});

const jobs = async () => (await world.effects('job')).filter(({ job }) => job.run === run.id && job.stage === 'apply');

async function expectCanceled(because: string | RegExp): Promise<void> {
  await recheckApply(world.services, run.id);
  expect(await world.present(run)).toMatchObject({ state: 'canceled' });
  expect(await jobs()).toEqual([]);
  const events = await world.db.selectFrom('run_events').selectAll().where('run_id', '=', run.id).execute();
  expect(events.at(-1)?.detail).toMatch(because);
}

test('all is as it was: the apply is queued, once', async () => {
  await recheckApply(world.services, run.id);
  await recheckApply(world.services, run.id);
  expect(await jobs()).toMatchObject([
    { job: { run: run.id, stage: 'apply', attempt: run.attempt, speculative: false } },
  ]);
  expect(await world.present(run)).toMatchObject({ state: 'confirmed' });
});

test('the head moved meanwhile', async () => {
  const lost = world.github.loseDeliveries(() => true);
  await alice.push(world.repo, { branch: pull.pull.headRef, files: { 'network/main.tf': '# moved\n' } });
  await expectCanceled(`moved from ${run.commit_sha.slice(0, 7)} to ${pull.headSha.slice(0, 7)}`);
  lost.stop();
});

test('the pull request was merged meanwhile', async () => {
  const lost = world.github.loseDeliveries(() => true);
  await alice.merge(world.repo, pull.number);
  await expectCanceled(/was merged meanwhile/);
  lost.stop();
});

test('who approved it lost write access', async () => {
  await world.repo.setPermission('carol', 'read');
  await expectCanceled('carol has no write access any more');
  await world.repo.setPermission('carol', 'write');
});

test('a requirement holds no more', async () => {
  world.repo.requireReviews('main', 1);
  await expectCanceled('a required review is missing');
  world.repo.protections.clear();
});

test('a requirement was added since', async () => {
  await world.db
    .updateTable('workspaces')
    .set({ apply_requirements: ['approved'] })
    .execute();
  await expectCanceled('nobody with write approved it');
  await world.db
    .updateTable('workspaces')
    .set({ apply_requirements: ['mergeable', 'undiverged'] })
    .execute();
});

test('its base is another branch meanwhile', async () => {
  const lost = world.github.loseDeliveries(() => true);
  await alice.push(world.repo, { branch: 'elsewhere', from: 'main', commits: [] });
  await alice.changeBase(world.repo, pull.number, 'elsewhere');
  await expectCanceled(/network follows main, and #\d+ is for elsewhere now/);
  lost.stop();
});

test('GitHub is away: it is asked again later, and nothing is decided', async () => {
  const misbehaviour = world.github.misbehave({ route: /pulls/, how: { status: 502 } });
  await expect(recheckApply(world.services, run.id)).rejects.toThrow();
  misbehaviour.stop();
  expect(await world.present(run)).toMatchObject({ state: 'confirmed' });
  expect(await jobs()).toEqual([]);
});
