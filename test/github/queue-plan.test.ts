import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { queuePlan } from '../../src/github/queue-plan.js';
import { recheckApply } from '../../src/github/recheck.js';
import { SaidTooMuch } from '../../src/runs/said.js';
import { settingsOf } from '../../src/workspaces/workspace-detail.js';
import type { Person } from '../support/github/index.js';
import { SETTINGS, World } from './world.js';

let world: World;
let alice: Person;
let counter = 0;
const BEING_TAKEN_UP = 'A push to acme/infra is being taken up: queue the plan when its runs are there.';

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
});
afterAll(async () => {
  expect(world.github.violations).toEqual([]);
  await world.close();
});
beforeEach(() => world.forgetRuns());

const workspace = (name = 'network') =>
  world.db.selectFrom('workspaces').selectAll().where('name', '=', name).executeTakeFirstOrThrow();
const queue = async (actor = 'alice', message = '', name = 'network') =>
  queuePlan(world.services, { workspace: (await workspace(name)).id, actor, message });

async function push(files: Record<string, string>, branch = 'main'): Promise<string> {
  const sha = await alice.push(world.repo, { branch, files, message: `Change ${counter}` });
  await world.settle();
  return sha;
}

/** A push that no webhook tells of. */
async function unheard(files: Record<string, string>): Promise<string> {
  const lost = world.github.loseDeliveries(({ event }) => event === 'push');
  const sha = await push(files);
  lost.stop();
  return sha;
}

test('a plan is queued of the present head of the branch, with what was written, and waits for a person', async () => {
  const sha = await push({ 'README.md': `${counter++}\n` });
  const message = ' After the outage\r\nof *last* night\x07 ';
  const queued = await queue('carol', message);
  expect(queued).toMatchObject({
    queued: true,
    run: {
      state: 'pending',
      speculative: false,
      trigger: 'page',
      actor: 'carol',
      commit_sha: sha,
      commit_message: expect.stringContaining('Change'),
      branch: 'main',
      message: 'After the outage\nof *last* night',
      auto_apply: false,
      pull_request: null,
    },
  });
  const [run] = await world.runs();
  expect((await world.effects('job')).map(({ job }) => job.run)).toEqual([run?.id]);
  if (run) expect((await world.plan(run)).state).toBe('needs_confirmation');
});

test('a button that is pressed twice queues one plan, and another message another', async () => {
  const [one, other] = await Promise.all([queue('alice', 'Once'), queue('alice', 'Once')]);
  expect(one).toEqual(other);
  expect(await world.list()).toEqual(['network: page pending']);
  await queue('alice', 'And once more');
  await queue('carol', 'Once');
  expect(await world.list()).toHaveLength(3);
});

test('it waits its turn, and while the workspace is locked', async () => {
  await world.db
    .updateTable('workspaces')
    .set({ locked_at: new Date(), locked_by: 'carol' })
    .where('name', '=', 'network')
    .execute();
  const queued = await queue();
  expect(queued).toMatchObject({ queued: true, run: { state: 'pending' } });
  expect(await world.effects('job')).toEqual([]);
});

test('it waits while the workspace is held for a pull request that its commit does not contain', async () => {
  const pull = await world.open(`held-${counter++}`);
  await world.showPlan('network');
  await world.say('alice', pull.number, 'apply');
  const applied = await world.plan(await world.run('network'));
  await recheckApply(world.services, applied.id);
  await world.apply(applied);
  await world.db.deleteFrom('outbox').execute();
  expect(await queue()).toMatchObject({ queued: true, run: { clears_hold: false } });
  expect(await world.effects('job')).toEqual([]);
  const merge = await alice.merge(world.repo, pull.number);
  await world.settle();
  const queued = await queue('alice', 'After the merge');
  expect(queued).toMatchObject({ queued: true, run: { commit_sha: merge } });
});

test('a head that no webhook has told of is taken up first, and then planned with its settings', async () => {
  const moved = SETTINGS.replace('directory: app', 'directory: service').replace(
    'name: network',
    'name: network\n    auto-apply: true',
  );
  const sha = await unheard({ '.github/signalbox.yml': moved, 'service/main.tf': '' });
  const before = await workspace('app');
  expect(await queue('alice', '', 'app')).toEqual({ queued: false, reason: BEING_TAKEN_UP });
  expect(await workspace('app')).toEqual(before);
  await world.settle();
  expect(await queue('alice', '', 'app')).toMatchObject({
    queued: true,
    run: { commit_sha: sha, settings: { directory: 'service' } },
  });
  expect(await queue('alice', '', 'network')).toMatchObject({ queued: true, run: { auto_apply: true } });
  const shown = settingsOf(await workspace('app'));
  expect(shown.sha).toBe(sha);
  expect(shown.settings.slice(0, 3)).toEqual([
    { key: 'name', value: 'app', origin: { file: '.github/signalbox.yml', line: 5 } },
    { key: 'directory', value: 'service', origin: { file: '.github/signalbox.yml', line: 6 } },
    { key: 'branch', value: 'main', origin: 'default' },
  ]);
  await push({ '.github/signalbox.yml': SETTINGS });
});

