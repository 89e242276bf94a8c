import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Pool } from 'pg';
import { Notifications } from '../../src/db/notifications.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { RANK } from '../../src/queue/effect-order.js';
import { type Effect, enqueue } from '../../src/queue/outbox.js';
import {
  type EffectHandlers,
  GateClosed,
  OutboxPump,
  type OutboxPumpOptions,
  RetryLater,
  RetryRarely,
} from '../../src/queue/outbox-pump.js';
import { InstallationGate } from '../../src/reports/installation-gate.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { SilentLog, until } from './support.js';

const report = (run: string): Effect => ({ kind: 'run_report', run });
const reply = (key: string, body = ''): Effect => ({ kind: 'reply', repository: 1, number: 1, key, body });
const job = (run: string): Effect => ({
  kind: 'job',
  job: { run, workspace: 1, speculative: false, stage: 'plan', attempt: 0 },
});

describe('the outbox', () => {
  let database: TestDatabase;
  let pool: Pool;
  let db: Db;
  let notifications: Notifications;
  let log: SilentLog;
  const pumps: OutboxPump[] = [];
  const start = (handlers: EffectHandlers, options: Partial<OutboxPumpOptions> = {}) => {
    const pump = new OutboxPump({ db, notifications, handlers, log, ...options });
    pumps.push(pump);
    pump.start();
    return pump;
  };
  const rows = () => db.selectFrom('outbox').selectAll().orderBy('id').execute();
  const makeDue = () => sql`update outbox set due_at = now()`.execute(db);

  beforeAll(async () => {
    database = await createTestDatabase();
    pool = createPool({ connectionString: database.url, max: 10, onError: () => undefined });
    db = createDb(pool);
    notifications = new Notifications(database.url, () => undefined);
    await notifications.start();
  });
  beforeEach(() => {
    log = new SilentLog();
  });
  afterEach(async () => {
    await Promise.all(pumps.splice(0).map((pump) => pump.stop()));
    await db.deleteFrom('outbox').execute();
  });
  afterAll(async () => {
    await notifications.close();
    await pool.end();
    await database.drop();
  });

  test('delivers what was written before it started, with its payload, and forgets it', async () => {
    const delivered: Effect[] = [];
    await enqueue(db, reply('a', 'no: you may not'));
    const pump = start({ reply: async (effect) => void delivered.push(effect) });
    await pump.idle();
    expect(delivered).toEqual([reply('a', 'no: you may not')]);
    expect(await rows()).toEqual([]);
  });

  test('delivers within milliseconds of the commit, and nothing of a transaction that is rolled back', async () => {
    const latencies: number[] = [];
    let committed = 0;
    const delivered: string[] = [];
    start({
      run_report: async ({ run }) => {
        latencies.push(performance.now() - committed);
        delivered.push(run);
      },
    });
    await sleep(50);
    for (let i = 0; i < 20; i += 1) {
      await db.transaction().execute(async (tx) => {
        await enqueue(tx, report(`run-${i}`));
      });
      committed = performance.now();
      await until(() => delivered.length === i + 1);
    }
    await db
      .transaction()
      .execute(async (tx) => {
        await enqueue(tx, report('never'));
        throw new Error('rolled back');
      })
      .catch(() => undefined);
    await sleep(50);
    expect(delivered).not.toContain('never');
    const median = latencies.sort((a, b) => a - b)[10] ?? Number.POSITIVE_INFINITY;
    expect(median).toBeLessThan(25);
  });

  test('ten changes in a row while the first is being delivered are one more delivery, of the newest', async () => {
    const bodies: string[] = [];
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const pump = start({
      reply: async ({ body }) => {
        bodies.push(body);
        await held;
      },
    });
    await enqueue(db, reply('a', 'first'));
    await until(() => bodies.length === 1);
    for (let i = 1; i <= 10; i += 1) await enqueue(db, reply('a', `change ${i}`));
    await sleep(50);
    expect(bodies).toEqual(['first']);
    release();
    await pump.idle();
    expect(bodies).toEqual(['first', 'change 10']);
    expect(await rows()).toEqual([]);
  });

  test('a change during a delivery that fails is delivered at once, not after the pause', async () => {
    const bodies: string[] = [];
    const pump = start({
      reply: async ({ body }) => {
        bodies.push(body);
        if (body !== 'first') return;
        await enqueue(db, reply('a', 'second'));
        throw new Error('GitHub is down');
      },
    });
    await enqueue(db, reply('a', 'first'));
    await until(() => bodies.length === 2, 900);
    await pump.idle();
    expect(bodies).toEqual(['first', 'second']);
  });

  test('one subject is never delivered by two at once, and no effect twice, with two processes', async () => {
    const delivering = new Set<string>();
    const versions = new Map<string, string[]>();
    const others = new Notifications(database.url, () => undefined);
    await others.start();
    const handlers: EffectHandlers = {
      reply: async ({ key, body }) => {
        expect(delivering.has(key)).toBe(false);
        delivering.add(key);
        versions.set(key, [...(versions.get(key) ?? []), body]);
        await sleep(Math.random() * 10);
        delivering.delete(key);
      },
    };
    const [one, two] = [start(handlers), start(handlers, { notifications: others })];
    for (let i = 0; i < 60; i += 1) {
      await enqueue(db, reply(`key-${i % 6}`, String(i).padStart(2, '0')));
      if (i % 3 === 0) await sleep(5);
    }
    await until(async () => {
      await Promise.all([one.idle(), two.idle()]);
      return (await rows()).length === 0;
    });
    expect(versions.size).toBe(6);
    for (const [key, bodies] of versions) {
      expect(bodies).toEqual([...new Set(bodies)].sort());
      expect(bodies.at(-1)).toBe(String(54 + Number(key.slice(4))));
    }
    await others.close();
  });

  test('a failure is kept in the row, tried again after a growing pause, and logged once', async () => {
    let failing = true;
    let tries = 0;
    const pump = start({
      run_report: async () => {
        tries += 1;
        if (failing) throw new Error(`502 from request ${1000 + tries}: try again`);
      },
    });
    await enqueue(db, ...[1, 2, 3].map((n) => report(`run-${n}`)));
    await pump.idle();
    const pauses: number[] = [];
    for (let i = 0; i < 8; i += 1) {
      const row = (await rows())[0];
      expect([row?.attempts, row?.claimed_until, row?.error]).toEqual([
        i + 1,
        null,
        expect.stringMatching(/^502 from/),
      ]);
      pauses.push((row?.due_at.getTime() ?? 0) - Date.now());
      await makeDue();
      await pump.idle();
    }
    for (const [i, pause] of pauses.entries()) {
      const full = Math.min(1_000 * 2 ** i, 60_000);
      expect(pause).toBeLessThanOrEqual(full);
      expect(pause).toBeGreaterThan(full * 0.75 - 500);
    }
    expect(log.lines).toEqual(["An effect of kind run_report can't be delivered now: it is tried again"]);
    failing = false;
    await makeDue();
    await pump.idle();
    expect(await rows()).toEqual([]);
  });

  test('what failed is tried again without being asked', async () => {
    let tries = 0;
    start({
      job: async () => {
        tries += 1;
        if (tries < 3) throw new Error('Redis is away');
      },
    });
    await enqueue(db, job('run-1'));
    await until(async () => (await rows()).length === 0, 6_000);
    expect(tries).toBe(3);
  });

  test('an effect that asks for later is due again then, and has not failed', async () => {
    let tries = 0;
    const pump = start({
      run_report: async () => {
        tries += 1;
        if (tries === 1) throw new RetryLater(300, 'the budget of this minute is spent');
      },
    });
    await enqueue(db, report('run-1'));
    await pump.idle();
    expect((await rows())[0]).toMatchObject({ attempts: 0, error: 'the budget of this minute is spent' });
    await until(async () => (await rows()).length === 0, 3_000);
    expect([tries, log.lines]).toEqual([2, []]);
  });

  test('a refusal is tried ever more rarely, and given up after as many tries as it is worth', async () => {
    let tries = 0;
    const pump = start({
      run_report: async () => {
        tries += 1;
        throw new RetryRarely(4, 'GitHub refuses it (404)');
      },
    });
    await enqueue(db, report('run-1'));
    const pauses: number[] = [];
    for (let i = 0; i < 4; i += 1) {
      await pump.idle();
      const [row] = await rows();
      if (row) pauses.push(Math.round((row.due_at.getTime() - Date.now()) / 1_000));
      await makeDue();
    }
    expect(pauses).toHaveLength(3);
    for (const [i, pause] of pauses.entries()) {
      expect(pause).toBeLessThanOrEqual(30 * 2 ** i);
      expect(pause).toBeGreaterThanOrEqual(22 * 2 ** i);
    }
    expect([tries, await rows()]).toEqual([4, []]);
    expect(log.lines.at(-1)).toBe('An effect is given up');
  });

  describe('with a gate', () => {
    const reaction = (comment: number): Effect => ({ kind: 'reaction', repository: 1, comment, content: 'eyes' });
    let gate: InstallationGate;
    beforeAll(async () => {
      await db
        .insertInto('repositories')
        .values({ id: 1, installation_id: 7, owner: 'acme', name: 'infra', default_branch: 'main' })
        .execute();
    });
    beforeEach(() => {
      gate = new InstallationGate();
    });

    test('what is behind it stays due and untouched, and is delivered when it opens', async () => {
      const delivered: number[] = [];
      gate.silence(7, 400);
      const pump = start({ reaction: async ({ comment }) => void delivered.push(comment) }, { gate });
      await enqueue(db, reaction(1), reaction(2));
      await pump.idle();
      expect(delivered).toEqual([]);
      expect((await rows()).map(({ attempts, claimed_until, error }) => [attempts, claimed_until, error])).toEqual([
        [0, null, null],
        [0, null, null],
      ]);
      await until(() => delivered.length === 2, 3_000);
    });

    test('a handler that finds it closed has not failed, and is asked again when it is open', async () => {
      let tries = 0;
      const pump = start(
        {
          reaction: async () => {
            tries += 1;
            if (tries > 1) return;
            gate.silence(7, 300);
            gate.check(7);
          },
        },
        { gate },
      );
      await enqueue(db, reaction(1));
      await pump.idle();
      const [row] = await rows();
      expect(row).toMatchObject({ attempts: 0, claimed_until: null, error: 'GitHub asked for a pause' });
      expect(row?.due_at.getTime()).toBeLessThanOrEqual(Date.now());
      await until(async () => (await rows()).length === 0, 3_000);
      expect(tries).toBe(2);
    });

    test('what is less urgent than its rank said waits by the clock: nothing is tried in a loop', async () => {
      let tries = 0;
      const pump = start(
        {
          reaction: async () => {
            tries += 1;
            throw new GateClosed(60_000, 'the budget is spent', RANK.progress);
          },
        },
        { gate },
      );
      await enqueue(db, reaction(1));
      await pump.idle();
      await sleep(300);
      expect(tries).toBe(1);
    });

    test('jobs and other installations do not wait', async () => {
      const delivered: string[] = [];
      gate.silence(7, 60_000);
      const pump = start(
        {
          reaction: async () => void delivered.push('reaction'),
          job: async () => void delivered.push('job'),
          reply: async () => void delivered.push('reply'),
        },
        { gate },
      );
      await enqueue(db, reaction(1), job('run-1'), { ...reply('a'), repository: 2 } as Effect);
      await pump.idle();
      expect(delivered.sort()).toEqual(['job', 'reply']);
    });

    test('one after the other is let in while the budget is short', async () => {
      let [now, most] = [0, 0];
      gate.judged(7, RANK.answer, { granted: true, next: 0, ample: false });
      const pump = start(
        {
          reaction: async () => {
            now += 1;
            most = Math.max(most, now);
            await sleep(20);
            now -= 1;
          },
        },
        { gate },
      );
      await enqueue(db, ...[1, 2, 3, 4, 5].map(reaction));
      await until(async () => (await rows()).length === 0, 5_000);
      await pump.idle();
      expect(most).toBe(1);
    });
  });

  test('hundreds of reports that hang delay no job', async () => {
    let hanging = 0;
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const jobs: string[] = [];
    start(
      {
        run_report: async () => {
          hanging += 1;
          await held;
        },
        job: async (effect) => void jobs.push(effect.job.run),
      },
      { concurrency: { run_report: 5 } },
    );
    await enqueue(db, ...Array.from({ length: 300 }, (_, i) => report(`run-${i}`)));
    await until(() => hanging === 5);
    const started = performance.now();
    await enqueue(db, ...Array.from({ length: 20 }, (_, i) => job(`run-${i}`)));
    await until(() => jobs.length === 20);
    expect(performance.now() - started).toBeLessThan(10_000);
    expect(hanging).toBe(5);
    release();
    await until(() => hanging === 300);
  });

  test('effects without a handler are left to other processes', async () => {
    const pump = start({ job: async () => undefined });
    await enqueue(db, job('run-1'), report('run-1'));
    await pump.idle();
    expect((await rows()).map(({ kind, claimed_until }) => [kind, claimed_until])).toEqual([['run_report', null]]);
  });

  test('what a process had claimed when it died is delivered by another', async () => {
    await enqueue(db, report('run-1'));
    await sql`update outbox set claimed_until = now() + interval '1 second'`.execute(db);
    let delivered = 0;
    const pump = start({
      run_report: async () => {
        delivered += 1;
      },
    });
    await pump.idle();
    expect(delivered).toBe(0);
    await until(() => delivered === 1, 3_000);
  });

  test('a delivery that takes longer than its lease keeps it', async () => {
    let deliveries = 0;
    const handlers: EffectHandlers = {
      run_report: async () => {
        deliveries += 1;
        await sleep(2_000);
      },
    };
    const [one] = [start(handlers, { lease: 0.6 }), start(handlers, { lease: 0.6 })];
    await enqueue(db, report('run-1'));
    await sleep(1_900);
    await one.idle();
    expect(deliveries).toBe(1);
  });

  test('stop waits for what is being delivered and begins nothing more', async () => {
    let [begun, ended] = [0, 0];
    const pump = start(
      {
        run_report: async () => {
          begun += 1;
          await sleep(200);
          ended += 1;
        },
      },
      { concurrency: { run_report: 1 } },
    );
    await enqueue(db, report('run-1'), report('run-2'));
    await until(() => begun === 1);
    await pump.stop();
    expect([begun, ended]).toEqual([1, 1]);
    expect((await rows()).map(({ subject }) => subject)).toEqual(['run-2']);
  });

  test('a database that goes away for a moment stops nothing', async () => {
    const delivered: string[] = [];
    start({ run_report: async ({ run }) => void delivered.push(run) });
    await sleep(50);
    await sql`select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`.execute(db);
    await until(() =>
      enqueue(db, report('run-1')).then(
        () => true,
        () => false,
      ),
    );
    await until(() => delivered.includes('run-1'), 8_000);
  });
});
