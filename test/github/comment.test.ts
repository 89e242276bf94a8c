import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { findPullRequest } from '../../src/github/pull-requests.js';
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

const both = (text: string) => ({ 'network/main.tf': `# ${text}\n`, 'app/main.tf': `# ${text}\n` });
const open = (files?: Record<string, string>) => world.open(`work-${counter++}`, files);
const row = (number: number) => findPullRequest(world.db, world.repo.id, number);

describe('what is no command', () => {
  test('conversation, edits, issues and bots get no answer', async () => {
    const pull = await open();
    expect(await world.say('alice', pull.number, 'apply this later, please')).toEqual({
      reactions: [],
      reply: undefined,
    });
    const comment = await alice.comment(world.repo, pull.number, 'hm');
    await alice.editComment(world.repo, comment, 'apply');
    const issue = await alice.openIssue(world.repo, 'An issue');
    await world.say('alice', issue.number, 'apply');
    expect(await world.effects('reaction')).toEqual([]);
    expect(await world.effects('reply')).toEqual([]);
  });
});

describe('who may', () => {
  test('somebody who only reads is told so, and nothing changes', async () => {
    const pull = await open();
    await world.showPlan('network');
    const answer = await world.say('bob', pull.number, 'apply');
    expect(answer.reactions).toEqual(['eyes', 'confused']);
    expect(answer.reply).toBe('Only people with write access to this repository may `apply`: ask one of them.');
    expect(await world.list()).toEqual(['network: speculative pull_request planned']);
  });

  test('anyone may ask for help', async () => {
    const pull = await open();
    const answer = await world.say('bob', pull.number, '/help');
    expect(answer.reactions).toEqual(['eyes', '+1']);
    expect(answer.reply).toContain('| `apply` |');
  });
});

test('a command that comes late is refused: it was meant for another time', async () => {
  const pull = await open();
  await world.showPlan('network');
  const createdAt = `${new Date(Date.now() - 42 * 60_000).toISOString().slice(0, 19)}Z`;
  const answer = await world.say('alice', pull.number, 'apply', { createdAt });
  expect(answer.reactions).toEqual(['eyes', 'confused']);
  expect(answer.reply).toContain('42 minutes late');
  expect(await world.runs()).toHaveLength(1);
});

test('an unknown workspace is answered with the known ones', async () => {
  const pull = await open();
  const answer = await world.say('alice', pull.number, '/apply netwrk');
  expect(answer.reply).toBe('There is no workspace `netwrk` here. The workspaces are: `app` and `network`.');
});

