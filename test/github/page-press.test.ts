import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Tx } from '../../src/db/pool.js';
import type { Run } from '../../src/db/schema.js';
import { button } from '../../src/github/check-run.js';
import { pressOnPage } from '../../src/github/page-press.js';
import { queuePlan } from '../../src/github/queue-plan.js';
import { AppRefused } from '../../src/github/repository-scope.js';
import type { Move } from '../../src/runs/controls.js';
import { createRun } from '../../src/runs/create.js';
import { transition } from '../../src/runs/transition.js';
import { World } from './world.js';

let world: World;
let counter = 0;

beforeAll(async () => {
  world = await World.start();
});
afterAll(async () => {
  expect(world.github.violations).toEqual([]);
  await world.close();
});
beforeEach(() => world.forgetRuns());

const press = (run: Run, move: Move, actor = 'alice') => pressOnPage(world.services, run.id, move, actor);

async function planned(): Promise<Run> {
  const { id } = await world.db
    .selectFrom('workspaces')
    .select('id')
    .where('name', '=', 'network')
    .executeTakeFirstOrThrow();
  const queued = await queuePlan(world.services, { workspace: id, actor: 'alice', message: `${counter++}` });
  if (!queued.queued) throw new Error(queued.reason);
  return world.plan(queued.run);
}

/** A pull request's run whose fresh plan differs from the reviewed one, so that it waits for a person. */
async function differing() {
  const pull = await world.open(`differs-${counter++}`);
  await world.showPlan('network');
  await world.say('alice', pull.number, 'apply');
  const run = await world.plan(await world.run('network'), 'changes', 'another');
  expect(run.state).toBe('needs_confirmation');
  return { pull, run };
}

test('a run of a branch is confirmed, discarded and canceled on its page', async () => {
  const confirmed = await planned();
  expect(await press(confirmed, 'confirm', 'carol')).toMatchObject({ done: true, run: { confirmed_by: 'carol' } });
  expect(await press(confirmed, 'discard')).toMatchObject({
    done: false,
    reason: 'the run is in state Confirmed, confirmed by carol',
  });
  expect(await press(confirmed, 'cancel')).toMatchObject({ done: true, run: { state: 'canceled' } });
  const discarded = await planned();
  expect(await press(discarded, 'discard')).toMatchObject({ done: true, run: { state: 'discarded' } });
});

test('a pull request’s run is confirmed on its page as by the button', async () => {
  const { run } = await differing();
  expect(await press(run, 'confirm', 'carol')).toMatchObject({
    done: true,
    run: { id: run.id, confirmed_by: 'carol' },
  });
  expect(await world.effects('apply_check')).toEqual([{ kind: 'apply_check', run: run.id }]);
  expect(await press(run, 'confirm', 'alice')).toMatchObject({
    done: false,
    reason: 'the run is in state Confirmed, confirmed by carol',
  });
});

test('it passes the same gates: the head, the requirements, the pull request being open', async () => {
  const { pull, run } = await differing();
  world.repo.requireReviews('main', 1);
  expect(await press(run, 'confirm')).toMatchObject({
    done: false,
    run: { state: 'needs_confirmation' },
    reason: `network can't be applied from #${pull.number} yet: a required review is missing`,
  });
  world.repo.protections.clear();
  world.github.loseDeliveries(1);
  await world.github.as('alice').push(world.repo, { branch: pull.pull.headRef, files: { 'network/x.tf': '' } });
  expect(await press(run, 'confirm')).toMatchObject({ reason: expect.stringContaining('moved on from') });
  expect((await world.present(run)).state).toBe('needs_confirmation');
});

test('a speculative plan is not confirmed on its page, nor anything applied', async () => {
  await world.open(`plan-${counter++}`);
  const plan = await world.plan(await world.run('network', 'speculative'));
  expect(await press(plan, 'confirm')).toMatchObject({ done: false, reason: 'the run is in state Planned' });
  expect((await world.runs()).filter(({ speculative }) => !speculative)).toEqual([]);
});

