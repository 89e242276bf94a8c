import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Person } from '../support/github/index.js';
import { World } from './world.js';

let world: World;
let alice: Person;
let counter = 0;

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
  await world.lookForMissed();
});
afterAll(() => world.close());
beforeEach(() => world.forgetRuns());

async function pushed() {
  await alice.push(world.repo, { files: { 'network/main.tf': `# ${counter++}\n` } });
  await world.settle();
  return world.run('network');
}

/** The webhooks of what is done get lost, and GitHub doesn't know of them. */
async function unheard(doing: () => unknown): Promise<void> {
  const loss = world.github.loseDeliveries(() => true, { recorded: false });
  await doing();
  loss.stop();
  await world.settle();
}

const row = (id = world.repo.id) =>
  world.db.selectFrom('repositories').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

const reasonOf = async (run: { id: string }) => {
  const events = await world.db
    .selectFrom('run_events')
    .selectAll()
    .where('run_id', '=', run.id)
    .orderBy('id')
    .execute();
  return events.at(-1)?.detail;
};

/** A list of repositories is due. */
const forgetList = () => world.db.updateTable('installations').set({ listed_at: null }).execute();

test('uninstalled, the runs that wait are discarded, and say why; one under way goes on to its end', async () => {
  const planning = await world.plan(await pushed(), 'unfinished');
  const waiting = await pushed();
  world.github.uninstall('acme');
  await world.settle();
  expect(await world.present(planning)).toMatchObject({ state: 'planning' });
  expect(await world.present(waiting)).toMatchObject({ state: 'discarded' });
  expect(await reasonOf(waiting)).toBe('The GitHub App was uninstalled.');
  const before = world.github.requests.length;
  await world.lookForMissed();
  const asked = world.github.requests.slice(before).map(({ route }) => route);
  expect(asked).toEqual(['GET /app/hook/deliveries', 'GET /app/installations']);
});

test('installed again, the repository follows to its new installation and is planned as before', async () => {
  const { id } = world.github.install(world.repo);
  await world.settle();
  expect(await row()).toMatchObject({ installation_id: id, removed_at: null });
  await pushed();
  expect(await world.list()).toEqual(['network: push pending']);
});

test('uninstalled or installed while nobody heard of it, it is found in the list', async () => {
  const waiting = await pushed();
  await unheard(() => world.github.uninstall('acme'));
  await world.lookForMissed();
  expect(await reasonOf(waiting)).toBe('The GitHub App was uninstalled.');
  expect((await row()).removed_at).not.toBeNull();
  let id = 0;
  await unheard(() => {
    id = world.github.install(world.repo).id;
  });
  await world.lookForMissed();
  expect(await row()).toMatchObject({ installation_id: id, removed_at: null });
});

test('suspended, runs that wait are discarded; taken up again, what was pushed meanwhile has its run', async () => {
  const waiting = await pushed();
  world.github.suspend('acme');
  await world.settle();
  expect(await reasonOf(waiting)).toBe('The GitHub App was suspended.');
  const before = world.github.requests.length;
  const sha = await alice.push(world.repo, { files: { 'app/main.tf': `# ${counter++}\n` } });
  await world.lookForMissed();
  const asked = world.github.requests.slice(before).filter(({ actor }) => actor.startsWith('app:'));
  expect(asked.map(({ route }) => route)).toEqual(['GET /app/hook/deliveries', 'GET /app/installations']);
  world.github.unsuspend('acme');
  await world.settle();
  await world.lookForMissed();
  expect(await world.run('app')).toMatchObject({ commit_sha: sha, state: 'pending' });
});

test('a suspension that is told of late, when it is over, ends nothing', async () => {
  await pushed();
  const [suspend] = world.github.deliveries.filter(({ action }) => action === 'suspend');
  if (suspend) world.github.webhooks.redeliver(suspend);
  await world.settle();
  expect(await world.list()).toEqual(['network: push pending']);
});

test('taken from the App, a repository loses its runs; given back, it is compared at once', async () => {
  const waiting = await pushed();
  world.github.removeFromApp(world.repo);
  await world.settle();
  expect(await reasonOf(waiting)).toBe('The repository was taken from the GitHub App.');
  expect((await row()).removed_at).not.toBeNull();
  const sha = await alice.push(world.repo, { files: { 'app/main.tf': `# ${counter++}\n` } });
  world.github.install(world.repo);
  await world.settle();
  await world.lookForMissed();
  expect((await row()).removed_at).toBeNull();
  expect(await world.run('app')).toMatchObject({ commit_sha: sha });
  const [removed] = world.github.deliveries.filter(({ action }) => action === 'removed');
  if (removed) world.github.webhooks.redeliver(removed);
  await world.settle();
  expect(await world.run('app')).toMatchObject({ state: 'pending' });
});

