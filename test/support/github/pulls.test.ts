import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Octokit } from '@octokit/rest';
import { client, type Fixture, installationToken, startFixture } from './fixture.js';
import type { Person, PullHandle, Repository } from './index.js';

let fixture: Fixture;
let app: Octokit;
let alice: Person;
let root: Person;
let repo: Repository;
let count = 0;
const infra = { owner: 'acme', repo: 'infra' };

beforeAll(async () => {
  fixture = await startFixture();
  repo = fixture.repo;
  alice = fixture.github.as('alice');
  root = fixture.github.as('root');
  await alice.push(repo, { files: { 'main.tf': 'one\n', other: '' } });
  app = client(fixture.github, await installationToken(fixture.github, 'acme'));
});
beforeEach(async () => {
  await fixture.github.settled();
  fixture.receiver.received.length = 0;
});
afterAll(() => fixture.close());

async function open(files: Record<string, string>, draft = false): Promise<PullHandle & { branch: string }> {
  count += 1;
  const branch = `topic-${count}`;
  await alice.push(repo, { branch, message: 'Change', files });
  const pull = await alice.openPullRequest(repo, { head: branch, base: 'main', title: `Change ${count}`, draft });
  return Object.assign(Object.create(pull), { branch });
}

test('a pull request from opening to merging', async () => {
  const { github, receiver } = fixture;
  const pull = await open({ 'main.tf': 'two\n' }, true);
  const { number } = pull;
  const first = pull.headSha;
  const second = await alice.push(repo, { branch: pull.branch, message: 'More', files: { 'more.tf': '' } });
  await alice.markReady(repo, number);
  const { data } = await app.rest.pulls.get({ ...infra, pull_number: number });
  expect(data).toMatchObject({
    mergeable: true,
    mergeable_state: 'clean',
    draft: false,
    merged: false,
    commits: 2,
    changed_files: 2,
  });
  expect(data.head).toMatchObject({ sha: second, ref: pull.branch, repo: { full_name: 'acme/infra' } });
  expect((await app.rest.pulls.listFiles({ ...infra, pull_number: number })).data.map((file) => file.filename)).toEqual(
    ['main.tf', 'more.tf'],
  );
  await github.settled();
  expect(receiver.payloads('pull_request', 'opened')[0]).toMatchObject({
    number,
    pull_request: { draft: true, head: { sha: first } },
  });
  expect(receiver.payloads('pull_request', 'synchronize')[0]).toMatchObject({ before: first, after: second });
  expect(receiver.names.slice(-4)).toEqual([
    'push',
    'pull_request.synchronize',
    'check_suite.requested',
    'pull_request.ready_for_review',
  ]);
  expect(receiver.payloads('check_suite').at(-1).check_suite.pull_requests).toMatchObject([
    { number, head: { sha: second } },
  ]);

  const merge = await alice.merge(repo, number);
  await github.settled();
  expect(await repo.head('main')).toBe(merge);
  expect(receiver.payloads('push').at(-1)).toMatchObject({
    ref: 'refs/heads/main',
    after: merge,
    pusher: { name: 'alice' },
  });
  expect(receiver.payloads('pull_request', 'closed')).toMatchObject([
    { pull_request: { merged: true, merge_commit_sha: merge, merged_by: { login: 'alice' } } },
  ]);
  const associated = await app.rest.repos.listPullRequestsAssociatedWithCommit({ ...infra, commit_sha: merge });
  expect(associated.data.map((each) => each.number)).toEqual([number]);
});

test.each(['squash', 'rebase'] as const)('%s makes commits of its own, with the head as its tree', async (method) => {
  const pull = await open({ [`${method}.tf`]: 'x' });
  const merge = await alice.merge(repo, pull.number, method);
  expect(merge).not.toBe(pull.headSha);
  expect(await repo.git(['show', `main:${method}.tf`])).toBe('x');
  expect((await repo.git(['rev-list', '--parents', '-1', 'main'])).split(' ')).toHaveLength(2);
  await fixture.github.settled();
  expect(fixture.receiver.payloads('pull_request', 'closed')).toMatchObject([
    { pull_request: { merged: true, merge_commit_sha: merge } },
  ]);
});

test('pushing its commits to the base merges it; deleting its branch closes it', async () => {
  const one = await open({ 'pushed.tf': '' });
  const other = await open({ 'deleted.tf': '' });
  await alice.push(repo, { branch: 'main', from: one.branch, commits: [] });
  await alice.deleteBranch(repo, other.branch);
  await fixture.github.settled();
  const closed = fixture.receiver.payloads('pull_request', 'closed');
  expect(closed.map((each) => [each.number, each.pull_request.merged])).toEqual([
    [one.number, true],
    [other.number, false],
  ]);
  await expect(alice.reopen(repo, other.number)).rejects.toThrow(/state cannot be changed/);
});

