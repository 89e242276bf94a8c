import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { Pool } from 'pg';
import { Notifications } from '../../src/db/notifications.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { enqueue, type StageJob } from '../../src/queue/outbox.js';
import { OutboxPump } from '../../src/queue/outbox-pump.js';
import { Reconciler } from '../../src/queue/reconciler.js';
import { backends, FakeRecord, Servers, SilentLog, TestWorker, until } from './support.js';

describe.each(backends)('the reconciler on %s', (kind) => {
  let servers: Servers;
  let pool: Pool;
  let db: Db;
  let notifications: Notifications;
  let record: FakeRecord;
  let worker: TestWorker;
  let pump: OutboxPump;
  let reconciler: Reconciler;
  const done = () => record.runs.every(({ state }) => state === 'done');
  const outbox = async () =>
    (await db.selectFrom('outbox').select('subject').orderBy('id').execute()).map(({ subject }) => subject);
  const reconcilerOf = ({ workspaces, dispatch }: TestWorker) =>
    new Reconciler({ db, workspaces, dispatch, startable: record.startable, log: new SilentLog() });

  beforeAll(async () => {
    servers = await Servers.start(kind);
    pool = createPool({ connectionString: servers.database.url, max: 10, onError: () => undefined });
    db = createDb(pool);
    notifications = new Notifications(servers.database.url, () => undefined);
    await notifications.start();
  });
  beforeEach(async () => {
    record = new FakeRecord();
    worker = new TestWorker(await servers.open(), record, { work: () => sleep(5) });
    pump = new OutboxPump({
      db,
      notifications,
      handlers: { job: ({ job }) => worker.dispatch.add(job) },
      log: new SilentLog(),
    });
    reconciler = reconcilerOf(worker);
  });
  afterEach(async () => {
    await pump.stop();
    await worker.dispatcher.stop();
    await worker.backend.close();
    await db.deleteFrom('outbox').execute();
    await servers.wipe();
  });
  afterAll(async () => {
    await notifications.close();
    await pool.end();
    await servers.stop();
  });

  test('queues nothing when nothing could start', async () => {
    expect(await reconciler.reconcile()).toEqual([]);
  });

  test('when everything that BullMQ knew is wiped, all runs still end, in order', async () => {
    for (let i = 0; i < 30; i += 1) record.add(i % 10);
    const speculative = record.add(1, { speculative: true });
    for (const job of await record.startable()) await worker.dispatch.add(job);
    await servers.wipe();
    pump.start();
    await worker.dispatcher.start();
    await sleep(100);
    expect(record.claimed).toEqual([]);

    expect((await reconciler.reconcile()).map(({ run }) => run)).toContain(speculative.run);
    await until(() => record.runs.filter(({ state }) => state === 'done').length > 10);
    // And once more, in the middle of everything.
    await servers.wipe();
    await until(async () => {
      await reconciler.reconcile();
      await sleep(50);
      return done();
    });
    for (let workspace = 0; workspace < 10; workspace += 1) {
      const runs = record.runs.filter((run) => run.workspace === workspace && !run.speculative).map(({ id }) => id);
      expect(record.claimed.filter((id) => runs.includes(id))).toEqual(runs);
    }
  });

  test('a job that was taken by a worker which died before it claimed it is cleared away', async () => {
    const job = record.add(1);
    record.add(1);
    await worker.workspaces.add(job);
    const dying = new TestWorker(await servers.open(), record);
    expect(await dying.workspaces.take(1)).toBeDefined();
    await dying.backend.close();

    pump.start();
    await worker.dispatcher.start();
    await worker.dispatch.add(job);
    await sleep(200);
    expect(record.claimed).toEqual([]);
    expect(await reconciler.reconcile()).toEqual([job]);
    await until(done);
  });

  test('leaves alone what waits in the outbox or for a slot', async () => {
    const inOutbox = record.add(1);
    await enqueue(db, { kind: 'job', job: inOutbox });
    for (const job of [record.add(2), record.add(3, { speculative: true })]) await worker.dispatch.add(job);
    const missing: StageJob[] = [record.add(4), record.add(5, { speculative: true })];
    expect(await reconciler.reconcile()).toEqual(missing);
    expect(await outbox()).toEqual([inOutbox, ...missing].map(({ run }) => `${run}-plan-0`));
    expect(await reconciler.reconcile()).toEqual([]);
  });

  test('several processes that do it at once queue each stage once', async () => {
    for (let i = 0; i < 20; i += 1) record.add(i);
    const results = await Promise.all([1, 2, 3].map(() => reconcilerOf(worker).reconcile()));
    expect(results.flat().length).toBe(20);
  });

  test('looks when it is started, and an error in it harms nothing', async () => {
    const log = new SilentLog();
    let failing = true;
    const { workspaces, dispatch } = worker;
    const started = new Reconciler({
      db,
      workspaces,
      dispatch,
      startable: async () => {
        if (failing) throw new Error('the record is away');
        return record.startable();
      },
      log,
    });
    started.start();
    await started.stop();
    expect(log.lines).toEqual(["The queue can't be compared with the record"]);
    failing = false;
    record.add(1);
    const again = reconcilerOf(worker);
    again.start();
    await until(async () => (await outbox()).length === 1);
    await again.stop();
  });
});
