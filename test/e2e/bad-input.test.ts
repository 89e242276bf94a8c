import { createHmac, randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { apart, resource, SETTINGS, World, workspace } from './world.js';

const CONFIG = 'signalbox/config';

describe('Bad input', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(apart);
  });
  afterAll(() => world.end());

  describe('in signalbox.yml is annotated on its line, and the other workspaces go on', () => {
    const good = '  - name: network\n    directory: network\n';
    const cases = [
      {
        what: 'an unknown key',
        file: `workspaces:\n${good}  - name: app\n    directory: app\n    auto-aply: true\n`,
        line: 6,
        says: 'auto-aply',
      },
      {
        what: 'two workspaces of one name',
        file: `workspaces:\n${good}  - name: app\n    directory: app\n  - name: app\n    directory: data\n`,
        line: 6,
        says: 'two workspaces are named `app`',
      },
      {
        what: 'a directory that does not exist',
        file: `workspaces:\n${good}  - name: app\n    directory: nowhere\n`,
        line: 5,
        says: 'does not exist',
      },
    ];
    test.each(cases)('$what', async ({ file, line, says }) => {
      const repo = await world.repository();
      const files = {
        'network/main.tf': resource('a', '1'),
        'app/main.tf': resource('a', '1'),
        'data/main.tf': resource('a', '1'),
      };
      const sha = await world.alice.push(repo, { files: { [SETTINGS]: file, ...files } });
      const config = await world.check(repo, { name: CONFIG, sha, conclusion: 'failure' });
      expect(config.annotations).toEqual([
        expect.objectContaining({ path: SETTINGS, start_line: line, annotation_level: 'failure' }),
      ]);
      expect(config.annotations[0]?.message).toContain(says);
      await world.check(repo, { sha, conclusion: 'action_required' });
      await world.quiet();
      expect(world.shown(repo, sha).filter((shown) => /signalbox\/(app|data)/.test(shown))).toEqual([]);
    });

    test('text that is no YAML; mended, it passes', async () => {
      const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
      const sha = await world.alice.push(repo, { files: { [SETTINGS]: 'workspaces:\n  - name: "network\n' } });
      const config = await world.check(repo, { name: CONFIG, sha, conclusion: 'failure' });
      expect(config.annotations.length).toBeGreaterThan(0);
      const pull = await world.pullRequest(repo, { [SETTINGS]: workspace('network') });
      await world.check(repo, { name: CONFIG, sha: pull.headSha, conclusion: 'success' });
    });
  });

  test('to the webhook, without a signature or with a wrong one, is refused and not recorded', async () => {
    const [web] = world.processes;
    const body = JSON.stringify({ ref: 'refs/heads/main', repository: { id: 1 } });
    const send = (signature: string | undefined) =>
      fetch(web?.webhookUrl ?? '', {
        method: 'POST',
        body,
        headers: {
          'content-type': 'application/json',
          'x-github-event': 'push',
          'x-github-delivery': randomUUID(),
          ...(signature === undefined ? {} : { 'x-hub-signature-256': signature }),
        },
      });
    const count = async () => (await world.query('select 1 from deliveries')).length;
    await world.quiet();
    const before = await count();
    const wrong = `sha256=${createHmac('sha256', 'development').update(body).digest('hex')}`;
    for (const signature of [undefined, wrong, 'sha256=', 'nonsense']) {
      const answer = await send(signature);
      expect([400, 401]).toContain(answer.status);
      expect(await answer.text()).not.toMatch(/\bat \/|node_modules|Error:/);
    }
    expect(await count()).toBe(before);
  });

  test('in Terraform is annotated on its line', async () => {
    const repo = await world.repository();
    const main = `${resource('a', '1')}resource "terraform_data" "b" {\n  input = \n}\n`;
    const sha = await world.alice.push(repo, { files: { 'network/main.tf': main } });
    const failed = await world.check(repo, { sha, conclusion: 'failure' });
    expect(failed.title).toMatch(/^Plan errored: Invalid expression/);
    expect(failed.annotations).toEqual([
      expect.objectContaining({ path: 'network/main.tf', start_line: 5, annotation_level: 'failure' }),
    ]);
    const reference = await world.alice.push(repo, {
      files: { 'network/main.tf': `\n\noutput "x" {\n  value = local.nothing\n}\n` },
    });
    const undeclared = await world.check(repo, { sha: reference, conclusion: 'failure' });
    expect(undeclared.annotations[0]).toMatchObject({ path: 'network/main.tf', start_line: 4 });
  });

  test('of Git: an empty repository, one without Terraform, a deleted branch, a force push', async () => {
    const { alice, github } = world;
    const repo = await world.repository();
    const issue = await alice.openIssue(repo, 'Empty');
    await alice.comment(repo, issue.number, 'signalbox plan');
    const readme = await alice.push(repo, { files: { 'README.md': 'No Terraform here.' } });
    await alice.push(repo, { branch: 'gone', files: { 'x.txt': '1' } });
    await alice.pushDeletion(repo, 'gone');
    await world.quiet();
    expect(github.checkRuns(repo)).toEqual([]);

    const first = await alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
    await world.check(repo, { sha: first, conclusion: 'action_required' });
    const forced = await alice.push(repo, {
      from: readme,
      force: true,
      files: { 'network/main.tf': resource('z', '1') },
    });
    await world.check(repo, { sha: forced, status: 'queued' });
    await alice.press(await world.check(repo, { sha: first }), 'discard');
    const plan = await world.check(repo, { sha: forced, conclusion: 'action_required' });
    expect(plan.text).toContain('terraform_data.z');
  });

  test('of Git: the branch of a workspace is deleted while a run waits in its queue', async () => {
    const { alice } = world;
    const repo = await world.repository();
    const settings = workspace('network', 'branch: live');
    const base = await alice.push(repo, { files: { [SETTINGS]: settings, 'network/main.tf': resource('a', '0') } });
    const first = await alice.push(repo, {
      branch: 'live',
      from: base,
      files: { 'network/main.tf': resource('a', '1') },
    });
    const plan = await world.check(repo, { sha: first, conclusion: 'action_required' });
    const second = await alice.push(repo, { branch: 'live', files: { 'network/main.tf': resource('a', '2') } });
    await world.check(repo, { sha: second, status: 'queued' });
    await alice.pushDeletion(repo, 'live');
    const dropped = await world.check(repo, { sha: second, conclusion: 'cancelled' });
    expect(dropped.summary).toContain('Branch live was deleted');
    await alice.press(plan, 'discard');
    await world.check(repo, { sha: first, conclusion: 'cancelled' });
  });

  test('of Git: a commit that is gone when its turn comes ends in Plan errored, with the cause, and the next run goes on', async () => {
    const { alice } = world;
    const repo = await world.repository();
    const base = await alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
    const first = await world.check(repo, { sha: base, conclusion: 'action_required' });
    const lost = await alice.push(repo, { files: { 'network/main.tf': resource('a', '2') } });
    await world.check(repo, { sha: lost, status: 'queued' });
    const kept = await alice.push(repo, { from: base, force: true, files: { 'network/main.tf': resource('a', '3') } });
    await world.check(repo, { sha: kept, status: 'queued' });
    await repo.git(['reflog', 'expire', '--expire=now', '--all']);
    await repo.git(['gc', '--quiet', '--prune=now']);

    await alice.press(first, 'discard');
    const failed = await world.check(repo, { sha: lost, conclusion: 'failure' });
    expect(failed.title).toMatch(/^Plan errored: .*gone|^Plan errored: .*(no longer|not|n't)/i);
    expect(failed.summary).not.toContain('Something went wrong in Signalbox itself');
    const plan = await world.check(repo, { sha: kept, conclusion: 'action_required' });
    expect(plan.text).toContain('+ input  = "3"');
  });
});
