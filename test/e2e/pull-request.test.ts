import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { command, deployments, lines, resource, SETTINGS, World, workspace } from './world.js';

const PLAN = 'signalbox/network (plan)';
const HEAD = 'signalbox';

describe.each(deployments)('A pull request, $name', (deployment) => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(deployment);
  });
  afterEach(() => world.github.git.misbehaviours.stop());
  afterAll(() => world.end());

  test('is planned outside of the queue, applied by a comment, holds its workspace, and is merged', async () => {
    const { alice, carol } = world;
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const pull = await world.pullRequest(repo, { 'network/main.tf': resource('a', '2') });
    const plan = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    expect(plan.title).toBe('0 to add, 1 to change, 0 to destroy');
    await world.check(repo, { name: HEAD, sha: pull.headSha, conclusion: 'success' });
    await world.summary(repo, pull, /\| `network` \| 0 \| 0 \| 1 \| 0 \|.*Planned/);

    const applied = await world.command(repo, pull, 'apply');
    expect(applied.reaction).toBe('rocket');
    const run = await world.check(repo, { sha: pull.headSha, conclusion: 'success' });
    expect(run.title).toBe('0 added, 1 changed, 0 destroyed');
    expect(run.summary).toMatch(/Approved by \| alice/);
    await world.summary(repo, pull, /Applied.*approved by alice, held until merged/);

    const unrelated = await carol.push(repo, { files: { 'network/other.tf': resource('other', '1') } });
    const held = await world.check(repo, { sha: unrelated, title: `Held for pull request #${pull.number}` });
    expect(held.status).toBe('queued');
    expect(held.summary).toContain("isn't merged yet");

    const merge = await alice.merge(repo, pull.number, 'merge');
    const dropped = await world.check(repo, { sha: unrelated, conclusion: 'cancelled' });
    expect(dropped.summary).toContain('the run of the merge takes its place');
    // The merge contains the unrelated push too, and nothing else is left to do.
    const merged = await world.check(repo, { sha: merge, conclusion: 'success' });
    expect(merged.title).toBe('1 added, 0 changed, 0 destroyed');
    await world.summary(repo, pull, /Merged/);
    expect(world.ownComments(repo, pull.number)).toHaveLength(1);
  });

  test('whose merge brings nothing else with it has No changes after the merge', async () => {
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const pull = await world.pullRequest(repo, { 'network/main.tf': resource('a', '2') });
    const plan = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    await world.alice.press(plan, 'apply');
    await world.check(repo, { sha: pull.headSha, conclusion: 'success' });
    const unrelated = await world.carol.push(repo, { files: { 'network/notes.md': 'Not for Terraform.' } });
    await world.check(repo, { sha: unrelated, title: `Held for pull request #${pull.number}` });
    const merge = await world.alice.merge(repo, pull.number, 'squash');
    const merged = await world.check(repo, { sha: merge, conclusion: 'success' });
    expect(merged.title).toBe('No changes');
    await world.check(repo, { sha: unrelated, conclusion: 'cancelled' });
  });

  test('has one comment and one valid plan after several pushes; what is unfinished of older ones is obsolete', async () => {
    const { alice, github } = world;
    const modules = await world.repository({ private: false, install: false });
    await alice.push(modules, { files: { 'main.tf': resource('m', '1') } });
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const slow = github.git.misbehave({ route: new RegExp(modules.fullName), how: 'hang', by: 'anyone' });
    const source = `module "slow" {\n  source = "git::${github.url}/${modules.fullName}.git?ref=main"\n}\n`;
    const pull = await world.pullRequest(repo, { 'network/module.tf': source });
    const first = pull.headSha;
    await world.check(repo, { name: PLAN, sha: first, status: 'in_progress' });
    await world.check(repo, { name: HEAD, sha: first, status: 'in_progress' });

    await alice.push(repo, { branch: 'feature', files: { 'network/module.tf': resource('b', '2') } });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    const obsolete = await world.check(repo, { name: PLAN, sha: first, conclusion: 'cancelled' });
    expect(obsolete.summary).toContain('moved on to');
    slow.stop();
    for (const input of ['3', '4']) {
      await alice.push(repo, { branch: 'feature', files: { 'network/module.tf': resource('b', input) } });
    }
    const last = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    expect(last.text).toContain('+ input  = "4"');
    await world.summary(repo, pull, new RegExp(pull.headSha.slice(0, 7)));
    await world.quiet();
    expect(world.ownComments(repo, pull.number)).toHaveLength(1);
    const unfinished = github.checkRuns(repo).filter(({ status }) => status !== 'completed');
    expect(unfinished).toEqual([]);
  });

  test('fails the check `signalbox` where a plan fails, and passes it where nothing is affected', async () => {
    const { alice } = world;
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const pull = await world.pullRequest(repo, { 'network/main.tf': 'output "x" { value = local.nothing }\n' });
    const failed = await world.check(repo, { name: HEAD, sha: pull.headSha, conclusion: 'failure' });
    expect(failed.title).toBe('network could not be planned');
    await world.summary(repo, pull, /1 workspace failed/);
    expect((await world.command(repo, pull, 'apply')).answer).toContain('has a plan that failed');

    await alice.push(repo, { branch: 'feature', files: { 'network/main.tf': resource('a', '3') } });
    await world.check(repo, { name: HEAD, sha: pull.headSha, conclusion: 'success' });
    const other = await world.pullRequest(repo, { 'README.md': 'About this.' }, { branch: 'docs' });
    const passed = await world.check(repo, { name: HEAD, sha: other.headSha, conclusion: 'success' });
    expect(passed.title).toBe('No workspace is affected');
  });

  test('whose head moved after its plan was reviewed: nothing of the old commit is applied, and the person is told', async () => {
    const { alice, github } = world;
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const pull = await world.pullRequest(repo, { 'network/main.tf': resource('a', '2') });
    const reviewed = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });

    // The news of the move is lost on the way, so that Signalbox has to ask.
    const lost = github.loseDeliveries(({ event }) => event === 'pull_request');
    await alice.push(repo, { branch: 'feature', files: { 'network/main.tf': resource('a', '3') } });
    await github.settled();
    const late = await world.command(repo, pull, 'apply');
    expect(late.reaction).toBe('confused');
    expect(late.answer).toContain(`The head of #${pull.number} is ${pull.headSha.slice(0, 7)}`);
    await alice.press(reviewed, 'apply');
    const told = await world.check(repo, {
      name: PLAN,
      sha: reviewed.headSha,
      where: ({ summary }) => /Refused/.test(summary ?? ''),
    });
    expect(told.summary).toContain(`moved on from ${reviewed.headSha.slice(0, 7)} to ${pull.headSha.slice(0, 7)}`);
    lost.stop();

    // It arrives, and a comment from before it does so too.
    await alice.push(repo, { branch: 'feature', files: { 'network/main.tf': resource('a', '4') } });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    const createdAt = new Date(Date.now() - 60_000).toISOString().replace(/\.\d+Z/, 'Z');
    const early = await world.command(repo, pull, 'apply', { createdAt });
    expect(early.answer).toMatch(/The head of #\d+ moved from [0-9a-f]{7} to [0-9a-f]{7} after this was written/);
    await world.quiet();
    expect(
      github
        .checkRuns(repo)
        .filter(({ name, headSha }) => name === 'signalbox/network' && headSha !== pull.pull.baseSha),
    ).toEqual([]);
  });

  test('whose head moves while its apply is being planned: nothing of the old commit is applied', async () => {
    const { alice, github } = world;
    const modules = await world.repository({ private: false, install: false });
    await alice.push(modules, { files: { 'main.tf': resource('m', '1') } });
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const source = `module "m" {\n  source = "git::${github.url}/${modules.fullName}.git?ref=main"\n}\n`;
    const pull = await world.pullRequest(repo, { 'network/module.tf': source });
    const first = pull.headSha;
    await world.check(repo, { name: PLAN, sha: first, conclusion: 'success' });
    const slow = github.git.misbehave({ route: new RegExp(modules.fullName), how: 'hang', by: 'anyone' });
    await world.command(repo, pull, 'apply');
    await world.check(repo, { sha: first, status: 'in_progress' });
    await alice.push(repo, {
      branch: 'feature',
      files: { 'network/module.tf': null, 'network/b.tf': resource('b', '1') },
    });
    const canceled = await world.check(repo, { sha: first, conclusion: 'cancelled' });
    expect(canceled.summary).toContain('moved on to');
    expect(canceled.summary).toContain('Nothing was applied.');
    slow.stop();
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
  });

  describe('whose plan differs from the one that was reviewed', () => {
    const SETTINGS_LAX = workspace('network', 'auto-apply: true', 'apply-requirements: []');

    /** Reviewed as one change; then somebody applies something else, which this would destroy. */
    async function overtaken() {
      const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') }, { settings: SETTINGS_LAX });
      const pull = await world.pullRequest(repo, { 'network/main.tf': resource('a', '2') });
      await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
      const other = await world.carol.push(repo, { files: { 'network/other.tf': resource('other', '1') } });
      await world.check(repo, { sha: other, conclusion: 'success' });
      await world.command(repo, pull, 'apply');
      const stopped = await world.check(repo, { sha: pull.headSha, conclusion: 'action_required' });
      return { repo, pull, stopped };
    }

    test('because the state changed: it stops, shows the difference, and `apply` then applies what is shown', async () => {
      const { repo, pull, stopped } = await overtaken();
      expect(stopped.title).toBe('Differs from the reviewed plan: 0 to add, 1 to change, 1 to destroy');
      expect(stopped.summary).toContain('differs from the one that alice approved');
      expect(stopped.summary).toMatch(
        /`terraform_data.other` \| `is new in the plan, to delete`|terraform_data\.other/,
      );
      await world.summary(repo, pull, /waits for a decision/);
      expect((await world.command(repo, pull, 'apply')).reaction).toBe('rocket');
      const applied = await world.check(repo, { sha: pull.headSha, conclusion: 'success' });
      expect(applied.title).toBe('0 added, 1 changed, 1 destroyed');
    });

    test('and `discard` drops it', async () => {
      const { repo, pull } = await overtaken();
      expect((await world.command(repo, pull, 'discard network')).reaction).toBe('+1');
      const discarded = await world.check(repo, { sha: pull.headSha, conclusion: 'cancelled' });
      expect(discarded.summary).toContain('Nothing was applied.');
    });

    test('because a provisioner in a remote module was changed: it stops and shows it', async () => {
      const { alice, github, directory } = world;
      const journal = join(directory, `provisioner-${deployment.workers}`);
      const modules = await world.repository({ private: false, install: false });
      const script = (word: string) => ({ files: { 'main.tf': command('m', `echo ${word} >> ${journal}`) } });
      await alice.push(modules, script('harmless'));
      const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
      const source = `module "m" {\n  source = "git::${github.url}/${modules.fullName}.git?ref=main"\n}\n`;
      const pull = await world.pullRequest(repo, { 'network/module.tf': source });
      const reviewed = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
      await alice.push(modules, script('harmful'));

      await alice.press(reviewed, 'apply');
      const stopped = await world.check(repo, { sha: pull.headSha, conclusion: 'action_required' });
      expect(stopped.title).toBe('Differs from the reviewed plan: 1 to add, 0 to change, 0 to destroy');
      expect(stopped.title?.replace('Differs from the reviewed plan: ', '')).toBe(reviewed.title);
      expect(stopped.summary).toContain('has other provisioners; its arguments are the same');
      expect(await lines(journal)).toEqual([]);
      await alice.press(stopped, 'discard');
      await world.check(repo, { sha: pull.headSha, conclusion: 'cancelled' });
      expect(await lines(journal)).toEqual([]);
    });
  });

  test('that turns on auto-apply for itself is still only planned', async () => {
    const repo = await world.repository();
    const sha = await world.alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
    const first = await world.check(repo, { sha, conclusion: 'action_required' });
    await world.alice.press(first, 'apply');
    await world.check(repo, { sha, conclusion: 'success' });
    const pull = await world.pullRequest(repo, {
      [SETTINGS]: workspace('network', 'auto-apply: true', 'apply-requirements: []'),
      'network/main.tf': resource('a', '2'),
    });
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    await world.check(repo, { name: 'signalbox/config', sha: pull.headSha, conclusion: 'success' });
    await world.quiet();
    expect(world.shown(repo, pull.headSha).some((shown) => shown.startsWith('signalbox/network:'))).toBe(false);
  });
});
