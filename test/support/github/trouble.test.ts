import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import type { Octokit } from '@octokit/rest';
import { asApp, client, type Fixture, installationToken, startFixture } from './fixture.js';
import { git } from './git.js';

let fixture: Fixture;
let app: Octokit;
let sha: string;
const infra = { owner: 'acme', repo: 'infra' };

beforeAll(async () => {
  fixture = await startFixture();
  sha = await fixture.github.as('alice').push(fixture.repo, { files: { 'main.tf': '' } });
  app = client(fixture.github, await installationToken(fixture.github, 'acme'));
});
beforeEach(async () => {
  await fixture.github.settled();
  fixture.receiver.received.length = 0;
});
afterAll(() => fixture.close());

const create = () => app.rest.checks.create({ ...infra, name: 'plan', head_sha: sha });
const route = 'POST /repos/{owner}/{repo}/check-runs';

test('a route answers 502 so many times, and only to Apps', async () => {
  const { github } = fixture;
  const trouble = github.misbehave({ route: 'GET /repos/{owner}/{repo}', times: 2, how: { status: 502 } });
  const person = client(github, github.token('alice'));
  expect((await person.rest.repos.get(infra)).status).toBe(200);
  await expect(app.rest.repos.get(infra)).rejects.toMatchObject({ status: 502 });
  await expect(app.rest.repos.get(infra)).rejects.toMatchObject({ status: 502 });
  expect((await app.rest.repos.get(infra)).status).toBe(200);
  expect(trouble.met).toBe(2);
});

test.each(['lose-answer', 'lose-answer-502'] as const)('%s: it is done, and nobody is told', async (how) => {
  const { github, repo } = fixture;
  const before = github.checkRuns(repo).length;
  github.misbehave({ route, times: 1, how });
  await expect(create()).rejects.toThrow();
  expect(github.checkRuns(repo)).toHaveLength(before + 1);
});

test('a hang lasts until it is stopped, and nothing is done', async () => {
  const { github, repo } = fixture;
  const before = github.checkRuns(repo).length;
  const trouble = github.misbehave({ route: /^POST .*\/check-runs$/, how: 'hang' });
  const outcome = create().catch(() => 'cut');
  const first = await Promise.race([outcome, new Promise((resolve) => setTimeout(resolve, 200, 'hanging'))]);
  expect(first).toBe('hanging');
  trouble.stop();
  expect(await outcome).toBe('cut');
  expect(github.checkRuns(repo)).toHaveLength(before);
});

test('rate limits, primary and secondary', async () => {
  const { github } = fixture;
  github.misbehave({ route, times: 1, how: 'secondary-rate-limit' });
  await expect(create()).rejects.toMatchObject({ status: 403, response: { headers: { 'retry-after': '1' } } });
  github.misbehave({ route, times: 1, how: 'primary-rate-limit' });
  await expect(create()).rejects.toMatchObject({
    status: 403,
    response: { headers: { 'x-ratelimit-remaining': '0' } },
  });
});

test('git misbehaves too', async () => {
  const { github } = fixture;
  const token = await installationToken(github, 'acme');
  const list = () => git(github.directory, ['ls-remote', `http://x:${token}@${github.host}/acme/infra.git`]);
  github.git.misbehave({ route: 'git-upload-pack', times: 1, how: { status: 503 } });
  await expect(list()).rejects.toThrow(/503/);
  await expect(list()).resolves.toContain(sha);
});

test('a lost delivery is on record as failed, and is delivered again with the same GUID', async () => {
  const { github, receiver, repo } = fixture;
  const before = await asApp(github).rest.apps.listWebhookDeliveries({ per_page: 1 });
  github.loseDeliveries(1);
  await github.as('alice').push(repo, { files: { lost: '' } });
  await github.settled();
  expect(receiver.names).toEqual(['check_suite.requested']);
  const { data } = await asApp(github).request('GET /app/hook/deliveries', { status: 'failure' });
  expect(data).toMatchObject([{ event: 'push', status_code: 502, redelivery: false }]);
  const [failed] = data;
  expect(BigInt(failed?.id ?? 0)).toBeGreaterThan(2n ** 53n);
  expect(BigInt(failed?.id ?? 0)).toBeGreaterThan(BigInt(before.data[0]?.id ?? 0));
  await asApp(github).rest.apps.redeliverWebhookDelivery({ delivery_id: failed?.id as number });
  await github.settled();
  expect(receiver.received.at(-1)).toMatchObject({ event: 'push', guid: failed?.guid });
  const again = await asApp(github).rest.apps.listWebhookDeliveries({ per_page: 1 });
  expect(again.data).toMatchObject([{ guid: failed?.guid, redelivery: true, status: 'OK', status_code: 202 }]);
  const one = await asApp(github).rest.apps.getWebhookDelivery({ delivery_id: again.data[0]?.id ?? 0 });
  expect(one.data.request.payload).toMatchObject({ ref: 'refs/heads/main' });
});

test('deliveries are listed in pages by a cursor', async () => {
  const { github } = fixture;
  const octokit = asApp(github);
  const all = await octokit.paginate(octokit.rest.apps.listWebhookDeliveries, { per_page: 2 });
  expect(all.map((each) => each.guid)).toEqual([...github.deliveries].reverse().map((each) => each.guid));
});

test('a receiver that answers 500 leaves a failed delivery', async () => {
  const { github, receiver, repo } = fixture;
  receiver.status = 500;
  await github.as('alice').push(repo, { files: { failed: '' } });
  await github.settled();
  receiver.status = 202;
  expect(github.deliveries.at(-1)).toMatchObject({ status: 'Invalid HTTP Response: 500', statusCode: 500 });
});

test('an uninstalled App loses its tokens; expired ones answer 401', async () => {
  const { github, receiver, repo } = fixture;
  github.expireTokens();
  await expect(app.rest.repos.get(infra)).rejects.toMatchObject({ status: 401 });
  const fresh = client(github, await installationToken(github, 'acme'));
  github.uninstall('acme');
  await expect(fresh.rest.repos.get(infra)).rejects.toMatchObject({ status: 401 });
  github.install(repo);
  await github.settled();
  expect(receiver.names).toEqual(['installation.deleted', 'installation.created']);
});

test('nothing here violates the description', () => {
  const { github } = fixture;
  expect(github.violations).toEqual([]);
  expect(github.ownViolations).toEqual([]);
});
