import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createNodeMiddleware, Probot, ProbotOctokit } from 'probot';
import { type Fixture, SECRET, startFixture } from './fixture.js';

/** A small App on Probot: comments on pull requests, reports a check run, answers its button. */
let fixture: Fixture;
const server = createServer();
const seen: string[] = [];

beforeAll(async () => {
  fixture = await startFixture();
  const { github } = fixture;
  const Octokit = ProbotOctokit.defaults((options: Record<string, unknown>) => ({
    ...options,
    baseUrl: github.api,
    throttle: { enabled: false },
    retry: { enabled: false },
  })) as typeof ProbotOctokit;
  const probot = new Probot({
    appId: github.app.id,
    privateKey: github.app.privateKey,
    secret: SECRET,
    Octokit,
    logLevel: 'fatal',
  });
  const middleware = await createNodeMiddleware(
    (app) => {
      app.on('pull_request.opened', async (context) => {
        const config = await context.config<{ greeting: string }>('x.yml');
        await context.octokit.rest.issues.createComment(context.issue({ body: config?.greeting ?? 'none' }));
        await context.octokit.rest.checks.create(
          context.repo({
            name: 'plan',
            head_sha: context.payload.pull_request.head.sha,
            conclusion: 'action_required',
            actions: [{ label: 'Apply', description: 'Apply', identifier: 'apply' }],
          }),
        );
      });
      app.on('check_run.requested_action', async (context) => {
        seen.push(`${context.payload.sender.login} ${context.payload.requested_action?.identifier}`);
      });
    },
    { probot, webhooksPath: '/' },
  );
  server.on('request', middleware);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  github.setWebhook({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, secret: SECRET });
});
afterAll(async () => {
  await fixture.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

test('an App on Probot reads its configuration, comments, checks and is pressed', async () => {
  const { github, repo } = fixture;
  const alice = github.as('alice');
  await alice.push(repo, { files: { '.github/x.yml': 'greeting: hello\n' } });
  await alice.push(repo, { branch: 'topic', files: { a: '' } });
  const pull = await alice.openPullRequest(repo, { head: 'topic', base: 'main', title: 'Topic' });
  const run = await github.until('a check run', () => github.checkRuns(repo, pull.headSha)[0]);
  expect(github.comments(repo, pull.number)).toMatchObject([{ body: 'hello', user: { login: 'signalbox[bot]' } }]);
  await alice.press(run, 'apply');
  await github.settled();
  expect(seen).toEqual(['alice apply']);
  expect(github.deliveries.filter((each) => each.status !== 'OK')).toEqual([]);
  expect(github.violations).toEqual([]);
});
