import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { createDb, createPool } from '../../src/db/pool.js';
import { Counts } from '../../src/operating/counts.js';
import { openOperatorView } from '../../src/operating/operator-view.js';
import { enqueue } from '../../src/queue/outbox.js';
import { discardRun } from '../../src/runs/actions.js';
import { failApply, failPlan, finishApply, finishCanceled } from '../../src/runs/outcome.js';
import { lockWorkspace } from '../../src/workspaces/lock.js';
import { RunsWorld } from '../runs/world.js';
import { parseExposition, seriesValue } from '../support/exposition.js';

let world: RunsWorld;
let workRoot: string;
beforeAll(async () => {
  world = await RunsWorld.open();
  workRoot = await mkdtemp(join(tmpdir(), 'signalbox-test-metrics-'));
});
beforeEach(async () => {
  await sql`truncate repositories cascade; truncate deliveries, outbox`.execute(world.db);
  await world.db
    .insertInto('repositories')
    .values({ id: 1, installation_id: 1, owner: 'acme', name: 'infra', default_branch: 'main' })
    .execute();
});
afterAll(async () => {
  await world.close();
  await rm(workRoot, { recursive: true, force: true });
});

/** As a process that begins now sees it; `change` is what happens after its beginning. */
async function scrape(
  change: () => Promise<unknown> = async () => undefined,
  roles = ['web', 'worker'],
): Promise<string> {
  const view = await openOperatorView({ db: world.db, version: '0.0.0', roles, workRoot });
  await change();
  const text = await view.metrics();
  parseExposition(text);
  return text;
}

/** Gives what is planned and applied to a worker, as a claim does. */
const own = async (worker: string, name: string) => {
  await world.db
    .insertInto('workers')
    .values({ id: worker, name, process: 'p', slots: 4 })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
  await sql`update runs set worker_id = ${worker} where state in ('planning', 'applying')`.execute(world.db);
};

const age = (table: string, column: string, seconds: number) =>
  sql`update ${sql.table(table)} set ${sql.ref(column)} = now() - make_interval(secs => ${seconds})`.execute(world.db);

describe('of an empty record', () => {
  test('everything is 0, so that the first of something is seen as a change', async () => {
    const text = await scrape();
    for (const [name, { samples }] of parseExposition(text)) {
      if (/info|start_time|cpu|memory|event_loop|record_up|worker/.test(name)) continue;
      expect([name, samples.filter(({ value }) => value !== 0)]).toEqual([name, []]);
    }
    expect(seriesValue(text, 'signalbox_record_up')).toBe(1);
    expect(seriesValue(text, 'signalbox_runs', { state: 'needs_confirmation', speculative: 'false' })).toBe(0);
    expect(seriesValue(text, 'signalbox_runs', { state: 'applying', speculative: 'true' })).toBeUndefined();
    expect(seriesValue(text, 'signalbox_runs_ended_total', { state: 'apply_errored', speculative: 'false' })).toBe(0);
    expect(seriesValue(text, 'signalbox_stage_duration_seconds_count', { stage: 'apply' })).toBe(0);
  });

  test('no name of a repository or workspace is in it', async () => {
    await sql`update workspaces set name = 'network' where id = ${(await world.in('applying')).workspace_id}`.execute(
      world.db,
    );
    expect(await scrape()).not.toMatch(/infra|acme|network|\bd\d/);
  });
});

