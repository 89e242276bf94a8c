import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { sql } from 'kysely';
import pLimit from 'p-limit';
import pg from 'pg';
import { Notifications } from '../../src/db/notifications.js';
import type { Run } from '../../src/db/schema.js';
import { enqueue } from '../../src/queue/outbox.js';
import { OutboxPump } from '../../src/queue/outbox-pump.js';
import type { Limit } from '../../src/reports/budget.js';
import { createRun } from '../../src/runs/create.js';
import { SilentLog, until } from '../queue/support.js';
import { createWorkspace, PLENTY, World } from './world.js';

jest.setTimeout(180_000);

let world: World;
let notifications: Notifications;
let pump: OutboxPump | undefined;
beforeAll(async () => {
  world = await World.start();
  notifications = new Notifications(world.database.url, () => undefined);
  await notifications.start();
});
beforeEach(async () => {
  await sql`delete from github_budgets`.execute(world.db);
  world.github.requests.length = 0;
});
afterEach(async () => {
  world.github.misbehaviours.stop();
  await pump?.stop();
  await sql`delete from outbox`.execute(world.db);
  expect(world.github.violations).toEqual([]);
});
afterAll(async () => {
  await notifications.close();
  await world.close();
});

function startPump(limits: Limit[]): void {
  const { handlers, gate } = world.reportsWith(limits);
  pump = new OutboxPump({ db: world.db, notifications, handlers, gate, log: new SilentLog() });
  pump.start();
}

/** One run in each of so many workspaces, of one commit, all in one transaction, as a push makes them. */
async function push(workspaces: number): Promise<{ sha: string; runs: Run[] }> {
  const sha = await world.push();
  const runs = await world.db.transaction().execute(async (tx) => {
    const made: Run[] = [];
    for (let index = 0; index < workspaces; index++) {
      const workspace = await createWorkspace(tx, world.repo.id, `w-${sha.slice(0, 7)}-${index}`);
      const request = { workspace, speculative: false, trigger: 'push' as const, actor: 'alice' };
      const commit = { commitSha: sha, commitMessage: 'Change files', branch: 'main' };
      made.push((await createRun(tx, { ...request, ...commit })).run);
    }
    return made;
  });
  return { sha, runs };
}

async function workOn(run: Run): Promise<void> {
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  await world.move(run, 'plan_empty', {});
}

const reportsWaiting = async () => {
  const { rows } = await sql<{ n: number }>`select count(*)::int n from outbox where kind = 'run_report'`.execute(
    world.db,
  );
  return rows[0]?.n ?? 0;
};
const sentAt = () =>
  world.github.requests
    .filter(({ route, method }) => /check-runs/.test(route) && method !== 'GET')
    .map(({ at }) => Date.parse(at));
const busiest = (sent: number[], ms: number) =>
  Math.max(0, ...sent.map((at) => sent.filter((other) => other > at - ms && other <= at).length));

test('a push that touches 300 workspaces: runs at full speed, reports within the limits, to their end', async () => {
  // A second here is a minute, and six are an hour; what arrives late has half a second.
  startPump([
    { most: 40, ms: 1_500, progress: 0.75 },
    { most: 200, ms: 6_500, progress: 0.5 },
  ]);
  const { sha, runs } = await push(300);
  await until(() => sentAt().length > 10);
  await pLimit(6).map(runs, workOn);
  expect(await reportsWaiting()).toBeGreaterThan(100);
  await until(async () => (await reportsWaiting()) === 0, 120_000);
  const sent = sentAt();
  expect(world.github.checkRuns(world.repo, sha).map(({ conclusion }) => conclusion)).toEqual(
    Array(300).fill('success'),
  );
  expect(busiest(sent, 1_000)).toBeLessThanOrEqual(40);
  expect(busiest(sent, 6_000)).toBeLessThanOrEqual(200);
  // Of progress no more was told than was left over.
  expect(sent.length).toBeLessThan(450);
});