describe('apply', () => {
  test('queues a run of the head that is bound to the plan that was shown', async () => {
    const pull = await open();
    await world.showPlan('network');
    const answer = await world.say('carol', pull.number, 'apply');
    expect(answer).toEqual({ reactions: ['eyes', 'rocket'], reply: undefined });
    const [plan, run] = await world.runs();
    expect(run).toMatchObject({
      speculative: false,
      trigger: 'comment',
      actor: 'carol',
      commit_sha: pull.headSha,
      commit_message: plan?.commit_message,
      pull_request: pull.number,
      reviewed_run: plan?.id,
      approved_by: 'carol',
      auto_apply: false,
      state: 'pending',
    });
  });

  test('without names means every affected workspace with something to apply', async () => {
    const pull = await open(both('all'));
    await world.showPlan('network');
    await world.plan(await world.run('app', 'speculative'), 'no changes');
    const answer = await world.say('alice', pull.number, 'apply');
    expect(answer).toEqual({ reactions: ['eyes', 'rocket'], reply: undefined });
    expect((await world.list()).slice(2)).toEqual(['network: comment pending']);
    const named = await world.say('alice', pull.number, 'apply app');
    expect(named).toEqual({ reactions: ['eyes', 'confused'], reply: '`app` has no changes to apply.' });
  });

  test('while a plan is under way it is refused', async () => {
    const pull = await open();
    const answer = await world.say('alice', pull.number, 'apply');
    expect(answer.reply).toBe('`network` is still planning: ask again when its plan is there.');
    expect(answer.reactions).toEqual(['eyes', 'confused']);
  });

  test('a plan that failed is refused', async () => {
    const pull = await open();
    await world.plan(await world.run('network', 'speculative'), 'error');
    const answer = await world.say('alice', pull.number, 'apply');
    expect(answer.reply).toBe('`network` has a plan that failed: push a fix, or comment `plan` to try again.');
  });

  test('approves only what GitHub showed before it was written', async () => {
    const pull = await open();
    const createdAt = `${new Date(Date.now() - 2_000).toISOString().slice(0, 19)}Z`;
    await world.db
      .updateTable('pull_requests')
      .set({ head_at: new Date(Date.now() - 60_000) })
      .execute();
    await world.showPlan('network');
    const answer = await world.say('alice', pull.number, 'apply', { createdAt });
    expect(answer.reply).toContain("hadn't shown its plan when you wrote");
    expect(await world.runs()).toHaveLength(1);
  });

  test('a second one is told that a run is under way', async () => {
    const pull = await open();
    await world.showPlan('network');
    await world.say('alice', pull.number, 'apply');
    const answer = await world.say('alice', pull.number, 'apply');
    expect(answer.reply).toMatch(
      /^`network` has an unfinished run of \w{7} \(Pending\): wait for its end, or comment `cancel network`\.$/,
    );
    expect(await world.runs()).toHaveLength(2);
  });

  test('confirms the run whose fresh plan differed, once that was shown', async () => {
    const pull = await open();
    await world.showPlan('network');
    await world.say('alice', pull.number, 'apply');
    const waiting = await world.plan(await world.run('network'), 'changes', 'another digest');
    expect(waiting.state).toBe('needs_confirmation');
    expect((await world.say('alice', pull.number, 'apply')).reply).toContain('when you wrote');
    await world.report(waiting);
    expect(await world.say('carol', pull.number, 'apply')).toEqual({ reactions: ['eyes', 'rocket'], reply: undefined });
    expect(await world.present(waiting)).toMatchObject({ state: 'confirmed', confirmed_by: 'carol' });
    expect(await world.effects('apply_check')).toEqual([{ kind: 'apply_check', run: waiting.id }]);
  });

  test("what was applied isn't applied again", async () => {
    const pull = await open();
    await world.showPlan('network');
    await world.say('alice', pull.number, 'apply');
    const run = await world.plan(await world.run('network'));
    expect(run.state).toBe('confirmed');
    await world.apply(run);
    const answer = await world.say('carol', pull.number, 'apply');
    expect(answer.reply).toBe('`network` was applied already, as alice asked.');
  });

  test('the head moved after it was written: nothing is applied, and both commits are named', async () => {
    const pull = await open();
    const before = pull.headSha;
    await world.showPlan('network');
    const createdAt = `${new Date().toISOString().slice(0, 19)}Z`;
    await world.nextSecond();
    await alice.push(world.repo, { branch: pull.pull.headRef, files: { 'network/main.tf': '# moved\n' } });
    await world.settle();
    const answer = await world.say('alice', pull.number, 'apply', { createdAt });
    expect(answer.reactions).toEqual(['eyes', 'confused']);
    expect(answer.reply).toContain(`moved from ${before.slice(0, 7)} to ${pull.headSha.slice(0, 7)}`);
    expect((await world.runs()).filter((run) => !run.speculative)).toEqual([]);
  });

  test('a head that we have heard nothing of yet is not applied', async () => {
    const pull = await open();
    await world.showPlan('network');
    const lost = world.github.loseDeliveries(({ event }) => event === 'pull_request');
    await alice.push(world.repo, { branch: pull.pull.headRef, files: { 'network/main.tf': '# unheard of\n' } });
    const answer = await world.say('alice', pull.number, 'apply');
    lost.stop();
    expect(answer.reactions).toEqual(['eyes', 'confused']);
    expect(answer.reply).toContain(pull.headSha.slice(0, 7));
    expect((await world.runs()).filter((run) => !run.speculative)).toEqual([]);
    const missed = world.github.deliveries.findLast(({ event }) => event === 'pull_request');
    if (missed) world.github.webhooks.redeliver(missed);
    await world.settle();
    expect(await row(pull.number)).toMatchObject({ affected_sha: pull.headSha });
  });

  test("requirements that don't hold are named", async () => {
    const pull = await open();
    await world.showPlan('network');
    world.repo.requireChecks('main', [{ name: 'lint' }, { name: 'signalbox' }]);
    world.repo.requireReviews('main', 1);
    await alice.push(world.repo, { files: { 'README.md': `${pull.number}\n` } });
    await world.settle();
    const answer = await world.say('alice', pull.number, 'apply');
    expect(answer.reply).toBe(
      `\`network\` can't be applied from #${pull.number} yet: a required review is missing; the required check \`lint\` isn't successful; \`${pull.pull.headRef}\` is 1 commit behind \`main\`: update the branch.`,
    );
    world.repo.protections.clear();
  });
});

