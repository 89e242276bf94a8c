import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { findPullRequest } from '../../src/github/pull-requests.js';
import type { Person } from '../support/github/index.js';
import { SETTINGS, World } from './world.js';

let world: World;
let alice: Person;

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
});
afterAll(() => world.close());
beforeEach(() => world.forgetRuns());

const row = (number: number) => findPullRequest(world.db, world.repo.id, number);

test('opened: a speculative plan of its head for each workspace that it touches', async () => {
  const pull = await world.open('wider');
  const runs = await world.runs();
  expect(runs).toMatchObject([
    {
      speculative: true,
      trigger: 'pull_request',
      actor: 'alice',
      commit_sha: pull.headSha,
      commit_message: 'Work on wider',
      branch: 'wider',
      pull_request: pull.number,
      auto_apply: false,
      settings: { name: 'network' },
    },
  ]);
  expect(await row(pull.number)).toMatchObject({
    state: 'open',
    fork: false,
    draft: false,
    affected: [runs[0]?.workspace_id],
    affected_sha: pull.headSha,
  });
  expect(await world.effects('head_report')).toEqual([
    { kind: 'head_report', repository: world.repo.id, sha: pull.headSha },
  ]);
});

test('compares with where the branch left its base, not with what the base is by now', async () => {
  const base = (await world.repo.head('main')) ?? '';
  await alice.push(world.repo, { files: { 'app/main.tf': '# the base went on\n' } });
  await world.settle();
  await world.forgetRuns();
  await alice.push(world.repo, { branch: 'behind', from: base, files: { 'network/main.tf': '# behind\n' } });
  await alice.openPullRequest(world.repo, { title: 'Behind', head: 'behind', base: 'main' });
  await world.settle();
  expect(await world.list()).toEqual(['network: speculative pull_request pending']);
});

test('touching no workspace, it has no plan, and its head is reported all the same', async () => {
  const pull = await world.open('words', { 'README.md': 'words\n' });
  expect(await world.list()).toEqual([]);
  expect(await row(pull.number)).toMatchObject({ affected: [], affected_sha: pull.headSha });
  expect(await world.effects('head_report')).toMatchObject([{ sha: pull.headSha }]);
});

test('new commits make the older unfinished plans obsolete', async () => {
  const pull = await world.open('twice', { 'network/main.tf': '# 1\n', 'app/main.tf': '# 1\n' });
  await world.plan(await world.run('app', 'speculative'), 'unfinished');
  await alice.push(world.repo, { branch: 'twice', files: { 'network/main.tf': '# 2\n' } });
  await world.settle();
  expect(await world.list()).toEqual([
    'app: speculative pull_request planning',
    'network: speculative pull_request discarded',
    'app: speculative pull_request pending',
    'network: speculative pull_request pending',
  ]);
  const [app] = await world.runs();
  expect(app?.cancel_requested_by).toBe('Signalbox');
  expect(await row(pull.number)).toMatchObject({ head_sha: pull.headSha, affected_sha: pull.headSha });
});

test('a draft is planned too, and being ready for review plans nothing twice', async () => {
  await alice.push(world.repo, { branch: 'draft', from: 'main', files: { 'network/main.tf': '# draft\n' } });
  const pull = await alice.openPullRequest(world.repo, { title: 'D', head: 'draft', base: 'main', draft: true });
  await world.settle();
  await world.plan(await world.run('network', 'speculative'));
  await alice.markReady(world.repo, pull.number);
  await world.settle();
  expect(await world.list()).toEqual(['network: speculative pull_request planned']);
  expect(await row(pull.number)).toMatchObject({ draft: false });
});

test('reopened, it is planned again: much may have happened meanwhile', async () => {
  const pull = await world.open('again');
  await world.plan(await world.run('network', 'speculative'));
  await alice.close(world.repo, pull.number);
  await alice.reopen(world.repo, pull.number);
  await world.settle();
  expect(await world.list()).toEqual([
    'network: speculative pull_request planned',
    'network: speculative pull_request pending',
  ]);
});

test('closed and reopened, the plan that is being canceled has a successor', async () => {
  const pull = await world.open('fickle');
  await world.plan(await world.run('network', 'speculative'), 'unfinished');
  await alice.close(world.repo, pull.number);
  await alice.reopen(world.repo, pull.number);
  await world.settle();
  expect(await world.list()).toEqual([
    'network: speculative pull_request planning',
    'network: speculative pull_request pending',
  ]);
});

