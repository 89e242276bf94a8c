import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Octokit } from '@octokit/rest';
import { client, type Fixture, installationToken, jwt, startFixture } from './fixture.js';
import { OpenApi } from './openapi.js';
import { routes } from './routes/index.js';

let fixture: Fixture;
let app: Octokit;
let main: string;
const infra = { owner: 'acme', repo: 'infra' };

beforeAll(async () => {
  fixture = await startFixture();
  main = await fixture.github
    .as('alice')
    .push(fixture.repo, { files: { 'a/main.tf': 'one\n', 'b.tf': '', '.github/x.yml': 'x: 1\n' } });
  app = client(fixture.github, await installationToken(fixture.github, 'acme'));
});
afterAll(() => fixture.close());

test("every route is in GitHub's description", () => {
  const known = new OpenApi().operations;
  const served = routes.map((route) => `${route.method} ${route.template}`).filter((name) => name !== 'POST /graphql');
  expect([...served].sort()).toEqual([...known].sort());
});

test('JSON web tokens: a wrong key, a long life and an expired one are refused', async () => {
  const { github } = fixture;
  const now = Math.floor(Date.now() / 1000);
  const status = (token: string) =>
    client(github, token)
      .rest.apps.getAuthenticated()
      .then(
        () => 200,
        (error) => error.status,
      );
  expect(await status(jwt(github))).toBe(200);
  expect(await status(jwt(github, { iss: github.app.clientId }))).toBe(200);
  expect(await status(`${jwt(github)}x`.replace(/.....x$/, 'AAAAA'))).toBe(401);
  expect(await status(jwt(github, { exp: now + 3600 }))).toBe(401);
  expect(await status(jwt(github, { exp: now - 1 }))).toBe(401);
});

test('permissions are enforced: 403 for what lacks, 404 for other repositories, 401 once revoked or expired', async () => {
  const { github } = fixture;
  await github.createRepository({ owner: 'acme', name: 'hidden', private: true, install: false });
  await expect(app.rest.repos.get({ owner: 'acme', repo: 'hidden' })).rejects.toMatchObject({ status: 404 });
  await expect(app.rest.repos.createCommitStatus({ ...infra, sha: main, state: 'success' })).rejects.toMatchObject({
    status: 403,
    message: expect.stringContaining('Resource not accessible by integration'),
  });
  const narrow = client(github, await installationToken(github, 'acme', { permissions: { contents: 'read' } }));
  await expect(narrow.rest.pulls.list(infra)).rejects.toMatchObject({ status: 403 });
  await narrow.rest.apps.revokeInstallationAccessToken();
  await expect(narrow.rest.repos.get(infra)).rejects.toMatchObject({ status: 401 });
  await expect(installationToken(github, 'acme', { permissions: { administration: 'write' } })).rejects.toMatchObject({
    status: 422,
  });
  const { data } = await app.rest.apps.listReposAccessibleToInstallation();
  expect(data.repositories.map((each) => each.name)).toEqual(['infra']);
});

test('a person with a token reads and comments; a reader can’t make check runs', async () => {
  const { github } = fixture;
  const bob = client(github, github.token('bob'));
  expect((await bob.rest.repos.get(infra)).data.permissions).toMatchObject({ pull: true, push: false });
  await expect(bob.rest.checks.create({ ...infra, name: 'x', head_sha: main })).rejects.toMatchObject({ status: 403 });
  const mallory = client(github, github.token('mallory'));
  await expect(mallory.rest.repos.get(infra)).rejects.toMatchObject({ status: 404 });
});

test('contents: a file, a directory, raw, and what is missing', async () => {
  const { data: file } = await app.rest.repos.getContent({ ...infra, path: '.github/x.yml' });
  expect(file).toMatchObject({ type: 'file', encoding: 'base64', path: '.github/x.yml', content: 'eDogMQo=\n' });
  const { data: directory } = await app.rest.repos.getContent({ ...infra, path: 'a' });
  expect(directory).toMatchObject([{ type: 'file', path: 'a/main.tf', size: 4 }]);
  const raw = await app.rest.repos.getContent({ ...infra, path: 'a/main.tf', mediaType: { format: 'raw' } });
  expect(raw.data).toBe('one\n');
  await expect(app.rest.repos.getContent({ ...infra, path: 'nope' })).rejects.toMatchObject({ status: 404 });
});

