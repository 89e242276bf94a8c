import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { recheckApply } from '../../src/github/recheck.js';
import type { Person, PullHandle } from '../support/github/index.js';
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

const open = (files?: Record<string, string>) => world.open(`lock-${counter++}`, files);
const both = () => ({ 'network/main.tf': `# ${counter++}\n`, 'app/main.tf': `# ${counter++}\n` });
const workspace = (name = 'network') =>
  world.db.selectFrom('workspaces').selectAll().where('name', '=', name).executeTakeFirstOrThrow();
const locks = async () =>
  (
    await world.db.selectFrom('workspaces').selectAll().where('locked_at', 'is not', null).orderBy('name').execute()
  ).map(({ name, locked_by, lock_reason }) => [name, locked_by, lock_reason].join(': '));
const jobs = async () => (await world.effects('job')).map(({ job }) => job.run);
const done = { reactions: ['eyes', '+1'], reply: undefined };

async function pushed() {
  await alice.push(world.repo, { files: { 'network/main.tf': `# ${counter++}\n` } });
  await world.settle();
  return world.run('network');
}

describe('lock', () => {
  test('locks the named workspaces, and the rest of the line is the reason', async () => {
    const pull = await open();
    expect(await world.say('alice', pull.number, 'lock network until the migration is over')).toEqual(done);
    expect(await locks()).toEqual(['network: alice: until the migration is over']);
    const run = await pushed();
    expect(run.state).toBe('pending');
    expect(await jobs()).not.toContain(run.id);
  });

  test('without names locks those that the pull request affects', async () => {
    const pull = await open(both());
    expect(await world.say('alice', pull.number, '/lock freeze over Easter')).toEqual(done);
    expect(await locks()).toEqual(['app: alice: freeze over Easter', 'network: alice: freeze over Easter']);
    const other = await world.open(`readme-${counter++}`, { 'README.md': `${counter}\n` });
    const answer = await world.say('alice', other.number, 'lock');
    expect(answer.reply).toBe(`#${other.number} affects no workspace: name those to \`lock\`.`);
  });

  test('of several workspaces with a reason says how it was read', async () => {
    const pull = await open();
    const answer = await world.say('alice', pull.number, 'lock app network move');
    expect(answer).toEqual({ reactions: ['eyes', '+1'], reply: 'Locked `app` and `network`: `move`.' });
  });

  test('of a locked workspace is told who has it, since when and why, and changes nothing', async () => {
    const pull = await open();
    await world.say('alice', pull.number, 'lock network "moving" @all <b>|`x`');
    const before = await workspace();
    const answer = await world.say('carol', pull.number, 'lock network me too');
    expect(answer.reactions).toEqual(['eyes', 'confused']);
    expect(answer.reply).toMatch(
      /^`network` is locked already: alice locked it on \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC, `"moving" @all <b>\|'x'`\.$/,
    );
    expect(await workspace()).toEqual(before);
  });

  test('without the right, late, misspelt, by a bot, edited or in conversation changes nothing', async () => {
    const pull = await open();
    const refused = await world.say('bob', pull.number, 'lock network');
    expect(refused.reply).toBe('Only people with write access to this repository may `lock`: ask one of them.');
    expect((await world.say('bob', pull.number, 'unlock network')).reactions).toEqual(['eyes', 'confused']);
    const createdAt = `${new Date(Date.now() - 42 * 60_000).toISOString().slice(0, 19)}Z`;
    expect((await world.say('alice', pull.number, 'lock', { createdAt })).reply).toContain('42 minutes late');
    expect((await world.say('alice', pull.number, '/lock netwrk')).reply).toBe(
      'There is no workspace `netwrk` here. The workspaces are: `app` and `network`. If the reason begins with that, put a colon before it: `/lock: the reason`.',
    );
    expect((await world.say('alice', pull.number, '/unlock nowhere')).reply).toContain('no workspace `nowhere`');
    const silent = { reactions: [], reply: undefined };
    expect(await world.say('alice', pull.number, 'lock this later please')).toEqual(silent);
    expect(await world.say('alice', pull.number, 'unlock it, please')).toEqual(silent);
    const comment = await alice.comment(world.repo, pull.number, 'hm');
    await alice.editComment(world.repo, comment, 'lock network');
    const bot = world.github.registerApp({ slug: `bot-${counter++}` }, world.github.accounts.get('acme'));
    await world.repo.setPermission(bot.bot.login, 'write');
    await world.github.as(bot.bot.login).comment(world.repo, pull.number, 'lock network');
    await world.settle();
    expect(await locks()).toEqual([]);
  });

  test('of 65,536 characters is read, and the reason is kept short', async () => {
    const pull = await open();
    expect(await world.say('alice', pull.number, `lock network ${'x '.repeat(32_761)}`)).toEqual(done);
    expect((await workspace()).lock_reason).toHaveLength(300);
    expect((await world.say('alice', pull.number, 'y'.repeat(65_536))).reactions).toEqual([]);
  });

  test('works on closed and on merged pull requests', async () => {
    const closed = await open();
    await alice.close(world.repo, closed.number);
    await world.settle();
    expect(await world.say('alice', closed.number, 'lock')).toEqual(done);
    expect(await locks()).toEqual(['network: alice: ']);
    expect(await world.say('alice', closed.number, 'unlock')).toEqual(done);
    const merged = await open();
    await alice.merge(world.repo, merged.number);
    await world.settle();
    expect(await world.say('carol', merged.number, 'lock app network')).toEqual(done);
    expect(await locks()).toEqual(['app: carol: ', 'network: carol: ']);
  });

  test('in the same moment by two is one lock', async () => {
    const pull = await open();
    const said = [
      await alice.comment(world.repo, pull.number, 'lock network mine'),
      await world.github.as('carol').comment(world.repo, pull.number, 'lock network no, mine'),
    ];
    await world.settle();
    const answers = await Promise.all(said.map(({ id }) => world.answersTo(id)));
    expect(answers.map(({ reactions }) => reactions.at(-1)).sort()).toEqual(['+1', 'confused']);
    expect(await locks()).toHaveLength(1);
  });
});

