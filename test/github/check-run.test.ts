import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Tx } from '../../src/db/pool.js';
import type { Run } from '../../src/db/schema.js';
import { button } from '../../src/github/check-run.js';
import { discardRun } from '../../src/runs/actions.js';
import { createRun } from '../../src/runs/create.js';
import { transition } from '../../src/runs/transition.js';
import type { Person } from '../support/github/index.js';
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

const change = () => ({ 'network/main.tf': `# ${counter++}\n` });
const open = () => world.open(`button-${counter++}`);

async function pushed(): Promise<Run> {
  await alice.push(world.repo, { files: change() });
  await world.settle();
  return world.run('network');
}

/** The lines that a refused button leaves in the run's check run. */
async function refusals(run: Run): Promise<string[]> {
  const events = await world.db
    .selectFrom('run_events')
    .selectAll()
    .where('run_id', '=', run.id)
    .where('type', '=', 'refused')
    .execute();
  return events.map((event) => `${event.actor}: ${event.detail}`);
}

describe('a run of a push', () => {
  test('is confirmed by Apply', async () => {
    const run = await world.plan(await pushed());
    await alice.press(await world.report(run), 'apply');
    await world.settle();
    expect(await world.present(run)).toMatchObject({ state: 'confirmed', confirmed_by: 'alice' });
    const jobs = (await world.effects('job')).map(({ job }) => job);
    expect(jobs).toContainEqual(expect.objectContaining({ run: run.id, stage: 'apply' }));
  });

  test('is discarded by Discard, and a second button is told what became of it', async () => {
    const run = await world.plan(await pushed());
    const check = await world.report(run);
    await alice.press(check, 'discard');
    await world.settle();
    expect(await world.present(run)).toMatchObject({ state: 'discarded' });
    await world.github.as('carol').press(check, 'apply');
    await world.settle();
    expect(await world.present(run)).toMatchObject({ state: 'discarded', confirmed_by: null });
    expect(await refusals(run)).toEqual(['carol: The run is in state Discarded (by alice).']);
    expect(await world.effects('run_report')).toContainEqual({ kind: 'run_report', run: run.id });
  });

  test('stays as it is when somebody without write presses', async () => {
    const run = await world.plan(await pushed());
    await world.github.as('bob').press(await world.report(run), 'apply');
    await world.settle();
    expect(await world.present(run)).toMatchObject({ state: 'needs_confirmation' });
    expect(await refusals(run)).toEqual(['bob: Only people with write access to this repository may apply.']);
  });

  test('is applied or discarded, never both, each of the hundred times that two press at once', async () => {
    const first = await world.plan(await pushed());
    const { repository_id, workspace_id, commit_sha } = first;
    await world.db.transaction().execute((tx) => discardRun(tx, first, 'Out of the way.'));
    const workspace = await world.db
      .selectFrom('workspaces')
      .selectAll()
      .where('id', '=', workspace_id)
      .executeTakeFirstOrThrow();
    const wins = { confirmed: 0, discarded: 0 };
    for (let round = 0; round < 100; round++) {
      const { run: created } = await world.db.transaction().execute((tx) =>
        createRun(tx, {
          workspace,
          speculative: false,
          trigger: 'rerun',
          actor: 'alice',
          commitSha: commit_sha,
          commitMessage: 'Again',
          branch: 'main',
        }),
      );
      const run = await world.plan(created);
      const check = { external_id: `${run.id}/plan/1`, head_sha: commit_sha, app: { id: world.services.appId } };
      // Each in a process of its own, as it were: in one, deliveries of a repository are handled in order.
      const press = async (login: string, identifier: string) => {
        const event = {
          ...world.services,
          repository: await world.db
            .selectFrom('repositories')
            .selectAll()
            .where('id', '=', repository_id)
            .executeTakeFirstOrThrow(),
          octokit: await world.services.octokitFor(world.github.installationOf('acme').id),
          payload: { check_run: check, requested_action: { identifier }, sender: { login } },
          receivedAt: new Date(),
          commit: (changes: (tx: Tx) => Promise<unknown>) => world.db.transaction().execute(changes),
        };
        await button(event as never);
      };
      await Promise.all([press('alice', 'apply'), press('carol', 'discard')]);
      const ended = await world.present(run);
      expect(['confirmed', 'discarded']).toContain(ended.state);
      const isConfirmed = ended.state === 'confirmed';
      wins[isConfirmed ? 'confirmed' : 'discarded'] += 1;
      expect(await refusals(run)).toEqual([
        isConfirmed
          ? 'carol: The run is in state Confirmed, confirmed by alice.'
          : 'alice: The run is in state Discarded (by carol).',
      ]);
      const events = await world.db.selectFrom('run_events').select('type').where('run_id', '=', run.id).execute();
      expect(events.filter(({ type }) => type === 'confirmed' || type === 'discarded')).toHaveLength(1);
      if (isConfirmed) await world.db.transaction().execute((tx) => transition(tx, ended, 'canceled', {}));
    }
    expect(wins.confirmed + wins.discarded).toBe(100);
  }, 120_000);

  test('is either applied or discarded when two presses arrive at once', async () => {
    const run = await world.plan(await pushed());
    const check = await world.report(run);
    await Promise.all([alice.press(check, 'apply'), world.github.as('carol').press(check, 'discard')]);
    await world.settle();
    expect(['confirmed', 'discarded']).toContain((await world.present(run)).state);
    expect(await refusals(run)).toHaveLength(1);
  });
});