describe('on a pull request that is over', () => {
  test('apply says where Apply is now, and plan that there is nothing to plan', async () => {
    const pull = await open();
    const merge = await alice.merge(world.repo, pull.number);
    await world.settle();
    const answer = await world.say('alice', pull.number, 'apply');
    expect(answer.reply).toBe(
      `#${pull.number} is merged. Apply is now on the checks of its merge commit ${merge.slice(0, 7)}.`,
    );
    expect((await world.say('alice', pull.number, 'plan')).reply).toContain('is merged');
    const closed = await open();
    await alice.close(world.repo, closed.number);
    expect((await world.say('alice', closed.number, 'plan')).reply).toContain('is closed: reopen it');
  });

  test('discard and cancel reach the runs of the merge commit', async () => {
    const pull = await open(both('merged'));
    await alice.merge(world.repo, pull.number);
    await world.settle();
    await world.plan(await world.run('app'));
    expect((await world.say('alice', pull.number, 'discard app')).reactions).toEqual(['eyes', '+1']);
    expect((await world.run('app')).state).toBe('discarded');
    await world.plan(await world.run('network'), 'unfinished');
    const refused = await world.say('alice', pull.number, 'discard');
    expect(refused.reply).toContain('comment `cancel network` to stop it');
    expect((await world.say('alice', pull.number, 'cancel')).reactions).toEqual(['eyes', '+1']);
    expect(await world.run('network')).toMatchObject({ state: 'planning', cancel_requested_by: 'alice' });
    expect((await world.say('alice', pull.number, 'discard app')).reply).toContain('`app` has nothing to discard');
  });
});

describe('plan', () => {
  test('plans again, also what is finished', async () => {
    const pull = await open();
    await world.plan(await world.run('network', 'speculative'));
    expect(await world.say('alice', pull.number, 'plan')).toEqual({ reactions: ['eyes', 'rocket'], reply: undefined });
    expect(await world.list()).toEqual([
      'network: speculative pull_request planned',
      'network: speculative comment pending',
    ]);
  });

  test("takes a workspace that isn't affected, when it is named", async () => {
    const pull = await open();
    await world.say('alice', pull.number, 'plan app');
    expect((await world.run('app', 'speculative')).state).toBe('pending');
    expect((await row(pull.number)).affected).toHaveLength(2);
  });

  test('allows the head of a fork, and no other head', async () => {
    const bob = world.github.as('bob');
    const fork = await bob.fork(world.repo);
    await bob.push(fork, { branch: 'fix', files: { 'network/main.tf': '# from a fork\n' } });
    const pull = await bob.openPullRequest(world.repo, { title: 'Fix', head: 'fix', base: 'main', headRepo: fork });
    await world.settle();
    expect(await world.runs()).toEqual([]);
    await world.nextSecond();
    expect((await world.say('bob', pull.number, 'plan')).reactions).toEqual(['eyes', 'confused']);
    expect((await world.say('alice', pull.number, 'plan')).reactions).toEqual(['eyes', 'rocket']);
    expect(await world.list()).toEqual(['network: speculative comment pending']);
    expect(await row(pull.number)).toMatchObject({ allowed_sha: pull.headSha });

    const createdAt = `${new Date().toISOString().slice(0, 19)}Z`;
    await world.nextSecond();
    await bob.push(fork, { branch: 'fix', files: { 'network/main.tf': '# hostile\n' } });
    await world.settle();
    expect(await world.list()).toEqual(['network: speculative comment discarded']);
    const answer = await world.say('alice', pull.number, 'plan', { createdAt });
    expect(answer.reply).toContain('after this was written');
    expect(await world.runs()).toHaveLength(1);
  });
});

test('no delivery was given up, and no request made that GitHub would not understand', async () => {
  expect(await world.givenUp()).toEqual([]);
  expect(world.github.violations).toEqual([]);
});
