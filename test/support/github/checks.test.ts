import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Octokit } from '@octokit/rest';
import { client, type Fixture, installationToken, startFixture } from './fixture.js';

let fixture: Fixture;
let app: Octokit;
let sha: string;
const infra = { owner: 'acme', repo: 'infra' };

beforeAll(async () => {
  fixture = await startFixture();
  sha = await fixture.github.as('alice').push(fixture.repo, { files: { 'main.tf': '' } });
  app = client(fixture.github, await installationToken(fixture.github, 'acme'));
});
afterAll(() => fixture.close());

const button = { label: 'Apply', description: 'Apply this plan', identifier: 'apply' };

test("GitHub's limits of a check run give 422", async () => {
  const create = (more: object) => app.rest.checks.create({ ...infra, name: 'plan', head_sha: sha, ...more });
  const output = (more: object) => ({ output: { title: 't', summary: 's', ...more } });
  const annotation = {
    path: 'main.tf',
    start_line: 1,
    end_line: 1,
    annotation_level: 'failure' as const,
    message: 'm',
  };
  const refused = [
    { actions: [button, button, button, button] },
    { actions: [{ ...button, label: 'x'.repeat(21) }] },
    { actions: [{ ...button, description: 'x'.repeat(41) }] },
    { actions: [{ ...button, identifier: 'x'.repeat(21) }] },
    output({ summary: 'x'.repeat(65_536) }),
    output({ text: 'x'.repeat(65_536) }),
    output({ annotations: Array.from({ length: 51 }, () => annotation) }),
    output({ annotations: [{ ...annotation, start_line: 2 }] }),
    { status: 'completed' },
    { head_sha: '0'.repeat(40) },
  ];
  for (const more of refused) await expect(create(more)).rejects.toMatchObject({ status: 422 });
  expect(fixture.github.checkRuns(fixture.repo)).toEqual([]);
  await create({
    ...output({ text: 'x'.repeat(65_535), annotations: Array.from({ length: 50 }, () => annotation) }),
    actions: [button, button, button],
  });
  const [run] = fixture.github.checkRuns(fixture.repo);
  await app.rest.checks.update({ ...infra, check_run_id: run?.id ?? 0, conclusion: 'success' });
  await fixture.github.settled();
  expect(fixture.github.violations.splice(0)).toHaveLength(8);
});

test('a check run from creation to its buttons, as its webhooks tell it', async () => {
  const { github, receiver, repo } = fixture;
  const created = await app.rest.checks.create({
    ...infra,
    name: 'signalbox/a',
    head_sha: sha,
    status: 'in_progress',
    external_id: 'r/1',
  });
  const [run] = github.checkRuns(repo, sha).slice(-1);
  if (!run) throw new Error('no check run');
  expect(run).toMatchObject({ name: 'signalbox/a', externalId: 'r/1', status: 'in_progress', conclusion: null });
  await expect(github.as('alice').press(run, 'apply')).rejects.toThrow(/no buttons/);
  const check_run_id = created.data.id;
  await app.rest.checks.update({
    ...infra,
    check_run_id,
    conclusion: 'action_required',
    actions: [button],
    output: { title: '1 to add', summary: 's' },
  });
  await expect(github.as('alice').press(run, 'discard')).rejects.toThrow(/has no button discard/);
  await github.as('alice').press(run, 'apply');
  await github.as('alice').rerequest(run);
  await github.as('alice').rerequestSuite(repo, sha);
  await github.settled();
  expect(receiver.names.slice(-6)).toEqual([
    'check_run.created',
    'check_run.completed',
    'check_suite.completed',
    'check_run.requested_action',
    'check_run.rerequested',
    'check_suite.rerequested',
  ]);
  expect(receiver.payloads('check_run', 'requested_action')[0]).toMatchObject({
    requested_action: { identifier: 'apply' },
    sender: { login: 'alice' },
    check_run: {
      id: check_run_id,
      head_sha: sha,
      external_id: 'r/1',
      conclusion: 'action_required',
      output: { title: '1 to add' },
      app: { id: 1, slug: 'signalbox' },
      check_suite: { head_branch: 'main', app: { id: 1 } },
    },
  });
  expect(github.reopened).toEqual([]);
  await app.rest.checks.update({ ...infra, check_run_id, status: 'in_progress' });
  expect(github.reopened).toEqual([run]);
});

test('the newest of a name is the latest; the others are listed when asked for', async () => {
  const { github, repo } = fixture;
  for (const external_id of ['1', '2', '3']) {
    await app.rest.checks.create({ ...infra, name: 'again', head_sha: sha, external_id, conclusion: 'success' });
  }
  const list = async (filter: 'latest' | 'all') => {
    const { data } = await app.rest.checks.listForRef({
      ...infra,
      ref: 'main',
      check_name: 'again',
      filter,
      per_page: 2,
    });
    return [data.total_count, data.check_runs.map((run) => run.external_id)];
  };
  expect(await list('latest')).toEqual([1, ['3']]);
  expect(await list('all')).toEqual([3, ['3', '2']]);
  expect(github.checkRuns(repo, sha).filter((run) => run.name === 'again')).toHaveLength(3);
  const { data } = await app.rest.checks.listSuitesForRef({ ...infra, ref: sha });
  expect(data).toMatchObject({ total_count: 1, check_suites: [{ head_sha: sha, app: { slug: 'signalbox' } }] });
});

test("another App's check is seen, can't be changed, and its own events don't come to us", async () => {
  const { github, receiver, repo } = fixture;
  const other = await github.reportCheck(repo, {
    name: 'tests',
    head_sha: sha,
    conclusion: 'failure',
    actions: [button],
  });
  await expect(app.rest.checks.update({ ...infra, check_run_id: other.id, status: 'queued' })).rejects.toMatchObject({
    status: 403,
  });
  await github.as('alice').press(other, 'apply');
  await github.settled();
  expect(receiver.payloads('check_run', 'requested_action').map((each) => each.check_run.name)).not.toContain('tests');
  expect(receiver.payloads('check_run', 'completed').map((each) => each.check_run.name)).toContain('tests');
});

test('annotations of several updates add up', async () => {
  const annotations = [
    { path: 'main.tf', start_line: 1, end_line: 1, annotation_level: 'failure' as const, message: 'm' },
  ];
  const output = { title: 't', summary: 's', annotations };
  const { data } = await app.rest.checks.create({ ...infra, name: 'notes', head_sha: sha, output });
  await app.rest.checks.update({ ...infra, check_run_id: data.id, output });
  const listed = await app.rest.checks.listAnnotations({ ...infra, check_run_id: data.id });
  expect(listed.data).toMatchObject([{ path: 'main.tf', message: 'm' }, { path: 'main.tf' }]);
});

test('nothing here violates the description', () => {
  expect(fixture.github.violations).toEqual([]);
  expect(fixture.github.ownViolations).toEqual([]);
});
