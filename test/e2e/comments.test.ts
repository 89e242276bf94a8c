import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { command, lines, onPostgres, processesIn, resource, World } from './world.js';

const PLAN = 'signalbox/network (plan)';
const HEAD = 'signalbox';

describe('A comment', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(onPostgres);
  });
  afterAll(() => world.end());

  /** An applied repository, and a pull request whose plan is shown. */
  async function planned(files: Record<string, string> = { 'network/b.tf': resource('b', '1') }) {
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') });
    const pull = await world.pullRequest(repo, files);
    const plan = await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    return { repo, pull, plan };
  }

  test('by somebody without write access is refused in one line, and changes nothing', async () => {
    const { repo, pull, plan } = await planned();
    const { bob, github } = world;
    for (const verb of ['apply', 'plan', 'discard', 'cancel']) {
      const { reaction, answer } = await world.command(repo, pull, verb, { by: bob });
      expect(reaction).toBe('confused');
      expect(answer.split('\n')[0]).toBe(
        `Only people with write access to this repository may \`${verb}\`: ask one of them.`,
      );
    }
    await bob.press(plan, 'apply');
    const told = await world.check(repo, { name: PLAN, where: ({ summary }) => /\*\*Refused\*\*/.test(summary ?? '') });
    expect(told.summary).toMatch(/bob: .*Only people with write access/);
    await world.quiet();
    const runs = github.checkRuns(repo, pull.headSha).filter(({ name }) => name !== HEAD);
    expect(runs.map(({ name }) => name)).toEqual([PLAN]);
  });

  test('that is conversation, or by a bot, or on an issue, is ignored', async () => {
    const { repo, pull } = await planned();
    const { alice, github } = world;
    const issue = await alice.openIssue(repo, 'A question');
    const said = [
      await alice.comment(repo, pull.number, 'apply this later, please'),
      await alice.comment(repo, pull.number, 'I think we should apply'),
      await alice.comment(repo, pull.number, '> apply'),
      await alice.comment(repo, pull.number, '```\napply\n```'),
      await alice.comment(repo, issue.number, 'apply'),
    ];
    const bot = github.registerApp({ slug: 'dependency-bot' }, github.accounts.get('acme'));
    await repo.setPermission('dependency-bot[bot]', 'write');
    said.push(await github.as(bot.bot.login).comment(repo, pull.number, 'apply'));
    await world.quiet();
    expect(said.flatMap(({ reactions }) => reactions)).toEqual([]);
    expect(world.ownComments(repo, pull.number)).toHaveLength(1);
    expect(world.ownComments(repo, issue.number)).toEqual([]);
    expect(world.shown(repo, pull.headSha).some((shown) => shown.startsWith('signalbox/network:'))).toBe(false);
  });

  test('may be addressed, name workspaces, ask for help and for another plan', async () => {
    const { repo, pull, plan } = await planned();
    const unknown = await world.command(repo, pull, 'signalbox apply nope');
    expect(unknown.reaction).toBe('confused');
    expect(unknown.answer).toContain('There is no workspace `nope` here. The workspaces are: `network`.');

    expect((await world.command(repo, pull, '/signalbox help')).reaction).toBe('+1');
    await world.until(repo, 'help', () =>
      world.ownComments(repo, pull.number).find(({ body }) => body.includes('| `discard` |')),
    );
    expect((await world.command(repo, pull, 'plan network')).reaction).toBe('rocket');
    const again = await world.check(repo, {
      name: PLAN,
      where: ({ id, conclusion }) => id !== plan.id && conclusion === 'success',
    });
    expect(again.summary).toContain('| Trigger | Comment by alice |');
    await world.alice.press(plan, 'apply');
    const refused = await world.until(repo, 'a refusal', () =>
      world.github.checkRuns(repo).find(({ summary }) => summary?.includes('was replaced by')),
    );
    expect(refused.id).toBe(plan.id);
    expect((await world.command(repo, pull, '@signalbox apply NETWORK')).reaction).toBe('rocket');
    await world.check(repo, { sha: pull.headSha, conclusion: 'success' });
    const repeated = await world.command(repo, pull, 'apply');
    expect(repeated.answer).toMatch(/`network` (was applied already|has no changes)/);
  });

  test('that is handled more than ten minutes after it was written is refused', async () => {
    const { repo, pull } = await planned();
    const createdAt = new Date(Date.now() - 700_000).toISOString().replace(/\.\d+Z/, 'Z');
    const { answer } = await world.command(repo, pull, 'apply', { createdAt });
    expect(answer).toContain('11 minutes late');
  });

  test('`cancel` ends an apply that hangs; what was applied until then is in the state and is not made twice', async () => {
    const journal = join(world.directory, 'journal');
    const script = `echo begin >> ${journal}; test -e ${journal}.go || sleep 301; echo end >> ${journal}`;
    const files = {
      'network/b.tf': `${command('first', `echo first >> ${journal}`)}${command('second', script).replace(
        '{\n',
        '{\n  depends_on = [terraform_data.first]\n',
      )}`,
    };
    const { repo, pull } = await planned(files);
    await world.command(repo, pull, 'apply');
    await world.until(repo, 'the sleep', async () => (await lines(journal)).includes('begin'));
    await world.check(repo, { sha: pull.headSha, status: 'in_progress' });
    expect((await world.command(repo, pull, 'cancel')).reaction).toBe('+1');
    const canceled = await world.check(repo, { sha: pull.headSha, conclusion: 'cancelled' });
    expect(canceled.title).toMatch(/^Canceled by alice/);
    expect(canceled.summary).toContain('What was applied until then is in the state.');
    expect(
      (await processesIn(join(world.directory, 'web/work'))).filter((line) => /terraform|sleep/.test(line)),
    ).toEqual([]);
    expect(await lines(journal)).toEqual(['first', 'begin']);

    await world.command(repo, pull, 'plan');
    const plan = await world.check(repo, {
      name: PLAN,
      where: ({ title, conclusion }) => conclusion === 'success' && !/^2 to add/.test(title ?? ''),
    });
    expect(plan.text).not.toContain('# terraform_data.first');
    await writeFile(`${journal}.go`, '');
    await world.command(repo, pull, 'apply');
    await world.check(repo, { sha: pull.headSha, conclusion: 'success' });
    expect(await lines(journal)).toEqual(['first', 'begin', 'begin', 'end']);
  });

  test('`discard` drops a run that waits, and says so where there is none', async () => {
    const { repo, pull } = await planned();
    const { answer } = await world.command(repo, pull, 'discard');
    expect(answer).toContain(`#${pull.number} has no unfinished run that could be discarded.`);
    const named = await world.command(repo, pull, 'cancel network');
    expect(named.answer).toContain('`network` has nothing to cancel: the run is in state Planned');
  });

  test('`plan` by somebody with write access lets a fork be planned; each new head of it asks again', async () => {
    const { mallory, github, alice } = world;
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', '1') }, { private: false });
    const fork = await mallory.fork(repo, `fork-of-${repo.name}`);
    await mallory.push(fork, { branch: 'feature', from: 'main', files: { 'network/b.tf': resource('b', '1') } });
    const pull = await mallory.openPullRequest(repo, { head: 'feature', headRepo: fork, title: 'From a fork' });
    const head = await world.check(repo, { name: HEAD, sha: pull.headSha, conclusion: 'action_required' });
    expect(head.title).toBe('A fork: 1 workspace not planned');
    await world.summary(repo, pull, /comes from a fork/);
    expect((await world.command(repo, pull, 'plan', { by: mallory })).reaction).toBe('confused');
    await world.quiet();
    expect(github.checkRuns(repo, pull.headSha).some(({ name }) => name === PLAN)).toBe(false);

    expect((await world.command(repo, pull, 'plan', { by: alice })).reaction).toBe('rocket');
    await world.check(repo, { name: PLAN, sha: pull.headSha, conclusion: 'success' });
    await world.check(repo, { name: HEAD, sha: pull.headSha, conclusion: 'success' });
    await mallory.push(fork, { branch: 'feature', files: { 'network/b.tf': resource('b', '2') } });
    await world.check(repo, { name: HEAD, sha: pull.headSha, conclusion: 'action_required' });
    await world.quiet();
    expect(github.checkRuns(repo, pull.headSha).some(({ name }) => name === PLAN)).toBe(false);
  });

  test('is not needed for a merge queue: its group gets the check that it waits for', async () => {
    const { repo, pull } = await planned();
    const group = await world.alice.mergeGroup(repo, pull.number);
    await world.check(repo, { name: HEAD, sha: group.headSha, conclusion: 'success' });
    await world.check(repo, { name: PLAN, sha: group.headSha, conclusion: 'success' });
  });
});