describe('a plan of a pull request', () => {
  test('is applied by Apply as by the comment', async () => {
    const pull = await open();
    const check = await world.showPlan('network');
    await world.github.as('carol').press(check, 'apply');
    await world.settle();
    const [plan, run] = await world.runs();
    expect(run).toMatchObject({
      trigger: 'button',
      actor: 'carol',
      reviewed_run: plan?.id,
      approved_by: 'carol',
      commit_sha: pull.headSha,
      pull_request: pull.number,
    });
  });

  test('is not, once the head has moved on', async () => {
    const pull = await open();
    const check = await world.showPlan('network');
    const plan = await world.run('network', 'speculative');
    await alice.push(world.repo, { branch: pull.pull.headRef, files: change() });
    await alice.press(check, 'apply');
    await world.settle();
    expect((await world.runs()).filter((run) => !run.speculative)).toEqual([]);
    expect(await refusals(plan)).toEqual([
      `alice: The head of #${pull.number} moved on from ${plan.commit_sha.slice(0, 7)} to ${pull.headSha.slice(0, 7)}.`,
    ]);
  });

  test('is not, once there is a newer plan of the same head', async () => {
    const pull = await open();
    const check = await world.showPlan('network');
    const plan = await world.run('network', 'speculative');
    await world.say('alice', pull.number, 'plan');
    await world.showPlan('network');
    await alice.press(check, 'apply');
    await world.settle();
    expect((await world.runs()).filter((run) => !run.speculative)).toEqual([]);
    expect(await refusals(plan)).toEqual([expect.stringContaining('alice: This plan was replaced by that of run-')]);
  });

  test('is not while a requirement is unmet', async () => {
    const pull = await open();
    const check = await world.showPlan('network');
    world.repo.requireReviews('main', 1);
    await alice.press(check, 'apply');
    await world.settle();
    world.repo.protections.clear();
    expect(await refusals(await world.run('network', 'speculative'))).toEqual([
      `alice: network can't be applied from #${pull.number} yet: a required review is missing.`,
    ]);
  });

  test('that differed is confirmed on its own run', async () => {
    const pull = await open();
    await world.showPlan('network');
    await world.say('alice', pull.number, 'apply');
    const run = await world.plan(await world.run('network'), 'changes', 'another');
    await alice.press(await world.report(run), 'apply');
    await world.settle();
    expect(await world.present(run)).toMatchObject({ state: 'confirmed', confirmed_by: 'alice' });
  });
});