describe('runs', () => {
  test('that have not ended are counted by state', async () => {
    for (const state of ['pending', 'planning', 'planning', 'needs_confirmation', 'confirmed', 'applying'] as const)
      await world.in(state);
    await world.speculative(await world.workspace());
    const text = await scrape();
    const counts = ['pending', 'planning', 'needs_confirmation', 'confirmed', 'applying'].map((state) =>
      seriesValue(text, 'signalbox_runs', { state, speculative: 'false' }),
    );
    expect(counts).toEqual([1, 2, 1, 1, 1]);
    expect(seriesValue(text, 'signalbox_runs', { state: 'pending', speculative: 'true' })).toBe(1);
  });

  test('that only a slot is missing for wait in the queue; others are blocked', async () => {
    const busy = await world.workspace();
    await world.begin(await world.push(busy));
    await world.push(busy);
    const free = await world.workspace();
    await world.push(free);
    await world.push(free);
    const locked = await world.workspace();
    await world.push(locked);
    await world.inTransaction((tx) => lockWorkspace(tx, locked.id, { by: 'alice', reason: 'Migration.' }));
    const held = await world.workspace();
    await world.push(held);
    await sql`update workspaces set held_pull_request = 9 where id = ${held.id}`.execute(world.db);
    await world.speculative(busy);
    await world.in('confirmed');
    await own('own', 'own');
    await age('runs', 'created_at', 600);

    const text = await scrape();
    const queue = (kind: string) => seriesValue(text, 'signalbox_queue_runs', { kind });
    expect([queue('apply'), queue('plan'), queue('speculative')]).toEqual([1, 1, 1]);
    expect(seriesValue(text, 'signalbox_blocked_runs')).toBe(4);
    expect(seriesValue(text, 'signalbox_queue_oldest_seconds', { kind: 'plan' })).toBeCloseTo(600, -1);
    expect(seriesValue(text, 'signalbox_queue_oldest_seconds', { kind: 'apply' })).toBeLessThan(60);
    expect(seriesValue(text, 'signalbox_blocked_oldest_seconds')).toBeCloseTo(600, -1);
    expect(seriesValue(text, 'signalbox_locked_workspaces', { by: 'person' })).toBe(1);
    expect(seriesValue(text, 'signalbox_locked_workspaces', { by: 'signalbox' })).toBe(0);
    expect(seriesValue(text, 'signalbox_held_workspaces')).toBe(1);
  });

  test('wait for a slot since it is their turn, not since they were created', async () => {
    const workspace = await world.workspace();
    const first = await world.push(workspace);
    await world.push(workspace);
    await age('runs', 'created_at', 3_600);
    await world.inTransaction((tx) => discardRun(tx, first, 'Not needed.'));
    expect(seriesValue(await scrape(), 'signalbox_queue_oldest_seconds', { kind: 'plan' })).toBeLessThan(60);
  });

  test('that end are counted by how, from the beginning of the process on', async () => {
    await world.plan(await world.speculative(await world.workspace()), { changes: false });
    const text = await scrape(async () => {
      const { db } = world;
      await finishApply(db, await world.in('applying'), 'identity', { diagnostics: [] });
      await finishApply(db, await world.in('applying'), 'identity', { diagnostics: [] });
      await failApply(db, await world.in('applying'), 'It broke.', { diagnostics: [] });
      await failPlan(db, await world.in('planning'), 'It broke.', []);
      await finishCanceled(db, await world.in('planning'), 'Somebody asked.', { diagnostics: [] });
      await world.inTransaction(async (tx) => discardRun(tx, await world.in('pending'), 'Not needed.'));
      await world.plan(await world.speculative(await world.workspace()));
      await world.in('needs_confirmation');
    });
    const ended = (state: string, speculative = 'false') =>
      seriesValue(text, 'signalbox_runs_ended_total', { state, speculative });
    expect(ended('applied')).toBe(2);
    expect(['apply_errored', 'plan_errored', 'canceled', 'discarded'].map((state) => ended(state))).toEqual([
      1, 1, 1, 1,
    ]);
    expect(ended('planned', 'true')).toBe(1);
    expect(ended('no_changes', 'true')).toBe(0);
    // Plans: three of applies, three that failed or ended otherwise, one that waits.
    expect(seriesValue(text, 'signalbox_stage_duration_seconds_count', { stage: 'plan' })).toBe(7);
    expect(seriesValue(text, 'signalbox_stage_duration_seconds_count', { stage: 'apply' })).toBe(3);
  });
});