test('after an outage fifty check runs are soon right, with at most two calls each', async () => {
  startPump(PLENTY);
  const { sha, runs } = await push(50);
  await until(() => world.github.checkRuns(world.repo, sha).length >= 25, 20_000);
  const outage = world.github.misbehave({ how: { status: 503 } });
  for (const run of runs) await workOn(run);
  await sleep(8_000);
  expect(outage.met).toBeLessThan(60);
  outage.stop();
  const back = world.github.requests.length;
  await until(async () => (await reportsWaiting()) === 0, 60_000);
  expect(world.github.checkRuns(world.repo, sha).map(({ conclusion }) => conclusion)).toEqual(
    Array(50).fill('success'),
  );
  const calls = world.github.requests.slice(back).filter(({ route }) => route.includes('check-runs'));
  expect(calls.length).toBeLessThanOrEqual(100);
});

test('what GitHub refuses for a while, as one that hides everything in an incident does, is right after it', async () => {
  startPump(PLENTY);
  const incident = world.github.misbehave({ how: { status: 404 } });
  const { sha, runs } = await push(10);
  for (const run of runs) await workOn(run);
  await sleep(7_000);
  incident.stop();
  await until(async () => (await reportsWaiting()) === 0, 60_000);
  expect(world.github.checkRuns(world.repo, sha).map(({ conclusion }) => conclusion)).toEqual(
    Array(10).fill('success'),
  );
});

test('what was given up while the App was suspended is told when GitHub answers again', async () => {
  startPump(PLENTY);
  const { sha, runs } = await push(2);
  await until(() => world.github.checkRuns(world.repo, sha).length === 2, 20_000);
  await pump?.stop();
  for (const run of runs) await workOn(run);
  await sql`delete from outbox`.execute(world.db);
  startPump(PLENTY);
  const { runs: others } = await push(1);
  await until(
    () => others.every(({ commit_sha }) => world.github.checkRuns(world.repo, commit_sha).length > 0),
    20_000,
  );
  const right = () => world.github.checkRuns(world.repo, sha).every(({ conclusion }) => conclusion === 'success');
  await until(right, 20_000);
});

test('a thousand reports that wait for the budget cost a handful of statements a second', async () => {
  const { runs } = await push(20);
  for (const run of runs) await workOn(run);
  await sql`insert into github_budgets (installation_id, writes)
    select ${world.installation}, array_agg(now()) from generate_series(1, 80)`.execute(world.db);
  await sql`insert into outbox (kind, subject, payload, repository_id, rank)
    select kind, 'copy-' || n || subject, payload, repository_id, rank
    from generate_series(1, 50) n, outbox where kind = 'run_report'`.execute(world.db);
  startPump([{ most: 80, ms: 60_000, progress: 0.75 }]);
  await sleep(1_000);
  const statements = jest.spyOn(pg.Client.prototype, 'query');
  for (let second = 0; second < 5; second++) {
    await enqueue(world.db, { kind: 'run_report', run: runs[0]?.id ?? '' });
    await sleep(1_000);
  }
  expect(statements.mock.calls.length).toBeLessThan(30);
  statements.mockRestore();
  expect(sentAt()).toEqual([]);
  expect(await reportsWaiting()).toBeGreaterThan(1_000);
});

test('an answer to a person goes ahead of a hundred reports that wait', async () => {
  const { runs } = await push(60);
  for (const run of runs) await workOn(run);
  const branch = `change-${Date.now()}`;
  await world.push(branch);
  const { number } = await world.github.as('alice').openPullRequest(world.repo, { head: branch, title: 'A change' });
  startPump([{ most: 30, ms: 10_000, progress: 0.75 }]);
  await until(() => sentAt().length >= 25, 20_000);
  const asked = performance.now();
  await enqueue(world.db, { kind: 'reply', repository: world.repo.id, number, key: '1', body: 'Not yet.' });
  await until(() => world.github.comments(world.repo, number).length === 1, 20_000);
  expect(performance.now() - asked).toBeLessThan(5_000);
  expect(await reportsWaiting()).toBeGreaterThan(20);
});
