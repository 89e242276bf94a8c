import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { openOperatorView } from '../../src/operating/operator-view.js';
import { enqueue } from '../../src/queue/outbox.js';
import { lockWorkspace } from '../../src/workspaces/lock.js';
import { RunsWorld } from '../runs/world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
beforeEach(async () => {
  await sql`truncate runs cascade; truncate deliveries, outbox`.execute(world.db);
});
afterAll(() => world.close());

const look = async () =>
  (await openOperatorView({ db: world.db, version: '0', roles: ['web'], workRoot: '/nonexistent' })).waiting();

test('nothing waits where everything is under way', async () => {
  const { db } = world;
  expect(await look()).toEqual({});
  await world.in('pending');
  await enqueue(db, { kind: 'run_report', run: 'r1' });
  await db.insertInto('deliveries').values({ guid: 'd', event: 'push', body: '{}' }).execute();
  expect(await look()).toEqual({});
});

describe('what waits for GitHub', () => {
  const failing = async (error: string | null) => {
    await enqueue(world.db, { kind: 'run_report', run: 'r1' }, { kind: 'apply_check', run: 'r1' });
    await sql`update outbox set created_at = now() - interval '10 min', error = ${error} where kind = 'run_report'`.execute(
      world.db,
    );
    return look();
  };

  test.each([
    ['GitHub fails or does not answer', 'connect ECONNREFUSED 10.0.0.7:443'],
    ['GitHub fails or does not answer', 'Bad gateway for https://github.acme.com/repos/acme/infra'],
    ['GitHub asks for patience', 'GitHub asked for a pause'],
    ['GitHub asks for patience', '60 writes a minute are what GitHub is asked for at most'],
    ['GitHub asks for patience', 'GitHub: You have exceeded a secondary rate limit. Please wait'],
    ['it is under way, or no web process is', null],
  ])('%s: %s', async (reason, error) => {
    expect(await failing(error)).toEqual({ github: { count: 2, oldestSeconds: 600, reason } });
  });
});

test('what waits for the queue, for the git host, for a slot', async () => {
  const { db } = world;
  await world.in('pending');
  await sql`update runs set created_at = now() - interval '5 min'`.execute(db);
  await world.delivered();
  const job = { run: 'r1', workspace: 1, speculative: false, stage: 'plan', attempt: 0 } as const;
  await enqueue(db, { kind: 'job', job });
  await sql`update outbox set created_at = now() - interval '3 min', error = 'Connection is closed.'`.execute(db);
  await sql`insert into deliveries (guid, event, body, received_at, error) values
    ('d1', 'push', '{}', now() - interval '2 min', 'GitUnavailable: acme/infra can''t be fetched right now: no answer.'),
    ('d2', 'push', '{}', now() - interval '1 min', null)`.execute(db);
  expect(await look()).toEqual({
    queue: { count: 1, oldestSeconds: 180, reason: 'the queue fails' },
    deliveries: { count: 2, oldestSeconds: 120, reason: 'the git host fails or does not answer' },
    slots: { count: 1, oldestSeconds: 300, reason: expect.any(String) },
  });
});

test.each([
  ['HttpError: Bad credentials for acme/infra', 'GitHub fails or does not answer'],
  ['HttpError: API rate limit exceeded for installation 7', 'GitHub asks for patience'],
  ['DiskFull: The disk is full.', 'the disk is full'],
  ['TypeError: secret of acme', 'they fail: the log says how'],
])('of the error of a delivery only its sort is told: %s', async (error, reason) => {
  await sql`insert into deliveries (guid, event, body, received_at, error) values
    ('d1', 'push', '{}', now() - interval '2 min', ${error})`.execute(world.db);
  expect(await look()).toEqual({ deliveries: { count: 1, oldestSeconds: 120, reason } });
});

test('locked workspaces and lost workers are counted, not named', async () => {
  const { db } = world;
  for (const by of ['alice', null]) {
    const { id } = await world.workspace();
    await world.inTransaction((tx) => lockWorkspace(tx, id, { by, reason: 'Something secret.' }));
  }
  const workers = [
    { id: '1', name: 'w1' },
    { id: '2', name: 'w2', lost_at: new Date() },
    { id: '3', name: 'w3', seen_at: new Date(Date.now() - 60_000) },
  ];
  for (const worker of workers)
    await db
      .insertInto('workers')
      .values({ process: 'p', slots: 1, ...worker })
      .execute();
  expect(await look()).toEqual({ lockedWorkspaces: 2, lostWorkers: 2 });
});

test('of a record that does not answer that is said, without waiting for it', async () => {
  const view = await openOperatorView({ db: world.db, version: '0', roles: ['web'], workRoot: '/nonexistent' });
  await world.inTransaction(async (tx) => {
    await sql`lock table runs in access exclusive mode`.execute(tx);
    const began = performance.now();
    expect(await view.waiting()).toEqual({ record: 'does not answer' });
    expect(performance.now() - began).toBeLessThan(10_000);
  });
});
