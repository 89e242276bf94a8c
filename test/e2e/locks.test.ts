import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { onPostgres, resource, World } from './world.js';

const NAME = 'signalbox/network';
const PLAN = 'signalbox/network (plan)';

describe('A workspace', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(onPostgres);
  });
  afterAll(() => world.end());

  test('that is locked keeps a push waiting, which says who and why; plans go on; after an unlock the push does too', async () => {
    const { alice, carol, github } = world;
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const pull = await world.pullRequest(repo, { 'network/b.tf': resource('b', '1') });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });

    expect((await world.command(repo, pull, 'lock network until the move is over')).reaction).toBe('+1');
    await world.summary(repo, pull, /🔒 alice locked `network` at .*: `until the move is over`/);

    const first = await alice.push(repo, { files: { 'network/main.tf': resource('a', '2') } });
    const waiting = await world.check(repo, {
      name: NAME,
      sha: first,
      status: 'queued',
      title: 'Locked by alice: until the move is over',
    });
    expect(waiting.summary).toContain('alice or an administrator of this repository can end that');
    const second = await alice.push(repo, { files: { 'network/main.tf': resource('a', '3') } });
    const behind = await world.check(repo, { name: NAME, sha: second, status: 'queued', title: /^Locked by alice/ });
    expect(behind.summary).toContain('**Number 2** in the queue of `network`.');

    await alice.push(repo, { branch: 'feature', files: { 'network/b.tf': resource('b', '2') } });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });

    const again = await world.command(repo, pull, 'lock network', { by: carol });
    expect(again.answer).toMatch(/^`network` is locked already: alice locked it on .*, `until the move is over`\./);
    const refused = await world.command(repo, pull, 'unlock network', { by: carol });
    expect(refused.answer).toMatch(/^`network` can't be unlocked by carol: alice locked it on /);
    expect(github.checkRuns(repo, first).filter(({ name, status }) => name === NAME && status !== 'queued')).toEqual(
      [],
    );

    expect((await world.command(repo, pull, 'unlock', { by: github.as('root') })).reaction).toBe('+1');
    await world.check(repo, { name: NAME, sha: first, conclusion: 'success', title: /1 changed/ });
    await world.check(repo, { name: NAME, sha: second, conclusion: 'success', title: /1 changed/ });
    await world.until(repo, 'a comment without the lock', () =>
      world
        .ownComments(repo, pull.number)
        .find(({ body }) => body.includes('signalbox: summary') && !body.includes('🔒')),
    );
  });

  test('that is held for an applied pull request is let go by `unlock`, and what waits then asks a person', async () => {
    const { alice, carol } = world;
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const pull = await world.pullRequest(repo, { 'network/b.tf': resource('b', '1') });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    await world.command(repo, pull, 'apply');
    await world.check(repo, { name: NAME, sha: pull.headSha, conclusion: 'success' });
    const sha = await alice.push(repo, { files: { 'network/main.tf': resource('a', '2') } });
    await world.check(repo, { name: NAME, sha, status: 'queued', title: `Held for pull request #${pull.number}` });
    expect((await world.command(repo, pull, 'unlock network', { by: carol })).reaction).toBe('+1');
    const reversal = await world.check(repo, { name: NAME, sha, conclusion: 'action_required' });
    expect(reversal.title).toBe('0 to add, 1 to change, 1 to destroy');
  });
});
