import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { onPostgres, resource, World } from './world.js';

const CREATE = 'POST /repos/{owner}/{repo}/check-runs';
const COMMENT = 'POST /repos/{owner}/{repo}/issues/{issue_number}/comments';
const PLAN = 'signalbox/network (plan)';

describe('While GitHub is in trouble', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(onPostgres);
  });
  afterEach(() => world.github.misbehaviours.stop());
  afterAll(() => world.end());

  test.each(['lose-answer', 'lose-answer-502'] as const)(
    'a create whose answer is lost (%s) leaves one check run and one comment',
    async (how) => {
      const { github } = world;
      const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
      const checks = github.misbehave({ route: CREATE, times: 2, how });
      const comments = github.misbehave({ route: COMMENT, times: 1, how });
      const pull = await world.pullRequest(repo, { 'network/b.tf': resource('b', '1') });
      await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
      await world.check(repo, { name: 'signalbox', sha: pull.headSha, conclusion: 'success' });
      await world.summary(repo, pull, /Planned/);
      await world.quiet();
      expect(checks.met).toBe(2);
      expect(comments.met).toBe(1);
      expect(
        github
          .checkRuns(repo, pull.headSha)
          .map(({ name }) => name)
          .sort(),
      ).toEqual(['signalbox', PLAN]);
      expect(world.ownComments(repo, pull.number)).toHaveLength(1);
    },
  );

  test('tokens that GitHub does not know any more are replaced, for webhooks, reports and git', async () => {
    const { alice, github } = world;
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    github.expireTokens();
    const sha = await alice.push(repo, { files: { 'network/main.tf': resource('a', '2') } });
    await world.check(repo, { sha, conclusion: 'success' }, 40_000);
    github.expireTokens();
    const pull = await world.pullRequest(repo, { 'network/b.tf': resource('b', '1') });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' }, 40_000);
  });

  test('reports come late, and nothing is lost, when it answers 5xx for a while', async () => {
    const { alice, github } = world;
    const repo = await world.repository();
    const outage = github.misbehave({ how: { status: 503 } });
    const sha = await alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
    await world.until(repo, 'some refusals', () => outage.met >= 3);
    outage.stop();
    const plan = await world.check(repo, { sha, conclusion: 'action_required' }, 40_000);
    const again = github.misbehave({ how: { status: 502 } });
    await alice.press(plan, 'apply');
    await world.until(repo, 'some refusals', () => again.met >= 2);
    again.stop();
    const applied = await world.check(repo, { sha, conclusion: 'success' }, 40_000);
    expect(applied.title).toBe('1 added, 0 changed, 0 destroyed');
  });

  test.each(['secondary-rate-limit', 'primary-rate-limit'] as const)(
    'a %s is waited for',
    async (how) => {
      const { github } = world;
      const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
      const limit = github.misbehave({ route: /check-runs|comments/, times: 3, how });
      const pull = await world.pullRequest(repo, { 'network/b.tf': resource('b', '1') });
      await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' }, 30_000);
      await world.check(repo, { name: 'signalbox', sha: pull.headSha, conclusion: 'success' }, 30_000);
      await world.summary(repo, pull, /Planned/);
      expect(limit.met).toBe(3);
      expect(
        github
          .checkRuns(repo, pull.headSha)
          .map(({ name }) => name)
          .sort(),
      ).toEqual(['signalbox', PLAN]);
    },
    90_000,
  );
});
