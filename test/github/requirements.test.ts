import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { ApplyRequirement } from '../../src/db/schema.js';
import { fetchPullRequest } from '../../src/github/pull-requests.js';
import { repository } from '../../src/github/repositories.js';
import { missing, unmetRequirements } from '../../src/github/requirements.js';
import type { Person, PullHandle } from '../support/github/index.js';
import { World } from './world.js';

let world: World;
let alice: Person;
let pull: PullHandle;
let counter = 0;

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
});
afterAll(() => world.close());
beforeEach(async () => {
  world.repo.protections.clear();
  pull = await world.open(`required-${counter++}`);
});

async function unmet(...requirements: ApplyRequirement[]): Promise<string[]> {
  const octokit = await world.services.octokitFor(world.github.installationOf('acme').id);
  const scope = { ...world.services, octokit, repository: await repository(world.db, world.repo.id) };
  const pullRequest = await fetchPullRequest(scope, pull.number);
  return missing(await unmetRequirements(scope, pullRequest, new Set(requirements)), requirements);
}

const report = (name: string, conclusion: string | undefined) =>
  world.github.reportCheck(world.repo, {
    name,
    head_sha: pull.headSha,
    status: conclusion ? 'completed' : 'in_progress',
    ...(conclusion ? { conclusion } : {}),
  });

describe('mergeable', () => {
  test('holds for a pull request that nothing is required of', async () => {
    expect(await unmet('mergeable')).toEqual([]);
  });

  test('names conflicts and drafts', async () => {
    await alice.push(world.repo, { files: { 'network/main.tf': '# in conflict\n' } });
    pull.pull.draft = true;
    expect(await unmet('mergeable')).toEqual(['it is a draft', 'it conflicts with `main`']);
  });

  test('our own checks never count, though they are required and have failed, or are unheard of', async () => {
    const octokit = await world.services.octokitFor(world.github.installationOf('acme').id);
    await octokit.rest.checks.create({
      owner: 'acme',
      repo: 'infra',
      name: 'signalbox',
      head_sha: pull.headSha,
      status: 'completed',
      conclusion: 'failure',
    });
    world.repo.requireChecks('main', [{ name: 'signalbox' }, { name: 'signalbox/network' }]);
    expect(await unmet('mergeable')).toEqual([]);
  });

  test('a required check of others has to be successful, also one that nobody has begun', async () => {
    world.repo.requireChecks('main', [{ name: 'lint' }, { name: 'test' }, { name: 'ok' }, { name: 'skipped' }]);
    await report('test', undefined);
    await report('ok', 'success');
    await report('skipped', 'skipped');
    await report('optional', 'failure');
    expect(await unmet('mergeable')).toEqual(["the required checks `test` and `lint` aren't successful"]);
    await report('lint', 'failure');
    await report('test', 'success');
    expect(await unmet('mergeable')).toEqual(["the required check `lint` isn't successful"]);
  });

  test('commit statuses count like checks', async () => {
    world.repo.requireChecks('main', [{ name: 'ci/old' }]);
    await world.github.reportStatus(world.repo, 'alice', pull.headSha, { state: 'pending', context: 'ci/old' });
    expect(await unmet('mergeable')).toEqual(["the required check `ci/old` isn't successful"]);
    await world.github.reportStatus(world.repo, 'alice', pull.headSha, { state: 'success', context: 'ci/old' });
    expect(await unmet('mergeable')).toEqual([]);
  });

  test('required reviews count', async () => {
    world.repo.requireReviews('main', 1);
    expect(await unmet('mergeable')).toEqual(['a required review is missing']);
    await world.github.as('carol').review(world.repo, pull.number, 'CHANGES_REQUESTED');
    expect(await unmet('mergeable')).toEqual(['a review asked for changes']);
    await world.github.as('carol').review(world.repo, pull.number, 'APPROVED');
    expect(await unmet('mergeable')).toEqual([]);
  });
});

test('approved asks for an approval by somebody with write where the base requires none', async () => {
  expect(await unmet('approved')).toEqual(['nobody with write approved it']);
  await world.github.as('bob').review(world.repo, pull.number, 'APPROVED');
  expect(await unmet('approved')).toEqual(['nobody with write approved it']);
  await world.github.as('carol').review(world.repo, pull.number, 'APPROVED');
  expect(await unmet('approved')).toEqual([]);
});

test('undiverged asks for every commit of the base', async () => {
  expect(await unmet('undiverged')).toEqual([]);
  await alice.push(world.repo, { commits: [{ files: { 'a.md': 'a' } }, { files: { 'b.md': `${counter}` } }] });
  expect(await unmet('undiverged')).toEqual([
    `\`${pull.pull.headRef}\` is 2 commits behind \`main\`: update the branch`,
  ]);
});

test('no request was made that GitHub would not understand', () => {
  expect(world.github.violations).toEqual([]);
});