test('commits, branches, refs, comparison and collaborators answer from the repository', async () => {
  const { github, repo } = fixture;
  const topic = await github
    .as('alice')
    .push(repo, { branch: 'compare/me', message: 'two', files: { 'b.tf': 'b\n', 'a/main.tf': null } });
  const { data: compared } = await app.rest.repos.compareCommitsWithBasehead({
    ...infra,
    basehead: `main...compare/me`,
  });
  expect(compared).toMatchObject({ status: 'ahead', ahead_by: 1, behind_by: 0, merge_base_commit: { sha: main } });
  expect(compared.files).toMatchObject([
    { filename: 'a/main.tf', status: 'removed', deletions: 1, patch: '@@ -1 +0,0 @@\n-one' },
    { filename: 'b.tf', status: 'modified', additions: 1 },
  ]);
  expect((await app.rest.repos.getBranch({ ...infra, branch: 'compare/me' })).data.commit.sha).toBe(topic);
  expect((await app.rest.git.getRef({ ...infra, ref: 'heads/compare/me' })).data.object.sha).toBe(topic);
  expect((await app.rest.repos.getCommit({ ...infra, ref: topic })).data.files).toHaveLength(2);
  expect((await app.rest.repos.listCommits({ ...infra, sha: 'compare/me' })).data).toHaveLength(2);
  const permission = async (username: string) => {
    const { data } = await app.rest.repos.getCollaboratorPermissionLevel({ ...infra, username });
    return [data.permission, data.role_name];
  };
  await repo.setPermission('mallory', 'maintain');
  expect(await permission('mallory')).toEqual(['write', 'maintain']);
  await repo.setPermission('mallory', 'none');
  expect(await permission('mallory')).toEqual(['none', 'none']);
  expect(await permission('root')).toEqual(['admin', 'admin']);
  const { data: membership } = await app.rest.orgs.getMembershipForUser({ org: 'acme', username: 'root' });
  expect(membership).toMatchObject({ role: 'admin', state: 'active' });
  await app.rest.teams.getMembershipForUserInOrg({ org: 'acme', team_slug: 'owners', username: 'alice' });
  await expect(app.rest.orgs.getMembershipForUser({ org: 'acme', username: 'bob' })).rejects.toMatchObject({
    status: 404,
  });
});

test('lists come in pages', async () => {
  const shas = await app.paginate(app.rest.repos.listCommits, { ...infra, sha: 'compare/me', per_page: 1 });
  expect(shas).toHaveLength(2);
});

test("requests that GitHub's description doesn't allow are recorded", async () => {
  const { github } = fixture;
  expect(github.violations.splice(0)).toMatchObject([]);
  await app.request('POST /repos/{owner}/{repo}/check-runs', { ...infra, name: 'x', head_sha: main, colour: 'red' });
  await app.request('GET /repos/{owner}/{repo}/pulls', { ...infra, colour: 'red' });
  await app.request('GET /repos/{owner}/{repo}/nonsense', infra).catch(() => {});
  await app
    .request('PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}', {
      ...infra,
      check_run_id: 1,
      conclusion: 'success',
      colour: 'red',
    })
    .catch(() => {});
  const actions = [{ label: 'a', description: 'b', identifier: 'c', colour: 'red' }];
  await app
    .request('POST /repos/{owner}/{repo}/check-runs', {
      ...infra,
      name: 'x',
      head_sha: main,
      status: 'completed',
      actions,
    })
    .catch(() => {});
  expect(github.violations.splice(0).map(({ errors }) => errors)).toEqual([
    ['/ must NOT have additional properties: colour'],
    ['query parameter colour is unknown'],
    ["GET /repos/acme/infra/nonsense is not in GitHub's description"],
    ['/ must NOT have additional properties: colour'],
    ['/actions/0 must NOT have additional properties: colour', 'completed needs a conclusion'],
  ]);
});