test('check runs of other Apps, and ones that name no run of this repository, are left alone', async () => {
  const run = await world.plan(await pushed());
  const actions = [{ label: 'Apply', description: 'Apply', identifier: 'apply' }];
  const report = { head_sha: run.commit_sha, external_id: `${run.id}/plan/1`, conclusion: 'success', actions };
  const other = await world.github.reportCheck(world.repo, { ...report, name: 'mimicry' });
  await alice.press(other, 'apply');
  await world.settle();
  expect(await world.present(run)).toMatchObject({ state: 'needs_confirmation' });
});

describe('Re-run', () => {
  test('of a push plans the commit again, while it is the head of its branch', async () => {
    const run = await world.plan(await pushed(), 'error');
    await alice.rerequest(await world.report(run));
    await world.settle();
    expect(await world.list()).toEqual(['network: push plan_errored', 'network: rerun pending']);
    expect((await world.run('network')).commit_sha).toBe(run.commit_sha);
  });

  test('of an older commit is refused: it would roll back', async () => {
    const run = await world.plan(await pushed(), 'error');
    const check = await world.report(run);
    await alice.push(world.repo, { files: { 'README.md': `${counter++}\n` } });
    await world.settle();
    await alice.rerequest(check);
    await world.settle();
    expect(await world.list()).toEqual(['network: push plan_errored']);
    expect(await refusals(run)).toEqual([expect.stringContaining('so a run of it would roll back')]);
  });

  test('of a plan plans the head of the pull request again', async () => {
    await open();
    const check = await world.showPlan('network');
    await alice.rerequest(check);
    await world.settle();
    expect(await world.list()).toEqual([
      'network: speculative pull_request planned',
      'network: speculative rerun pending',
    ]);
  });

  test('of the sum on a head plans everything again', async () => {
    const pull = await world.open(`sum-${counter++}`, {
      'network/main.tf': `# ${counter}\n`,
      'app/main.tf': `# ${counter}\n`,
    });
    await world.showPlan('network');
    await world.showPlan('app');
    const octokit = await world.services.octokitFor(world.github.installationOf('acme').id);
    const report = { head_sha: pull.headSha, status: 'completed', conclusion: 'success' } as const;
    const { data } = await octokit.rest.checks.create({ owner: 'acme', repo: 'infra', name: 'signalbox', ...report });
    const sum = world.github.checkRuns(world.repo).find(({ id }) => id === data.id);
    if (sum) await alice.rerequest(sum);
    await world.settle();
    expect((await world.list()).slice(2)).toEqual([
      'app: speculative rerun pending',
      'network: speculative rerun pending',
    ]);
  });

  test('of the settings validates them again', async () => {
    const run = await pushed();
    const octokit = await world.services.octokitFor(world.github.installationOf('acme').id);
    const report = { head_sha: run.commit_sha, status: 'completed', conclusion: 'failure' } as const;
    const { data } = await octokit.rest.checks.create({
      owner: 'acme',
      repo: 'infra',
      name: 'signalbox/config',
      ...report,
    });
    const check = world.github.checkRuns(world.repo).find(({ id }) => id === data.id);
    if (check) await alice.rerequest(check);
    await world.settle();
    expect(await world.effects('settings_report')).toMatchObject([{ sha: run.commit_sha, problems: [] }]);
  });

  test('of a whole suite plans all that was planned on the commit', async () => {
    const run = await world.plan(await pushed(), 'error');
    await world.report(run);
    await alice.rerequestSuite(world.repo, run.commit_sha);
    await world.settle();
    expect(await world.list()).toEqual(['network: push plan_errored', 'network: rerun pending']);
  });
});

test('the App that is taken away loses the runs that wait', async () => {
  const run = await pushed();
  world.github.uninstall('acme');
  await world.settle();
  expect(await world.present(run)).toMatchObject({ state: 'discarded' });
  expect(await world.givenUp()).toEqual([]);
  expect(world.github.violations).toEqual([]);
});