test('a push that comes while GitHub is asked is not overtaken by the plan of the head before it', async () => {
  const before = await push({ 'network/x.tf': `# ${counter++}\n` });
  const octokitFor: World['services']['octokitFor'] = async (installation, options) => {
    const octokit = await world.services.octokitFor(installation, options);
    // The branch is looked at, and then pushed to before the plan is queued.
    octokit.hook.after('request', async (_, { url }) => {
      if (!url.includes('/branches/') || pushed) return;
      pushed = await push({ 'network/x.tf': `# ${counter++}\n` });
    });
    return octokit;
  };
  let pushed: string | undefined;
  const { id } = await workspace();
  expect(await queuePlan({ ...world.services, octokitFor }, { workspace: id, actor: 'alice', message: '' })).toEqual({
    queued: false,
    reason: BEING_TAKEN_UP,
  });
  expect((await world.runs()).map(({ commit_sha }) => commit_sha)).toEqual([before, pushed]);
  expect(await queue()).toMatchObject({ queued: true, run: { commit_sha: pushed } });
});

test('a workspace that the head does not name any more gets no plan', async () => {
  await push({ '.github/signalbox.yml': SETTINGS.replace('name: app', 'name: other') });
  expect(await queue('alice', '', 'app')).toEqual({ queued: false, reason: 'There is no workspace app any more.' });
  expect((await workspace('app')).removed_at).not.toBeNull();
  expect(await queue('alice', '', 'app')).toEqual({ queued: false, reason: 'There is no workspace app any more.' });
  await push({ '.github/signalbox.yml': SETTINGS.replace('directory: app', 'directry: app') });
  await world.db.updateTable('workspaces').set({ removed_at: null }).where('name', '=', 'app').execute();
  expect(await queue('alice', '', 'app')).toMatchObject({
    queued: false,
    reason: expect.stringMatching(/^\.github\/signalbox\.yml has problems at \w{7}, and app isn't to be had from it/),
  });
  expect(await world.effects('settings_report')).toHaveLength(1);
  expect(await queue('alice', '', 'network')).toMatchObject({ queued: true });
  await push({ '.github/signalbox.yml': SETTINGS });
  expect(await world.givenUp()).toEqual([]);
});

test('a branch that is gone is told by its name', async () => {
  const live = SETTINGS.replace('directory: app', 'directory: app\n    branch: live');
  await alice.push(world.repo, { branch: 'live', from: 'main', files: { 'app/x.tf': '' } });
  await push({ '.github/signalbox.yml': live });
  expect(await queue('alice', '', 'app')).toMatchObject({ queued: true, run: { branch: 'live' } });
  await alice.deleteBranch(world.repo, 'live');
  await world.settle();
  expect(await queue('alice', '', 'app')).toEqual({ queued: false, reason: 'Branch live is gone.' });
  await push({ '.github/signalbox.yml': SETTINGS });
});

test('a workspace that follows another branch since is asked for again', async () => {
  const live = SETTINGS.replace('directory: app', 'directory: app\n    branch: live');
  await unheard({ '.github/signalbox.yml': live });
  expect(await queue('alice', '', 'app')).toEqual({
    queued: false,
    reason: 'app follows live now: queue the plan again.',
  });
  await push({ '.github/signalbox.yml': SETTINGS });
});

test('a push that is being taken up comes first', async () => {
  const row = { guid: 'late', event: 'push', repository_id: world.repo.id, body: '{}' };
  const later = { due_at: new Date(Date.now() + 3_600_000) };
  await world.db
    .insertInto('deliveries')
    .values({ ...row, ...later })
    .execute();
  expect(await queue()).toEqual({
    queued: false,
    reason: BEING_TAKEN_UP,
  });
  await world.db.deleteFrom('deliveries').where('guid', '=', 'late').execute();
});

test('somebody without write, and somebody whom nobody knows, queue nothing', async () => {
  for (const actor of ['bob', 'mallory']) {
    expect(await queue(actor)).toMatchObject({ queued: false, reason: expect.stringContaining('write access') });
  }
  expect(await world.runs()).toEqual([]);
});

test('a message has its limit', async () => {
  await expect(queue('alice', 'x'.repeat(1_001))).rejects.toThrow(SaidTooMuch);
  expect(await queue('alice', '🦊'.repeat(1_000))).toMatchObject({ queued: true });
});

test('a token that GitHub refuses is renewed', async () => {
  await queue('alice', 'Cached');
  world.github.expireTokens();
  expect(await queue('alice', 'Renewed')).toMatchObject({ queued: true });
});

test('GitHub away is no refusal: it is thrown, and nothing is queued', async () => {
  const outage = world.github.misbehave({ route: /branches/, how: { status: 502 } });
  await expect(queue()).rejects.toMatchObject({ status: 502 });
  outage.stop();
  expect(await world.runs()).toEqual([]);
});

test('an archived repository gets no plan, whether a webhook has told of that or not', async () => {
  world.github.loseDeliveries(1);
  world.github.archiveRepository(world.repo);
  expect(await queue()).toEqual({ queued: false, reason: 'acme/infra is archived.' });
  await world.db.updateTable('repositories').set({ removed_at: new Date() }).execute();
  expect(await queue()).toMatchObject({ queued: false, reason: expect.stringMatching(/^acme\/infra is archived, or/) });
});