test('a changed base is an edit that says what it was; close and reopen', async () => {
  await alice.push(repo, { branch: 'release', message: 'r', files: { r: '' } });
  const { number } = await open({ 'base.tf': '' });
  await alice.changeBase(repo, number, 'release');
  await alice.close(repo, number);
  await alice.reopen(repo, number);
  await fixture.github.settled();
  expect(fixture.receiver.payloads('pull_request', 'edited')).toMatchObject([
    { changes: { base: { ref: { from: 'main' } } }, pull_request: { base: { ref: 'release' } } },
  ]);
  expect(fixture.receiver.names.slice(-2)).toEqual(['pull_request.closed', 'pull_request.reopened']);
});

test('a conflict is dirty and refuses to be merged', async () => {
  const { number } = await open({ other: 'ours\n' });
  await alice.push(repo, { files: { other: 'theirs\n' } });
  const { data } = await app.rest.pulls.get({ ...infra, pull_number: number });
  expect(data).toMatchObject({ mergeable: false, mergeable_state: 'dirty' });
  await expect(alice.merge(repo, number)).rejects.toThrow(/not mergeable/);
});

test('slow mergeability: the first reader after a change is told that it is not known', async () => {
  const { github, receiver } = fixture;
  github.slowMergeability = true;
  const { number } = await open({ 'slow.tf': '' });
  const ask = async () => (await app.rest.pulls.get({ ...infra, pull_number: number })).data;
  expect(await ask()).toMatchObject({ mergeable: null, mergeable_state: 'unknown' });
  expect(await ask()).toMatchObject({ mergeable: true, mergeable_state: 'clean' });
  github.slowMergeability = false;
  await github.settled();
  expect(receiver.payloads('pull_request', 'opened')[0].pull_request).toMatchObject({ mergeable: null });
});

test('a fork: its pull request has its own head repository, and follows its pushes', async () => {
  const { github, receiver } = fixture;
  const bob = github.as('bob');
  const fork = await bob.fork(repo);
  const first = await bob.push(fork, { branch: 'patch', message: 'Patch', files: { 'fork.tf': '' } });
  const pull = await bob.openPullRequest(repo, { head: 'patch', base: 'main', title: 'From a fork', headRepo: fork });
  await bob.push(fork, { branch: 'patch', message: 'More', files: { 'fork.tf': 'x' } });
  await app.rest.checks.create({ ...infra, name: 'plan', head_sha: pull.headSha });
  await github.settled();
  expect(receiver.names).toEqual(['pull_request.opened', 'pull_request.synchronize', 'check_run.created']);
  expect(receiver.payloads('pull_request', 'opened')[0].pull_request.head).toMatchObject({
    sha: first,
    label: 'bob:patch',
    repo: { full_name: 'bob/infra', fork: true },
  });
  expect(receiver.payloads('check_run')[0].check_run).toMatchObject({
    pull_requests: [],
    check_suite: { head_branch: null },
  });
  const compared = await app.rest.repos.compareCommitsWithBasehead({ ...infra, basehead: 'main...bob:patch' });
  expect(compared.data.files).toMatchObject([{ filename: 'fork.tf', status: 'added' }]);
});

test('comments and reactions, by people and by the App', async () => {
  const { github, receiver } = fixture;
  const { number } = await open({ 'comment.tf': '' });
  const comment = await github.as('bob').comment(repo, number, 'apply');
  const react = () => app.rest.reactions.createForIssueComment({ ...infra, comment_id: comment.id, content: 'eyes' });
  expect((await react()).status).toBe(201);
  expect((await react()).status).toBe(200);
  expect(comment.reactions).toMatchObject([{ content: 'eyes', user: { login: 'signalbox[bot]' } }]);
  const { data } = await app.rest.issues.createComment({ ...infra, issue_number: number, body: 'plan' });
  expect(data).toMatchObject({
    user: { login: 'signalbox[bot]', type: 'Bot' },
    performed_via_github_app: { slug: 'signalbox' },
  });
  await app.rest.issues.updateComment({ ...infra, comment_id: data.id, body: 'newer plan' });
  await github.settled();
  expect(receiver.payloads('issue_comment', 'created')[0]).toMatchObject({
    comment: { body: 'apply', user: { login: 'bob' } },
    issue: { number, pull_request: { url: expect.stringContaining(`/pulls/${number}`) } },
  });
  expect(receiver.payloads('issue_comment', 'edited')[0]).toMatchObject({
    changes: { body: { from: 'plan' } },
    sender: { type: 'Bot' },
  });
  expect(github.comments(repo, number).map((each) => each.body)).toEqual(['apply', 'newer plan']);
  const person = client(github, github.token('bob'));
  await person.rest.issues.createComment({ ...infra, issue_number: number, body: 'by curl' });
  expect((await app.rest.issues.listComments({ ...infra, issue_number: number })).data).toHaveLength(3);
  const issue = await github.as('bob').openIssue(repo, 'No pull request');
  await expect(
    app.rest.issues.createComment({ ...infra, issue_number: issue.number, body: 'x' }),
  ).rejects.toMatchObject({ status: 403 });
});