describe('unlock', () => {
  test('is for whoever locked it, and for administrators', async () => {
    const pull = await open();
    await world.say('alice', pull.number, 'lock network why not');
    const run = await pushed();
    const refused = await world.say('carol', pull.number, 'unlock');
    expect(refused.reactions).toEqual(['eyes', 'confused']);
    expect(refused.reply).toMatch(
      /^`network` can't be unlocked by carol: alice locked it on .* UTC, `why not`; alice, or somebody with admin access to this repository, can unlock it\.$/,
    );
    expect(await locks()).toEqual(['network: alice: why not']);
    expect(await world.say('root', pull.number, 'unlock')).toEqual(done);
    expect(await locks()).toEqual([]);
    expect(await jobs()).toContain(run.id);
    await world.say('alice', pull.number, 'lock app');
    expect(await world.say('alice', pull.number, 'unlock app')).toEqual(done);
  });

  test("of Signalbox's own lock is for administrators", async () => {
    const pull = await open();
    const run = await pushed();
    await world.db
      .updateTable('workspaces')
      .set({ locked_at: sql`now()`, lock_reason: 'worker-1 was lost', lock_run: run.id })
      .where('name', '=', 'network')
      .execute();
    const refused = await world.say('alice', pull.number, 'unlock network');
    expect(refused.reply).toContain(`Signalbox locked it on`);
    expect(refused.reply).toContain(
      `because of ${run.id}, \`worker-1 was lost\`; somebody with admin access to this repository can unlock it.`,
    );
    expect(await world.say('root', pull.number, 'unlock network')).toEqual(done);
    expect(await locks()).toEqual([]);
  });

  test('where there is nothing to unlock says so', async () => {
    const pull = await open();
    expect((await world.say('alice', pull.number, 'unlock')).reply).toBe(
      `No workspace that #${pull.number} affects is locked: name the one that you mean.`,
    );
    expect((await world.say('alice', pull.number, 'unlock app')).reply).toBe("`app` isn't locked.");
  });

  test('does what it may of several, and says what it may not', async () => {
    const pull = await open(both());
    await world.say('alice', pull.number, 'lock app');
    await world.say('carol', pull.number, 'lock network');
    const answer = await world.say('alice', pull.number, 'unlock');
    expect(answer.reactions).toEqual(['eyes', '+1']);
    expect(answer.reply).toMatch(/^`network` can't be unlocked by alice: carol locked it on/);
    expect(await locks()).toEqual(['network: carol: ']);
  });
});

describe('unlock of a workspace that is held for a pull request', () => {
  /** A pull request whose change of `network` was applied, and that isn't merged yet. */
  async function applied(): Promise<PullHandle> {
    const pull = await open();
    await world.showPlan('network');
    await world.say('alice', pull.number, 'apply');
    const run = await world.plan(await world.run('network'));
    await recheckApply(world.services, run.id);
    await world.apply(run);
    return pull;
  }

  test('lets what waits go on, which then waits for a person', async () => {
    const pull = await applied();
    const waiting = await pushed();
    await world.db.updateTable('runs').set({ auto_apply: true }).where('id', '=', waiting.id).execute();
    expect(await jobs()).not.toContain(waiting.id);
    expect((await world.say('bob', pull.number, 'unlock network')).reactions).toEqual(['eyes', 'confused']);
    const answer = await world.say('carol', pull.number, 'unlock network');
    expect(answer).toEqual({
      reactions: ['eyes', '+1'],
      reply: `\`network\` isn't held for #${pull.number} any more: what waits goes on, and doesn't apply by itself.`,
    });
    expect(await workspace()).toMatchObject({ held_pull_request: null, held_head_sha: null });
    expect(await world.present(waiting)).toMatchObject({ auto_apply: false });
    expect(await jobs()).toContain(waiting.id);
    expect(await world.effects('pull_request_report')).toContainEqual(expect.objectContaining({ number: pull.number }));
  });

  test('without names ends holds only where nothing is locked', async () => {
    const { number: held } = await applied();
    const pull = await open(both());
    await world.say('alice', pull.number, 'lock app');
    expect(await world.say('alice', pull.number, 'unlock')).toEqual(done);
    expect(await workspace()).toMatchObject({ held_pull_request: held });
    expect((await world.say('alice', pull.number, 'unlock')).reactions).toEqual(['eyes', '+1']);
    expect(await workspace()).toMatchObject({ held_pull_request: null });
  });

  test('ends a lock first, and says that the hold is left', async () => {
    const pull = await applied();
    await world.say('alice', pull.number, 'lock network');
    const first = await world.say('alice', pull.number, 'unlock network');
    expect(first.reply).toContain(`\`network\` is unlocked, and still held for #${pull.number}`);
    expect(await workspace()).toMatchObject({ locked_at: null, held_pull_request: pull.number });
    await world.say('alice', pull.number, 'unlock network');
    expect(await workspace()).toMatchObject({ held_pull_request: null });
  });
});

describe('force-cancel', () => {
  const canceledSince = (seconds: number) =>
    world.db
      .updateTable('runs')
      .set({ cancel_requested_at: sql`now() - make_interval(secs => ${seconds})`, cancel_requested_by: 'alice' })
      .execute();

  test('is for administrators, once a cancel had ten seconds', async () => {
    const pull = await open();
    const run = await world.plan(await world.run('network', 'speculative'), 'unfinished');
    expect((await world.say('alice', pull.number, 'force-cancel')).reply).toBe(
      'Only people with admin access to this repository may `force-cancel`: ask one of them.',
    );
    expect((await world.say('root', pull.number, 'force-cancel network')).reply).toBe(
      "`network` can't be force-canceled: it wasn't canceled yet: cancel it first, and force it if that hasn't worked 10 s later.",
    );
    expect(await world.say('alice', pull.number, 'cancel')).toEqual(done);
    expect((await world.say('alice', pull.number, 'cancel')).reply).toBe(
      "`network` can't be canceled: it is being canceled already, as alice asked; if that doesn't end it, an administrator can comment `force-cancel network`.",
    );
    expect((await world.say('root', pull.number, 'force-cancel')).reply).toMatch(
      /^`network` can't be force-canceled: alice asked to cancel it only \d s ago: give Terraform \d+ s more to end by itself\.$/,
    );
    expect(await world.present(run)).toMatchObject({ force_cancel_requested_at: null });
    await canceledSince(11);
    expect(await world.say('root', pull.number, 'force-cancel')).toEqual(done);
    expect(await world.present(run)).toMatchObject({ state: 'planning', force_cancel_requested_by: 'root' });
    expect((await world.say('root', pull.number, 'force-cancel')).reply).toContain(
      'being killed already, as root asked',
    );
  });

  test('reaches the run of the merge commit', async () => {
    const pull = await open();
    await alice.merge(world.repo, pull.number);
    await world.settle();
    const run = await world.plan(await world.run('network'), 'unfinished');
    await canceledSince(20);
    expect(await world.say('root', pull.number, 'force-cancel network')).toEqual(done);
    expect(await world.present(run)).toMatchObject({ force_cancel_requested_by: 'root' });
  });

  test('where nothing is under way changes nothing', async () => {
    const pull = await open();
    expect((await world.say('root', pull.number, 'force-cancel')).reply).toBe(
      "`network` can't be force-canceled: the run is in state Pending.",
    );
    expect((await world.say('root', pull.number, 'force-cancel app')).reply).toBe(
      '`app` has nothing to force-cancel: it has had no run here.',
    );
    expect((await world.run('network', 'speculative')).state).toBe('pending');
  });
});

test('no delivery was given up, and no request made that GitHub would not understand', async () => {
  expect(await world.givenUp()).toEqual([]);
  expect(world.github.violations).toEqual([]);
});