test('a repository of which no webhook ever came is known, with its branch and its pull request', async () => {
  const repo = await (async () => {
    let made = world.repo;
    await unheard(async () => {
      made = await world.github.createRepository({ owner: 'acme', name: 'silent', private: true });
      await made.setPermission('alice', 'write');
      await alice.push(made, { files: { 'db/main.tf': 'resource "terraform_data" "d" {}\n' } });
      await alice.push(made, { branch: 'idea', files: { 'db/main.tf': '# idea\n' } });
      await alice.openPullRequest(made, { head: 'idea', title: 'An idea' });
    });
    return made;
  })();
  await forgetList();
  await world.lookForMissed();
  expect(await row(repo.id)).toMatchObject({ owner: 'acme', name: 'silent', default_branch: 'main' });
  expect(await world.list()).toEqual(['db: speculative pull_request pending']);
  await unheard(() => alice.push(repo, { files: { 'db/main.tf': '# pushed\n' } }));
  await world.lookForMissed();
  expect(await world.list()).toEqual(['db: speculative pull_request pending', 'db: push pending']);
});

test('a rename is followed, told or not; a webhook from before it takes nothing back', async () => {
  await pushed();
  const old = world.github.deliveries.findLast(({ event }) => event === 'push');
  await world.nextSecond();
  world.github.renameRepository(world.repo, 'renamed');
  await world.settle();
  expect(await row()).toMatchObject({ name: 'renamed' });
  await world.nextSecond();
  await unheard(() => world.github.renameRepository(world.repo, 'renamed-again'));
  await world.lookForMissed();
  expect(await row()).toMatchObject({ name: 'renamed-again' });
  await world.db.deleteFrom('deliveries').execute();
  if (old) world.github.webhooks.redeliver(old);
  await world.settle();
  expect(await row()).toMatchObject({ name: 'renamed-again' });
});

test('another default branch is followed, also when nobody told of it', async () => {
  await alice.push(world.repo, { branch: 'trunk', from: 'main', commits: [] });
  await world.settle();
  await world.nextSecond();
  await unheard(() => world.github.changeDefaultBranch(world.repo, 'trunk'));
  await world.lookForMissed();
  expect(await row()).toMatchObject({ default_branch: 'trunk', settings_sha: null });
  await world.forgetRuns();
  await alice.push(world.repo, { branch: 'trunk', files: { 'network/main.tf': `# ${counter++}\n` } });
  await world.settle();
  expect(await world.run('network')).toMatchObject({ branch: 'trunk' });
});

test('a repository that moved to another owner is lost, or followed to the installation there', async () => {
  await world.github.createOrganization('umbrella', { owners: ['root'] });
  const other = await world.github.createRepository({ owner: 'umbrella', name: 'other', private: true });
  await world.settle();
  await world.nextSecond();
  await unheard(() => world.github.transferRepository(world.repo, 'umbrella'));
  await forgetList();
  await world.lookForMissed();
  expect((await row()).removed_at).not.toBeNull();
  const { id } = world.github.install(world.repo);
  expect(world.github.installationsOf(other).map((each) => each.id)).toEqual([id]);
  await world.settle();
  await world.lookForMissed();
  expect(await row()).toMatchObject({ owner: 'umbrella', installation_id: id, removed_at: null });
});

test('archived, its runs are discarded; unarchived, it goes on', async () => {
  await world.repo.setPermission('alice', 'write');
  await alice.push(world.repo, { files: { 'network/main.tf': `# ${counter++}\n` } });
  await world.settle();
  const waiting = await world.run('network');
  world.github.archiveRepository(world.repo);
  await world.settle();
  expect(await reasonOf(waiting)).toBe('The repository was archived.');
  world.github.archiveRepository(world.repo, false);
  await world.settle();
  expect((await row()).removed_at).toBeNull();
});

test('deleted, its runs are discarded, and say so', async () => {
  await alice.push(world.repo, { files: { 'network/main.tf': `# ${counter++}\n` } });
  await world.settle();
  const waiting = await world.run('network');
  world.github.deleteRepository(world.repo);
  await world.settle();
  expect(await reasonOf(waiting)).toBe('The repository was deleted.');
  await world.lookForMissed();
});

test('no delivery was given up', async () => {
  expect(await world.givenUp()).toEqual([]);
  expect(world.github.violations).toEqual([]);
});