test('GitHub away is thrown, and a pull request’s run stays as it is', async () => {
  const { run } = await differing();
  const outage = world.github.misbehave({ route: /pulls/, how: { status: 502 } });
  await expect(press(run, 'confirm')).rejects.toMatchObject({ status: 502 });
  outage.stop();
  expect((await world.present(run)).state).toBe('needs_confirmation');
  expect(await press(run, 'discard')).toMatchObject({ done: true });
});

test('the page and the button at once: confirmed or discarded, never both, each of a hundred times', async () => {
  const repository = await world.db.selectFrom('repositories').selectAll().executeTakeFirstOrThrow();
  const octokit = await world.services.octokitFor(repository.installation_id);
  const pressButton = async (run: Run, login: string, identifier: string) => {
    const check = { external_id: `${run.id}/plan/1`, head_sha: run.commit_sha, app: { id: world.services.appId } };
    const event = {
      ...world.services,
      repository,
      octokit,
      payload: { check_run: check, requested_action: { identifier }, sender: { login } },
      receivedAt: new Date(),
      commit: (changes: (tx: Tx) => Promise<unknown>) => world.db.transaction().execute(changes),
    };
    await button(event as never);
  };
  const first = await planned();
  await press(first, 'discard');
  const workspace = await world.db
    .selectFrom('workspaces')
    .selectAll()
    .where('id', '=', first.workspace_id)
    .executeTakeFirstOrThrow();
  const { commit_sha: commitSha, commit_message: commitMessage } = first;
  const request = { workspace, speculative: false, trigger: 'page', actor: 'alice', branch: 'main' } as const;
  for (let round = 0; round < 100; round++) {
    const created = await world.db
      .transaction()
      .execute((tx) => createRun(tx, { ...request, commitSha, commitMessage }));
    const run = await world.plan(created.run);
    const [onPage, other] = round % 2 === 0 ? (['confirm', 'discard'] as const) : (['discard', 'apply'] as const);
    const [result] = await Promise.all([press(run, onPage, 'alice'), pressButton(run, 'carol', other)]);
    const ended = await world.present(run);
    const isConfirmed = ended.state === 'confirmed';
    expect(isConfirmed || ended.state === 'discarded').toBe(true);
    expect(result.done).toBe(isConfirmed === (onPage === 'confirm'));
    if (!result.done) expect(result.run.state).toBe(ended.state);
    const events = await world.db.selectFrom('run_events').select('type').where('run_id', '=', run.id).execute();
    const types = events.map(({ type }) => type);
    expect(types.filter((type) => type === 'confirmed' || type === 'discarded')).toHaveLength(1);
    expect(types.filter((type) => type === 'refused')).toHaveLength(result.done ? 1 : 0);
    if (isConfirmed) await world.db.transaction().execute((tx) => transition(tx, ended, 'canceled', {}));
  }
}, 180_000);

test('while the App is suspended, or when it was uninstalled, and nobody heard of it yet, that is said', async () => {
  const { run } = await differing();
  const workspace = run.workspace_id;
  const queue = () => queuePlan(world.services, { workspace, actor: 'alice', message: '' });
  const lost = world.github.loseDeliveries(({ event }) => event === 'installation');
  world.github.suspend('acme');
  const refused = async (message: RegExp) => {
    for (const wanted of [queue, () => press(run, 'confirm')]) {
      const error = await wanted().catch((error: unknown) => error);
      expect(error).toBeInstanceOf(AppRefused);
      expect((error as AppRefused).message).toMatch(message);
    }
  };
  await refused(/^Signalbox can't act on acme\/infra now: its GitHub App is suspended there\.$/);
  world.github.unsuspend('acme');
  const forbidden = world.github.misbehave({ route: /^GET .*\/pulls/, how: { status: 403, message: 'Not allowed' } });
  await expect(press(run, 'confirm')).rejects.toThrow(
    /^Signalbox can't act on acme\/infra now: GitHub says “Not allowed/,
  );
  forbidden.stop();
  world.github.uninstall('acme');
  await refused(/: its GitHub App was uninstalled there\.$/);
  lost.stop();
  expect(await world.present(run)).toMatchObject({ state: 'needs_confirmation', confirmed_by: null });
});