test('a renamed repository answers 301 to its new place', async () => {
  const { github, repo } = fixture;
  github.repositories.rename(repo, 'renamed');
  expect((await app.rest.repos.get(infra)).data.full_name).toBe('acme/renamed');
  github.repositories.rename(repo, 'infra');
});

test('an App is registered from a manifest', async () => {
  const { github } = fixture;
  const manifest = {
    name: 'My App',
    url: 'http://x.test',
    redirect_url: 'http://x.test/done',
    default_events: ['push'],
  };
  const form = new URLSearchParams({ manifest: JSON.stringify(manifest) });
  const page = await fetch(`${github.url}/settings/apps/new?state=s`, {
    method: 'POST',
    body: form,
    redirect: 'manual',
  });
  const location = new URL(page.headers.get('location') ?? '');
  expect(location.searchParams.get('state')).toBe('s');
  const { data } = await client(github, '').rest.apps.createFromManifest({
    code: location.searchParams.get('code') ?? '',
  });
  await fetch(`${github.url}/apps/my-app/installations/new`);
  expect(github.installationOf('acme', github.apps.get(data.id)).app.slug).toBe('my-app');
  expect(data).toMatchObject({ slug: 'my-app', events: ['push'], pem: expect.stringContaining('PRIVATE KEY') });
});

test("every route that reads answers as GitHub's description says", async () => {
  const { github, repo } = fixture;
  const alice = github.as('alice');
  const head = await alice.push(repo, { branch: 'swept', files: { swept: '1\n' } });
  const pull = await alice.openPullRequest(repo, { head: 'swept', title: 'Swept' });
  await github.as('root').review(repo, pull.number, 'APPROVED');
  const comment = await alice.comment(repo, pull.number, 'Hello');
  await alice.react(repo, comment, 'heart');
  await github.reportStatus(repo, 'alice', head, { context: 'lint', state: 'success' });
  const output = { title: 't', summary: 's', annotations: [] };
  const run = await app.rest.checks.create({ ...infra, name: 'swept', head_sha: head, conclusion: 'success', output });
  await alice.merge(repo, pull.number);
  await github.settled();
  const values: Record<string, string> = {
    owner: 'acme',
    repo: 'infra',
    org: 'acme',
    username: 'root',
    team_slug: 'owners',
    branch: 'main',
    basehead: 'main...swept',
    path: 'swept',
    commit_sha: head,
    sha: head,
    installation_id: String(github.installationOf('acme').id),
    delivery_id: String(github.deliveries.at(-1)?.id),
    check_run_id: String(run.data.id),
    check_suite_id: String(run.data.check_suite?.id),
    comment_id: String(comment.id),
    issue_number: String(pull.number),
    pull_number: String(pull.number),
  };
  const personal = new Map([
    ['GET /user', 'alice'],
    ['GET /users/{username}/installation', ''],
    ['GET /orgs/{org}/teams/{team_slug}/memberships/{username}', ''],
  ]);
  const token = await installationToken(github, 'acme');
  const inName = github.userTokens.issue(github.app, github.accounts.get('alice')).value;
  const bearerFor = (name: string, as: string | undefined) => {
    if (name.startsWith('GET /user/')) return inName;
    return personal.has(name) ? github.token('alice') : as === 'app' ? jwt(github) : token;
  };
  const answers: string[] = [];
  for (const { method, template, access } of routes) {
    const name = `${method} ${template}`;
    if (method !== 'GET' || personal.get(name) === '') continue;
    const ref = template.includes('/git/') ? 'heads/main' : 'swept';
    const path = template.replace(/\{(\w+)\}/g, (_, key: string) => encodeURIComponent({ ...values, ref }[key] ?? ''));
    const authorization = `Bearer ${bearerFor(name, access.as)}`;
    const answer = await fetch(`${github.api}${path}`, { headers: { authorization } });
    await answer.text();
    if (answer.status >= 300) answers.push(`${name} ${answer.status}`);
  }
  expect(answers).toEqual([]);
  expect(github.ownViolations).toEqual([]);
  expect(github.violations).toEqual([]);
});