test('closed, its waiting runs are discarded and its plans canceled', async () => {
  const pull = await world.open('closing', { 'network/main.tf': '# c\n', 'app/main.tf': '# c\n' });
  await world.plan(await world.run('app', 'speculative'), 'unfinished');
  await alice.close(world.repo, pull.number);
  await world.settle();
  const [app, network] = await world.runs();
  expect(app).toMatchObject({ state: 'planning', cancel_requested_by: 'Signalbox' });
  expect(network?.state).toBe('discarded');
  expect(await row(pull.number)).toMatchObject({ state: 'closed', merge_commit_sha: null });
});

test('with another base, it is planned for the workspaces that follow that one', async () => {
  const settings = `${SETTINGS}  - name: staging\n    directory: network\n    branch: staging\n`;
  await alice.push(world.repo, { files: { '.github/signalbox.yml': settings } });
  await alice.push(world.repo, { branch: 'staging', from: 'main', commits: [] });
  const pull = await world.open('moving');
  await world.forgetRuns();
  await world.github.as('alice').push(world.repo, { branch: 'moving', files: { 'network/main.tf': '# moving on\n' } });
  await world.settle();
  await alice.changeBase(world.repo, pull.number, 'staging');
  await world.settle();
  expect(await world.list()).toEqual([
    'network: speculative pull_request discarded',
    'staging: speculative pull_request pending',
  ]);
  await alice.changeTitle(world.repo, pull.number, 'Only words');
  await world.settle();
  expect(await world.runs()).toHaveLength(2);
});

test('settings of the pull request itself are validated, and not used', async () => {
  const settings = `${SETTINGS}  - name: sneaky\n    directory: network\n    auto-aply: true\n`;
  const pull = await world.open('settings', { '.github/signalbox.yml': settings, 'network/main.tf': '# s\n' });
  expect(await world.list()).toEqual(['network: speculative pull_request pending']);
  expect(await world.effects('settings_report')).toMatchObject([
    { sha: pull.headSha, problems: [{ message: expect.stringContaining('auto-apply') }] },
  ]);
});

describe('from a fork', () => {
  test('it is looked at, and not planned', async () => {
    await world.repo.setPermission('bob', 'read');
    const bob = world.github.as('bob');
    const fork = await bob.fork(world.repo);
    await bob.push(fork, { branch: 'fix', files: { 'network/main.tf': '# from a fork\n' } });
    const pull = await bob.openPullRequest(world.repo, { title: 'Fix', head: 'fix', base: 'main', headRepo: fork });
    await world.settle();
    expect(await world.list()).toEqual([]);
    expect(await row(pull.number)).toMatchObject({ fork: true, affected: [expect.any(Number)], allowed_sha: null });
    expect(await world.effects('pull_request_report')).toMatchObject([{ number: pull.number }]);
    expect(await world.effects('head_report')).toMatchObject([{ sha: pull.headSha }]);
  });
});

test('a webhook about a state that is over changes nothing', async () => {
  const pull = await world.open('late');
  const old = world.github.deliveries.findLast(({ event, action }) => event === 'pull_request' && action === 'opened');
  await world.nextSecond();
  await alice.push(world.repo, { branch: 'late', files: { 'network/main.tf': '# later\n' } });
  await world.settle();
  await world.db
    .deleteFrom('deliveries')
    .where('guid', '=', old?.guid ?? '')
    .execute();
  if (old) world.github.webhooks.redeliver(old);
  await world.settle();
  expect(await row(pull.number)).toMatchObject({ head_sha: pull.headSha, affected_sha: pull.headSha });
  expect((await world.runs()).map((run) => run.commit_sha === pull.headSha)).toEqual([false, true]);
});

test('a merge queue gets speculative runs of the group, summed up on its head', async () => {
  const pull = await world.open('queued');
  await world.forgetRuns();
  const group = await alice.mergeGroup(world.repo, pull.number);
  await world.settle();
  const [run] = await world.runs();
  expect(run).toMatchObject({ trigger: 'merge_group', speculative: true, pull_request: null });
  const rows = await world.db.selectFrom('merge_groups').selectAll().execute();
  expect(rows).toMatchObject([{ head_sha: run?.commit_sha, base_ref: 'main', affected: [run?.workspace_id] }]);
  expect(await world.effects('head_report')).toMatchObject([{ sha: run?.commit_sha }]);
  expect(group).toBeDefined();
});

test('no delivery was given up, and no request made that GitHub would not understand', async () => {
  expect(await world.givenUp()).toEqual([]);
  expect(world.github.violations).toEqual([]);
});
