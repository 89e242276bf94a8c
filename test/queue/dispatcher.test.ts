import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import type { QueueBackend } from '../../src/queue/backend.js';
import { DISPATCH, DispatchQueue } from '../../src/queue/dispatch-queue.js';
import { Dispatcher } from '../../src/queue/dispatcher.js';
import { WorkspaceQueues } from '../../src/queue/workspace-queues.js';
import { backends, FakeRecord, type FakeRun, Gate, Servers, SilentLog, TestWorker, until } from './support.js';

describe.each(backends)('the dispatcher on %s', (kind) => {
  let servers: Servers;
  const opened: QueueBackend[] = [];
  const workers: TestWorker[] = [];
  const open = async (...options: Parameters<Servers['open']>) => {
    const backend = await servers.open(...options);
    opened.push(backend);
    return backend;
  };
  const startWorker = async (record: FakeRecord, options: ConstructorParameters<typeof TestWorker>[2] = {}) => {
    const worker = new TestWorker(await open(), record, options);
    workers.push(worker);
    await worker.dispatcher.start();
    return worker;
  };

  beforeAll(async () => {
    servers = await Servers.start(kind);
  });
  afterEach(async () => {
    await Promise.all(workers.splice(0).map(({ dispatcher }) => dispatcher.stop({ timeoutMs: 0 })));
    await Promise.all(opened.splice(0).map((backend) => backend.close()));
    await servers.wipe();
  });
  afterAll(() => servers.stop());

  test('twenty workspaces with five runs each: in order, one at a time in each, never more than the slots', async () => {
    const record = new FakeRecord();
    const perWorkspace = new Map<number, string[]>();
    const running = new Set<number>();
    const work = async (run: FakeRun) => {
      expect(running.has(run.workspace)).toBe(false);
      running.add(run.workspace);
      await sleep(2 + Math.random() * 10);
      running.delete(run.workspace);
    };
    for (let i = 0; i < 100; i += 1) {
      const { run, workspace } = record.add(i % 20);
      perWorkspace.set(workspace, [...(perWorkspace.get(workspace) ?? []), run]);
    }
    const worker = await startWorker(record, { slots: 3, work });
    await Promise.all((await record.startable()).map((job) => worker.dispatch.add(job)));
    await until(() => record.runs.every(({ state }) => state === 'done'));
    expect(worker.most).toBe(3);
    for (const [workspace, runs] of perWorkspace) {
      const claimed = record.claimed.filter((id) => record.runs.find((run) => run.id === id)?.workspace === workspace);
      expect(claimed).toEqual(runs);
    }
  });

  test('two workers share the work', async () => {
    const record = new FakeRecord();
    const work = () => sleep(20);
    const [one, two] = [await startWorker(record, { slots: 2, work }), await startWorker(record, { slots: 2, work })];
    for (let i = 0; i < 40; i += 1) record.add(i % 20);
    await Promise.all((await record.startable()).map((job) => one.dispatch.add(job)));
    await until(() => record.runs.every(({ state }) => state === 'done'));
    expect([one.most, two.most]).toEqual([2, 2]);
    expect(new Set(record.claimed).size).toBe(40);
  });

  describe('the order when slots are short', () => {
    const MINUTE = 60_000;
    let record: FakeRecord;
    let now: number;
    let worker: TestWorker;
    let open: () => void;
    beforeEach(async () => {
      record = new FakeRecord();
      now = Date.UTC(2026, 10, 24, 9, 2);
      const gate = new Promise<void>((resolve) => {
        open = resolve;
      });
      worker = await startWorker(record, { slots: 1, work: () => gate, now: () => now });
      await worker.dispatch.add(record.add(99));
      await until(() => worker.dispatcher.slotsInUse === 1);
    });
    let workspaces = 0;
    /** Puts a stage of a workspace of its own at the end of the backlog, and yields its run. */
    const wait = async (kind: 'apply' | 'plan' | 'speculative'): Promise<string> => {
      const job = record.add(++workspaces, { speculative: kind === 'speculative' });
      await worker.dispatch.add(kind === 'apply' ? { ...job, stage: 'apply', attempt: 1 } : job);
      return job.run;
    };
    const order = async () => {
      open();
      await until(() => record.runs.every(({ state }) => state === 'done'));
      return record.claimed.slice(1);
    };

    test('is applies, plans, speculative plans, and first come, first served among each', async () => {
      const backlog: Record<'apply' | 'plan' | 'speculative', string[]> = { apply: [], plan: [], speculative: [] };
      for (let turn = 0; turn < 4; turn += 1) {
        for (const kind of ['speculative', 'plan', 'apply'] as const) backlog[kind].push(await wait(kind));
      }
      expect(await order()).toEqual([...backlog.apply, ...backlog.plan, ...backlog.speculative]);
    });

    test('lets nothing overtake a plan for more than a quarter of an hour, nor a speculative plan for more than half', async () => {
      const early = { speculative: await wait('speculative'), plan: await wait('plan') };
      now += 9 * MINUTE;
      const apply = await wait('apply');
      now += 11 * MINUTE;
      const late = { plan: await wait('plan'), apply: await wait('apply') };
      now += 15 * MINUTE;
      const last = await wait('apply');
      expect(await order()).toEqual([apply, early.plan, late.apply, early.speculative, late.plan, last]);
    });

    test('holds for a speculative plan however many applies and plans come after its time', async () => {
      const speculative = await wait('speculative');
      now += 36 * MINUTE;
      for (let i = 0; i < 5; i += 1) await Promise.all([wait('apply'), wait('plan')]);
      expect((await order())[0]).toBe(speculative);
    });
  });

  test('speculative plans of one workspace run side by side, and beside its run', async () => {
    const record = new FakeRecord();
    const worker = await startWorker(record, { slots: 3, work: () => sleep(200) });
    const jobs = [record.add(1), record.add(1, { speculative: true }), record.add(1, { speculative: true })];
    for (const job of jobs) await worker.dispatch.add(job);
    await until(() => worker.dispatcher.slotsInUse === 3);
  });

  test('a stage that is added many times is worked on once', async () => {
    const record = new FakeRecord();
    const worker = await startWorker(record, { work: () => sleep(5) });
    const jobs = [record.add(1), record.add(2, { speculative: true })];
    for (let i = 0; i < 10; i += 1) await Promise.all(jobs.map((job) => worker.dispatch.add(job)));
    await until(async () => (await dispatched(worker)) === 0);
    await Promise.all(jobs.map((job) => worker.dispatch.add(job)));
    await until(async () => (await dispatched(worker)) === 0);
    expect(record.claimed.sort()).toEqual(jobs.map(({ run }) => run).sort());
  });

  test('a stale job is dropped, and what is behind it is started', async () => {
    const record = new FakeRecord();
    const worker = await startWorker(record);
    const [stale, next] = [record.add(1), record.add(1)];
    await worker.workspaces.add(stale);
    const [first] = record.runs;
    if (first) first.state = 'done';
    await worker.dispatch.add(next);
    await until(() => record.claimed.includes(next.run));
    expect(record.claimed).toEqual([next.run]);
  });

  test('work that throws frees its slot and is logged', async () => {
    const record = new FakeRecord();
    const worker = await startWorker(record, {
      slots: 1,
      work: async (run) => {
        if (run.id === 'run-1') throw new Error('terrible');
      },
    });
    await worker.dispatch.add(record.add(1));
    await worker.dispatch.add(record.add(2));
    await until(() => record.runs[1]?.state === 'done');
    expect(worker.log.lines).toContain('Working on a stage failed');
  });

  test('a claim that fails is tried again while the record is away', async () => {
    let failures = 2;
    const backend = await open();
    const workspaces = new WorkspaceQueues(backend);
    const dispatch = new DispatchQueue(backend, workspaces);
    const record = new FakeRecord();
    const done: string[] = [];
    const dispatcher = new Dispatcher<FakeRun>({
      backend,
      workspaces,
      dispatch,
      slots: 1,
      start: (job) => (failures-- > 0 ? Promise.reject(new Error('the record is away')) : record.claim(job)),
      work: async (run) => void done.push(run.id),
      log: new SilentLog(),
    });
    await dispatcher.start();
    await dispatch.add(record.add(1));
    await until(() => done.length === 1);
    await dispatcher.stop();
  });

  test('a stage that BullMQ believes stalled and hands out again is not started twice', async () => {
    const record = new FakeRecord();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const worker = await startWorker(record, { slots: 2, work: () => held });
    await worker.dispatch.add(record.add(1));
    await worker.dispatch.add(record.add(2, { speculative: true }));
    await until(() => worker.dispatcher.slotsInUse === 2);

    const second = await startWorker(record, { slots: 2 });
    const claims = record.claims;
    const active = await worker.backend.queue(DISPATCH).getJobs(['active']);
    // What a checker for stalled jobs does with them; "0" is its token.
    for (const job of active) await job.moveToWait('0');
    await until(async () => (await worker.dispatch.waiting()).size === 0);
    await until(() => record.claims > claims);

    release();
    await until(() => record.runs.every(({ state }) => state === 'done'));
    expect(record.claimed.sort()).toEqual(['run-1', 'run-2']);
    expect(second.most).toBe(0);
    await worker.dispatch.add(record.add(3));
    await until(() => record.runs[2]?.state === 'done');
  });

  test('stop takes nothing more and waits for what is being worked on', async () => {
    const record = new FakeRecord();
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const worker = await startWorker(record, { slots: 2, work: () => held });
    await worker.dispatch.add(record.add(1));
    await until(() => worker.dispatcher.slotsInUse === 1);
    let stopped = false;
    const stopping = worker.dispatcher.stop().then(() => {
      stopped = true;
    });
    await worker.dispatch.add(record.add(2));
    await sleep(300);
    expect([stopped, record.claimed]).toEqual([false, ['run-1']]);
    release();
    await stopping;

    const other = await startWorker(record);
    await until(() => record.runs[1]?.state === 'done');
    expect(other.most).toBe(1);
  });

  test('stop with a time limit leaves running work to itself', async () => {
    const record = new FakeRecord();
    const worker = await startWorker(record, { work: () => sleep(60_000, undefined, { ref: false }) });
    await worker.dispatch.add(record.add(1));
    await until(() => worker.dispatcher.slotsInUse === 1);
    const started = Date.now();
    await worker.dispatcher.stop({ timeoutMs: 100 });
    expect(Date.now() - started).toBeLessThan(10_000);
  });

  test('when the server goes away nothing hangs, running work goes on, and work is taken again afterwards', async () => {
    const gate = await Gate.start(servers.url);
    const log = new SilentLog();
    const record = new FakeRecord();
    const worker = new TestWorker(await open(log, gate), record, { slots: 2, work: () => sleep(1_000) });
    workers.push(worker);
    await worker.dispatcher.start();
    await worker.dispatch.add(record.add(1));
    await until(() => worker.dispatcher.slotsInUse === 1);

    await gate.goAway();
    const started = Date.now();
    const second = record.add(2);
    await expect(worker.dispatch.add(second)).rejects.toThrow();
    await expect(worker.backend.ping()).rejects.toThrow();
    await expect(worker.workspaces.take(2)).rejects.toThrow();
    expect(Date.now() - started).toBeLessThan(10_000);
    await until(() => record.runs[0]?.state === 'done');
    expect(log.lines.length).toBeLessThan(6);

    await gate.comeBack();
    await until(() =>
      worker.backend.ping().then(
        () => true,
        () => false,
      ),
    );
    await worker.dispatch.add(second);
    await until(() => record.runs[1]?.state === 'done', 10_000);
    await worker.dispatcher.stop();
    await worker.backend.close();
    await gate.goAway();
  });

  test('a server that takes connections and answers nothing fails commands in time', async () => {
    const gate = await Gate.start(servers.url);
    const backend = await open(new SilentLog(), gate);
    const queues = new WorkspaceQueues(backend);
    await queues.take(1);
    gate.hang();
    const started = Date.now();
    await expect(backend.ping()).rejects.toThrow();
    expect(Date.now() - started).toBeLessThan(8_000);
    await expect(queues.take(1)).rejects.toThrow();
    expect(Date.now() - started).toBeLessThan(25_000);
    await gate.comeBack();
    await until(() =>
      backend.ping().then(
        () => true,
        () => false,
      ),
    );
    await backend.close();
    await gate.goAway();
  });

  test('connections are few, whether a dispatcher waits or is full', async () => {
    const record = new FakeRecord();
    const worker = await startWorker(record, { slots: 2, work: () => sleep(60_000, undefined, { ref: false }) });
    await sleep(300);
    expect(await servers.connections()).toBeLessThanOrEqual(kind === 'redis' ? 3 : 6);
    for (const workspace of [1, 2, 3, 4]) await worker.dispatch.add(record.add(workspace));
    await until(() => worker.dispatcher.slotsInUse === 2);
    expect(await servers.connections()).toBeLessThanOrEqual(kind === 'redis' ? 3 : 6);
  });
});

/** Jobs that wait for a worker or are with one. */
async function dispatched({ backend }: TestWorker): Promise<number> {
  const counts = await backend.queue(DISPATCH).getJobCounts('prioritized', 'waiting', 'active', 'delayed');
  return Object.values(counts).reduce((sum, count) => sum + count, 0);
}