const QUERY = `query ($owner: String!, $name: String!, $number: Int!) {
  repository(owner: $owner, name: $name) { pullRequest(number: $number) {
    number state isDraft mergeable reviewDecision headRefOid baseRefOid merged mergeCommit { oid }
    commits(last: 1) { nodes { commit { oid } } }
    statusCheckRollup { state contexts(first: 100) { nodes { __typename
      ... on CheckRun { name conclusion status databaseId isRequired(pullRequestNumber: $number) checkSuite { app { databaseId slug } } }
      ... on StatusContext { context state isRequired(pullRequestNumber: $number) }
    } pageInfo { hasNextPage endCursor } } }
  } }
}`;

test('required checks and reviews block, in REST and in GraphQL', async () => {
  const { github } = fixture;
  const pull = await open({ 'required.tf': '' });
  const { number, headSha } = pull;
  repo.requireChecks('main', [{ name: 'signalbox', appId: 1 }, { name: 'tests' }]);
  repo.requireReviews('main', 1);
  const state = async () => (await app.rest.pulls.get({ ...infra, pull_number: number })).data.mergeable_state;
  const ask = async () => {
    const answer = await app.graphql<{ repository: { pullRequest: unknown } }>(QUERY, {
      owner: 'acme',
      name: 'infra',
      number,
    });
    return answer.repository.pullRequest;
  };
  expect(await state()).toBe('blocked');
  expect(await ask()).toMatchObject({
    mergeable: 'MERGEABLE',
    reviewDecision: 'REVIEW_REQUIRED',
    statusCheckRollup: null,
    headRefOid: headSha,
  });
  await app.rest.checks.create({ ...infra, name: 'signalbox', head_sha: headSha, conclusion: 'neutral' });
  await github.reportCheck(repo, { name: 'tests', head_sha: headSha, status: 'in_progress' });
  await github.reportStatus(repo, 'alice', headSha, { context: 'lint', state: 'failure' });
  await github.as('bob').review(repo, number, 'APPROVED'); // has no write: doesn't count
  expect(await ask()).toMatchObject({
    reviewDecision: 'REVIEW_REQUIRED',
    statusCheckRollup: {
      state: 'FAILURE',
      contexts: {
        nodes: [
          {
            name: 'signalbox',
            conclusion: 'NEUTRAL',
            isRequired: true,
            checkSuite: { app: { databaseId: 1, slug: 'signalbox' } },
          },
          { name: 'tests', status: 'IN_PROGRESS', conclusion: null, isRequired: true },
          { __typename: 'StatusContext', context: 'lint', state: 'FAILURE', isRequired: false },
        ],
      },
    },
  });
  await root.review(repo, number, 'APPROVED');
  await expect(alice.merge(repo, number)).rejects.toThrow(/not mergeable/);
  await github.reportCheck(repo, { name: 'tests', head_sha: headSha, conclusion: 'success' });
  expect(await state()).toBe('unstable');
  expect(await ask()).toMatchObject({ reviewDecision: 'APPROVED' });
  repo.protections.clear();
});

test('GraphQL refuses unknown fields and repositories, in the shape of GitHub’s errors', async () => {
  const { github } = fixture;
  await expect(app.graphql('{ viewer { colour } }')).rejects.toMatchObject({
    errors: [{ extensions: { code: 'undefinedField', typeName: 'User', fieldName: 'colour' } }],
  });
  expect(github.violations.splice(0)).toHaveLength(1);
  await expect(app.graphql('{ repository(owner: "acme", name: "nope") { id } }')).rejects.toMatchObject({
    errors: [{ type: 'NOT_FOUND', path: ['repository'] }],
  });
});

test('a merge queue asks for checks on its own branch, and completes', async () => {
  const { github, receiver } = fixture;
  const { number } = await open({ 'queue.tf': '' });
  const group = await alice.mergeGroup(repo, number);
  await github.settled();
  expect(receiver.payloads('merge_group', 'checks_requested')[0].merge_group).toMatchObject({
    head_sha: group.headSha,
    head_ref: expect.stringMatching(/^refs\/heads\/gh-readonly-queue\/main\/pr-\d+-[0-9a-f]{40}$/),
    base_ref: 'refs/heads/main',
  });
  await group.complete();
  await github.settled();
  expect(await repo.head('main')).toBe(group.headSha);
  expect(receiver.payloads('pull_request', 'closed')).toMatchObject([{ number, pull_request: { merged: true } }]);
});

test('nothing here violates the description', () => {
  expect(fixture.github.violations).toEqual([]);
  expect(fixture.github.ownViolations).toEqual([]);
});
