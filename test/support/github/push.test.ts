import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { Webhooks } from '@octokit/webhooks';
import { type Fixture, installationToken, SECRET, startFixture } from './fixture.js';
import { git } from './git.js';

let fixture: Fixture;

beforeAll(async () => {
  fixture = await startFixture();
});
afterAll(() => fixture.close());

const ZERO = '0'.repeat(40);

test('the first push creates the branch: before is all zeros, every commit is listed', async () => {
  const { github, receiver, repo } = fixture;
  const sha = await github.as('alice').push(repo, {
    commits: [
      { message: 'Begin\n\nwith a body', files: { 'a/main.tf': 'a', 'b/ü "x".tf': 'b' } },
      {
        message: 'Change',
        files: { 'a/main.tf': 'aa', 'b/ü "x".tf': null, 'c.sh': { content: '#!', mode: '100755' } },
      },
    ],
  });
  await github.settled();
  const [push] = receiver.payloads('push');
  expect(push).toMatchObject({
    ref: 'refs/heads/main',
    before: ZERO,
    after: sha,
    created: true,
    deleted: false,
    forced: false,
    pusher: { name: 'alice' },
    sender: { login: 'alice', type: 'User' },
    repository: {
      full_name: 'acme/infra',
      private: true,
      default_branch: 'main',
      owner: { login: 'acme', name: 'acme' },
    },
    organization: { login: 'acme' },
    installation: { id: github.installationOf('acme').id },
    head_commit: { id: sha, message: 'Change', distinct: true, author: { username: 'alice' } },
  });
  expect(push.commits.map((commit: { message: string }) => commit.message)).toEqual(['Begin\n\nwith a body', 'Change']);
  expect(push.commits[0].added).toEqual(['a/main.tf', 'b/ü "x".tf']);
  expect(push.commits[1]).toMatchObject({ added: ['c.sh'], modified: ['a/main.tf'], removed: ['b/ü "x".tf'] });
});

test('after the push comes check_suite.requested on the new head', async () => {
  const { receiver, repo } = fixture;
  expect(receiver.names.slice(-2)).toEqual(['push', 'check_suite.requested']);
  const head = await repo.head('main');
  expect(receiver.payloads('check_suite')[0].check_suite).toMatchObject({
    head_sha: head,
    head_branch: 'main',
    status: 'queued',
  });
});

test("deliveries are signed so that Octokit's verification accepts them", async () => {
  const { receiver } = fixture;
  const webhooks = new Webhooks({ secret: SECRET });
  for (const { body, signature } of receiver.received) expect(await webhooks.verify(body, signature)).toBe(true);
});

test('a force push, a deletion, and a push of nothing', async () => {
  const { github, receiver, repo } = fixture;
  const alice = github.as('alice');
  const root = await repo.git(['rev-list', '--max-parents=0', 'main']);
  const first = await alice.push(repo, { branch: 'topic', message: 'one', files: { x: '1' } });
  const second = await alice.push(repo, {
    branch: 'topic',
    from: root,
    force: true,
    message: 'other',
    files: { x: '2' },
  });
  await alice.pushDeletion(repo, 'topic');
  await github.settled();
  const pushes = receiver.payloads('push').filter((push) => push.ref === 'refs/heads/topic');
  expect(pushes).toMatchObject([
    { created: true, after: first },
    { created: false, forced: true, before: first, after: second },
    { deleted: true, before: second, after: ZERO, head_commit: null, commits: [] },
  ]);
  await alice.push(repo, { commits: [] });
  await github.settled();
  expect(receiver.payloads('push')).toHaveLength(4);
});

test('without force a diverging push is rejected by git', async () => {
  const { github, repo } = fixture;
  const root = await repo.git(['rev-list', '--max-parents=0', 'main']);
  await expect(github.as('alice').push(repo, { from: root, files: { y: '' } })).rejects.toThrow(
    /non-fast-forward|fetch first/,
  );
});

test('git refuses who may not: anonymous, without access, without write', async () => {
  const { github, repo } = fixture;
  const clone = (url: string) => git(github.directory, ['ls-remote', url]);
  await expect(clone(repo.cloneUrl())).rejects.toThrow(/could not read Username/);
  await expect(clone(repo.cloneUrl('mallory'))).rejects.toThrow(/not found/);
  await expect(clone(`http://x:ghs_wrong@${github.host}/acme/infra.git`)).rejects.toThrow(/Authentication failed/);
  await expect(clone(repo.cloneUrl('bob'))).resolves.toContain('refs/heads/main');
  await expect(github.as('bob').push(repo, { files: { z: '' } })).rejects.toThrow(/403/);
});

test('an installation token narrowed to one repository and to reading clones that one and pushes nothing', async () => {
  const { github, repo } = fixture;
  const other = await github.createRepository({ owner: 'acme', name: 'other', private: true });
  await github.as('root').push(other, { files: { o: '' } });
  const token = await installationToken(github, 'acme', { repositories: ['infra'], permissions: { contents: 'read' } });
  const url = (name: string) => `http://x-access-token:${token}@${github.host}/acme/${name}.git`;
  const target = `${github.directory}/clone`;
  await git(github.directory, ['clone', '--quiet', '--depth=1', url('infra'), target]);
  expect(await git(target, ['rev-parse', 'HEAD'])).toBe(await repo.head('main'));
  await expect(git(github.directory, ['ls-remote', url('other')])).rejects.toThrow(/not found/);
  await expect(git(target, ['push', url('infra'), 'HEAD:refs/heads/new'])).rejects.toThrow(/403/);
});

test('an old commit is fetched by its SHA at depth one', async () => {
  const { github, repo } = fixture;
  const root = await repo.git(['rev-list', '--max-parents=0', 'main']);
  const target = `${github.directory}/fetch`;
  await git(github.directory, ['init', '--quiet', target]);
  await git(target, ['fetch', '--quiet', '--depth=1', repo.cloneUrl('bob'), root]);
  expect(await git(target, ['rev-parse', 'FETCH_HEAD'])).toBe(root);
});
