import { afterAll, afterEach, beforeAll, expect, jest, test } from '@jest/globals';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { InstallationOctokit } from '../../src/octokit.js';
import { RANK } from '../../src/queue/effect-order.js';
import { RetryLater } from '../../src/queue/outbox-pump.js';
import { Budget } from '../../src/reports/budget.js';
import { GitHubCalls, mayHaveHappened, Refused } from '../../src/reports/github-calls.js';
import { InstallationGate } from '../../src/reports/installation-gate.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const octokit = { hook: { after: () => undefined } } as unknown as InstallationOctokit;

let database: TestDatabase;
let db: Db;
beforeAll(async () => {
  database = await createTestDatabase();
  db = createDb(createPool({ connectionString: database.url, max: 2, onError: () => undefined }));
});
afterEach(async () => {
  await db.deleteFrom('github_budgets').execute();
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});

const failure = (status: number, headers: Record<string, string> = {}, message = 'No') =>
  Object.assign(new Error(message), { status, response: { headers } });

function calls() {
  const octokitFor = jest.fn(async (_: number, __?: { fresh: boolean }) => octokit);
  const log = { warn: jest.fn() };
  const budget = new Budget(db, [{ most: 100, ms: 60_000, progress: 1 }]);
  const gate = new InstallationGate({ now: () => 0 });
  return {
    octokitFor,
    log,
    github: new GitHubCalls(octokitFor, budget, gate, log),
  };
}

const outcome = (github: GitHubCalls, error: unknown) =>
  github.write(1, { rank: RANK.final }, async () => Promise.reject(error)).catch((reason: unknown) => reason);

test('a token that GitHub does not know any more is replaced at the next try', async () => {
  const { github, octokitFor } = calls();
  expect(await outcome(github, failure(401))).toMatchObject({ status: 401 });
  await github.read(1, async () => 'fine');
  await github.read(1, async () => 'fine');
  expect(octokitFor.mock.calls).toEqual([[1], [1, { fresh: true }], [1]]);
});

test.each([
  ['a secondary limit with a time', failure(403, { 'retry-after': '7' }), 7_000],
  ['a secondary limit without one', failure(403, {}, 'You have exceeded a secondary rate limit.'), 60_000],
  ['too many requests', failure(429), 60_000],
  [
    "a primary limit, by GitHub's own clock",
    failure(403, { 'x-ratelimit-remaining': '0', 'x-ratelimit-reset': '1000', date: 'Thu, 01 Jan 1970 00:15:00 GMT' }),
    100_000,
  ],
])('%s stops everything of the installation for that long', async (_, error, ms) => {
  const { github, log } = calls();
  expect(await outcome(github, error)).toMatchObject({ name: 'GateClosed', ms });
  await expect(github.read(1, async () => 'fine')).rejects.toThrow(RetryLater);
  await expect(github.read(2, async () => 'fine')).resolves.toBe('fine');
  expect(log.warn).toHaveBeenCalledTimes(1);
});

test.each([404, 410, 422, 403, 451])('%d is a no', async (status) => {
  const error = await outcome(calls().github, failure(status));
  expect(error).toBeInstanceOf(Refused);
  expect(mayHaveHappened(error)).toBe(false);
});

test.each([500, 502, 503])('%d leaves open whether it was done', async (status) => {
  const error = await outcome(calls().github, failure(status));
  expect(error).toMatchObject({ status });
  expect(mayHaveHappened(error)).toBe(true);
});

test('an installation that GitHub does not know is told from a commit that it does not know', async () => {
  const request = { url: 'https://api.github.com/app/installations/1/access_tokens' };
  expect(await outcome(calls().github, Object.assign(failure(404), { request }))).toMatchObject({ uninstalled: true });
  expect(await outcome(calls().github, failure(404))).toMatchObject({ uninstalled: false });
});
