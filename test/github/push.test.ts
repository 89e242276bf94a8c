import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { CommitGone } from '../../src/git/mirror.js';
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

const change = (text: string) => ({ 'network/main.tf': `# ${text}\n` });

describe('a push to the branch that workspaces follow', () => {
  test('queues a run of each workspace that it touches, locked to the commit', async () => {
    const sha = await alice.push(world.repo, { message: 'Widen the network', files: change('wider') });
    await world.settle();
    const runs = await world.runs();
    expect(runs).toMatchObject([
      {
        trigger: 'push',
        actor: 'alice',
        commit_sha: sha,
        commit_message: 'Widen the network',
        branch: 'main',
        pull_request: null,
        speculative: false,
        state: 'pending',
        settings: { name: 'network' },
      },
    ]);
    expect(await world.effects('run_report')).toEqual([{ kind: 'run_report', run: runs[0]?.id }]);
    expect((await world.effects('job')).map(({ job }) => job.run)).toEqual([runs[0]?.id]);
  });

  test('looks at all commits of the push, not only at the last one', async () => {
    await alice.push(world.repo, {
      commits: [{ files: { 'app/main.tf': '# one\n' } }, { files: { 'README.md': 'two\n' } }],
    });
    await world.settle();
    expect(await world.list()).toEqual(['app: push pending']);
  });

  test('queues nothing where it touches no workspace, or leaves everything as it was', async () => {
    await alice.push(world.repo, { files: { 'docs/a.md': 'a' } });
    await alice.push(world.repo, { commits: [{ files: { 'app/x.tf': 'x' } }, { files: { 'app/x.tf': null } }] });
    await world.settle();
    expect(await world.list()).toEqual([]);
  });

  test('is done once, however often it is delivered', async () => {
    await alice.push(world.repo, { files: change('once') });
    await world.settle();
    const delivery = world.github.deliveries.findLast(({ event }) => event === 'push');
    if (delivery) world.github.webhooks.redeliver(delivery);
    await world.settle();
    expect(await world.list()).toEqual(['network: push pending']);
  });

  test('forced, with what was there before still known, is compared with that', async () => {
    const before = await world.repo.head('main');
    await alice.push(world.repo, { files: { 'app/main.tf': '# to be taken back\n' } });
    await world.settle();
    await world.forgetRuns();
    await alice.push(world.repo, { from: before ?? '', files: change('forced'), force: true });
    await world.settle();
    expect((await world.list()).sort()).toEqual(['app: push pending', 'network: push pending']);
  });
});

test('tags and branches that nobody follows queue nothing', async () => {
  await alice.pushTag(world.repo, 'v1');
  await alice.push(world.repo, { branch: 'idea', files: change('idea') });
  await world.settle();
  expect(await world.list()).toEqual([]);
  expect(await world.givenUp()).toEqual([]);
});

test('a deleted branch discards what waits for it in the queue, and says why', async () => {
  await alice.push(world.repo, {
    files: { '.github/signalbox.yml': `${SETTINGS}  - name: staging\n    directory: network\n    branch: staging\n` },
  });
  await alice.push(world.repo, { branch: 'staging', from: 'main', files: change('staging') });
  await world.settle();
  expect(await world.list()).toEqual(['staging: push pending']);
  const run = await world.run('staging');
  await alice.deleteBranch(world.repo, 'staging');
  await world.settle();
  expect(await world.list()).toEqual(['staging: push discarded']);
  const events = await world.db.selectFrom('run_events').select('detail').where('run_id', '=', run.id).execute();
  expect(events.at(-1)?.detail).toBe('Branch staging was deleted.');
});

test('a new branch that a workspace follows triggers its runs: what it changed is unknown', async () => {
  await alice.push(world.repo, { branch: 'staging', from: 'main', commits: [] });
  await world.settle();
  expect(await world.list()).toEqual(['staging: push pending']);
});

test('settings come from the pushed commit; faults are reported on it, and the sound workspaces go on', async () => {
  const sha = await alice.push(world.repo, {
    files: {
      '.github/signalbox.yml': `${SETTINGS}  - name: broken\n    directory: nowhere\n`,
      'network/main.tf': '# broken\n',
    },
  });
  await world.settle();
  expect(await world.list()).toEqual(['network: push pending']);
  expect(await world.effects('settings_report')).toMatchObject([
    { sha, problems: [{ path: '.github/signalbox.yml', line: 7, message: expect.stringContaining('nowhere') }] },
  ]);
});

test('a workspace that the settings name no more loses its waiting runs', async () => {
  await alice.push(world.repo, { files: { '.github/signalbox.yml': SETTINGS, 'app/main.tf': '# last\n' } });
  await world.settle();
  expect(await world.list()).toEqual(['app: push pending']);
  const only = SETTINGS.split('  - name: app')[0] ?? '';
  await alice.push(world.repo, { files: { '.github/signalbox.yml': only, 'network/main.tf': '# only\n' } });
  await world.settle();
  expect(await world.list()).toEqual(['app: push discarded', 'network: push pending']);
  await alice.push(world.repo, { files: { '.github/signalbox.yml': SETTINGS } });
  await world.settle();
});

test('forced over commits that nobody has any more, everything on the branch is triggered', async () => {
  const before = await world.repo.head('main');
  const { mirrors } = world.services;
  const of = mirrors.of.bind(mirrors);
  mirrors.of = (repository) => {
    const mirror = of(repository);
    const fetch = mirror.fetch.bind(mirror);
    mirror.fetch = async (shas) => {
      if (before && shas.includes(before)) throw new CommitGone('acme/infra', before);
      await fetch(shas);
    };
    return mirror;
  };
  await alice.push(world.repo, { files: { 'README.md': 'forced\n' } });
  await world.settle();
  mirrors.of = of;
  expect((await world.list()).sort()).toEqual(['app: push pending', 'network: push pending']);
});

test('while GitHub or its git is away, a push waits, and is not lost', async () => {
  const api = world.github.misbehave({ route: /branches/, times: 3, how: { status: 502 } });
  const git = world.github.git.misbehave({ times: 3, how: { status: 503 } });
  await alice.push(world.repo, { files: change('waits') });
  await alice.push(world.repo, { branch: 'idea', files: change('waits too') });
  await world.settle();
  expect(git.met).toBe(3);
  expect(await world.list()).toEqual(['network: push pending']);
  expect(await world.givenUp()).toEqual([]);
  api.stop();
});

test('a repository that was renamed is followed', async () => {
  world.github.repositories.rename(world.repo, 'renamed');
  await alice.push(world.repo, { files: change('renamed') });
  await world.settle();
  const row = await world.db.selectFrom('repositories').selectAll().executeTakeFirstOrThrow();
  expect(row).toMatchObject({ owner: 'acme', name: 'renamed', default_branch: 'main' });
  expect(await world.list()).toEqual(['network: push pending']);
});

test('no request was made that GitHub would not understand', () => {
  expect(world.github.violations).toEqual([]);
});