describe('durations of stages', () => {
  test('are from the claim to the outcome, the last attempt only', async () => {
    const counts = await Counts.from(world.db);
    const run = await world.in('planning');
    await sql`update run_events set at = at - interval '500 s' where run_id = ${run.id}`.execute(world.db);
    await sql`insert into run_events (run_id, type, state, at) values
      (${run.id}, 'plan_restarted', 'planning', clock_timestamp() - interval '45 s'),
      (${run.id}, 'remark', 'planning', clock_timestamp())`.execute(world.db);
    await world.plan(await world.now(run));
    const { stages } = await counts.read();
    expect(stages.plan.count).toBe(1);
    expect(stages.plan.sum).toBeCloseTo(45, 0);
    expect(stages.plan.buckets).toEqual([0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    expect(stages.apply.count).toBe(0);
  });

  test('count once, however often they are looked at and however old they get', async () => {
    const counts = await Counts.from(world.db);
    const finish = async () => finishApply(world.db, await world.in('applying'), 'identity', { diagnostics: [] });
    const seen: number[] = [];
    const look = async () => {
      const { stages, ended, deliveries } = await counts.read();
      expect(ended.get('applied false') ?? 0).toBe(stages.apply.count);
      expect(deliveries).toBe(stages.apply.count);
      seen.push(stages.apply.count);
    };
    const deliver = () =>
      world.db
        .insertInto('deliveries')
        .values({ guid: `d${Math.random()}`, event: 'push', body: '{}' })
        .execute();
    const old = async () => {
      await sql`update run_events set at = at - interval '90 s'`.execute(world.db);
      await age('deliveries', 'received_at', 90);
    };
    await look();
    await finish();
    await deliver();
    await look();
    await old();
    await look();
    await look();
    await finish();
    await deliver();
    await look();
    await old();
    await look();
    expect(seen).toEqual([0, 1, 1, 1, 2, 2]);
  });

  test('an event that is committed after a later one counts too', async () => {
    const counts = await Counts.from(world.db);
    const late = await world.in('applying');
    const soon = await world.in('applying');
    await world.inTransaction(async (tx) => {
      await sql`insert into run_events (run_id, type, state) values (${late.id}, 'apply_finished', 'applied')`.execute(
        tx,
      );
      await finishApply(world.db, soon, 'identity', { diagnostics: [] });
      expect((await counts.read()).stages.apply.count).toBe(1);
    });
    expect((await counts.read()).stages.apply.count).toBe(2);
  });
});

test('a run whose worker is gone in the middle of its plan waits for a slot', async () => {
  await world.in('planning');
  await sql`update runs set worker_id = null`.execute(world.db);
  const text = await scrape();
  expect(seriesValue(text, 'signalbox_queue_runs', { kind: 'plan' })).toBe(1);
  expect(seriesValue(text, 'signalbox_blocked_runs')).toBe(0);
});

test('workers are counted by whether they live, and their slots by name', async () => {
  const worker = (id: string, name: string, more: object = {}) =>
    world.db
      .insertInto('workers')
      .values({ id, name, process: 'p', slots: 4, ...more })
      .execute();
  const ago = (seconds: number) => sql<Date>`now() - make_interval(secs => ${seconds})`;
  const earlier = await scrape();
  await worker('1', 'busy');
  await worker('2', 'same');
  await worker('3', 'same');
  await worker('4', 'cut-off', { seen_at: ago(60) });
  await worker('5', 'gone', { seen_at: ago(600), lost_at: ago(500) });
  await worker('6', 'stopped', { seen_at: ago(600), stopped_at: ago(600) });
  await world.in('planning');
  await world.in('applying');
  await own('1', 'busy');
  const text = await scrape();
  const count = (state: string) =>
    (seriesValue(text, 'signalbox_workers', { state }) ?? 0) -
    (seriesValue(earlier, 'signalbox_workers', { state }) ?? 0);
  expect([count('alive'), count('silent'), count('lost')]).toEqual([3, 1, 1]);
  const slots = (worker: string) => [
    seriesValue(text, 'signalbox_worker_slots', { worker }),
    seriesValue(text, 'signalbox_worker_slots_in_use', { worker }),
  ];
  expect([slots('busy'), slots('same'), slots('cut-off')]).toEqual([
    [4, 2],
    [8, 0],
    [undefined, undefined],
  ]);
});

test('the outbox is told by kind: how much, since when, and how much of it fails', async () => {
  await enqueue(world.db, { kind: 'run_report', run: 'r1' }, { kind: 'run_report', run: 'r2' });
  await enqueue(world.db, { kind: 'reaction', repository: 1, comment: 1, content: 'eyes' });
  await sql`update outbox set created_at = now() - interval '1 hour', due_at = now() + interval '30 s', error = 'away',
    attempts = 9 where subject = 'r1'`.execute(world.db);
  await sql`update outbox set due_at = now() - interval '20 s' where subject = 'r2'`.execute(world.db);
  const text = await scrape();
  const of = (name: string, kind: string) => seriesValue(text, `signalbox_outbox_${name}`, { kind });
  expect(of('effects', 'run_report')).toBe(2);
  expect(of('failing_effects', 'run_report')).toBe(1);
  expect(of('oldest_seconds', 'run_report')).toBeCloseTo(3_600, -1);
  expect(of('overdue_seconds', 'run_report')).toBeCloseTo(20, -1);
  expect(of('effects', 'reaction')).toBe(1);
  expect(of('failing_effects', 'reaction')).toBe(0);
});

test('deliveries are counted as they come, as they wait and as they are given up', async () => {
  const deliver = (guid: string, more: object = {}) =>
    world.db
      .insertInto('deliveries')
      .values({ guid, event: 'push', body: '{}', ...more })
      .execute();
  await deliver('earlier', { done_at: new Date() });
  const text = await scrape(async () => {
    await deliver('waits');
    await deliver('waits too');
    await deliver('done', { done_at: new Date() });
    await deliver('given up', { done_at: new Date(), error: 'Error: no' });
    await sql`update deliveries set received_at = now() - interval '40 s' where guid = 'waits'`.execute(world.db);
  });
  expect(seriesValue(text, 'signalbox_deliveries_total')).toBe(4);
  expect(seriesValue(text, 'signalbox_deliveries_undone')).toBe(2);
  expect(seriesValue(text, 'signalbox_deliveries_oldest_seconds')).toBeCloseTo(40, -1);
  expect(seriesValue(text, 'signalbox_deliveries_given_up')).toBe(1);
});

test("state that waits on a worker's disk is counted there, and what was set aside", async () => {
  const state = join(workRoot, '17/control/state');
  await mkdir(state, { recursive: true });
  await mkdir(join(workRoot, 'kept'));
  for (const name of ['0000000001.snapshot', '0000000002.snapshot', '0000000003.snapshot.tmp'])
    await writeFile(join(state, name), '');
  await writeFile(join(workRoot, 'kept/17-2026-01-01-errored.tfstate'), '');
  const text = await scrape();
  expect(seriesValue(text, 'signalbox_state_snapshots_waiting')).toBe(2);
  expect(seriesValue(text, 'signalbox_state_kept')).toBe(1);
  expect(await scrape(undefined, ['web'])).not.toContain('signalbox_state');
});

describe('a look', () => {
  test('is good for everybody for some seconds, and there is one at a time', async () => {
    const pool = createPool({ connectionString: world.url, max: 8, onError: () => undefined });
    const view = await openOperatorView({ db: createDb(pool), version: '0', roles: ['web'], workRoot });
    let taken = 0;
    pool.on('acquire', () => {
      taken += 1;
    });
    const texts = await Promise.all(Array.from({ length: 50 }, () => view.metrics()));
    await view.waiting();
    expect(new Set(texts.map((text) => seriesValue(text, 'signalbox_record_up')))).toEqual(new Set([1]));
    // What is now, and what was since the last look.
    expect(taken).toBe(2);
    await pool.end();
  });

  test('that the record does not answer says so, and what the process knows itself', async () => {
    const view = await openOperatorView({ db: world.db, version: '0', roles: ['web'], workRoot });
    let text = '';
    await world.inTransaction(async (tx) => {
      await sql`lock table runs in access exclusive mode`.execute(tx);
      text = await view.metrics();
    });
    parseExposition(text);
    expect(seriesValue(text, 'signalbox_record_up')).toBe(0);
    expect(text).toContain('signalbox_info{');
    expect(text).not.toContain('signalbox_runs{');
    expect(seriesValue(await view.metrics(), 'signalbox_record_up')).toBe(1);
  });
});
