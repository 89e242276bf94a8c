import fc from 'fast-check';
import { sql } from 'kysely';
import type { Run, Workspace } from '../../src/db/schema.js';
import { Housekeeper } from '../../src/housekeeping/housekeeper.js';
import { type RecordLimits, recordChores } from '../../src/housekeeping/record.js';
import { log } from '../git/support.js';
import { RunsWorld } from '../runs/world.js';
import { outputOf } from '../support/output.js';

const LIMITS: RecordLimits = { keepOutputDays: 90, keepPlanDays: 30, keepStateVersions: 3 };

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const tidy = (limits: Partial<RecordLimits> = {}) =>
  new Housekeeper({ chores: recordChores(world.db, { ...LIMITS, ...limits }), log }).tidy();
const has = async (table: 'plans' | 'outputs', run: Run) =>
  (await world.db.selectFrom(table).select('run_id').where('run_id', '=', run.id).execute()).length > 0;
const endedDaysAgo = (run: Run, days: number) =>
  sql`update runs set ended_at = now() - make_interval(days => ${days}) where id = ${run.id}`.execute(world.db);
const print = (run: Run) =>
  world.db
    .insertInto('outputs')
    .values({ run_id: run.id, stage: 'plan', attempt: 1, sequence: 0, text: 'x' })
    .execute();
const pullRequest = (number: number, headSha: string, state: 'open' | 'closed' | 'merged' = 'open') =>
  world.db
    .insertInto('pull_requests')
    .values({
      ...{ repository_id: 1, number, title: 't', state, draft: false, fork: false, author: 'alice' },
      ...{ head_ref: 'feature', head_sha: headSha, base_ref: 'main', base_sha: 'base' },
    })
    .onConflict((conflict) => conflict.columns(['repository_id', 'number']).doUpdateSet({ head_sha: headSha, state }))
    .execute();

describe("Terraform's output", () => {
  test('goes so many days after the end of its run, and the run knows', async () => {
    const [old, young] = [
      await world.plan(await world.speculative(await world.workspace())),
      await world.plan(await world.speculative(await world.workspace())),
    ];
    await Promise.all([print(old), print(young), endedDaysAgo(old, 91), endedDaysAgo(young, 89)]);
    expect(await tidy()).toMatchObject({ outputs: 1 });
    expect([await has('outputs', old), await has('outputs', young)]).toEqual([false, true]);
    expect((await world.now(old)).output_removed_at).toBeInstanceOf(Date);
    expect((await world.now(young)).output_removed_at).toBeNull();
    expect(await outputOf(world.db, old.id, 'plan')).toBe('');
    expect(await tidy()).toEqual({});
  });

  test('stays for ever when nothing else is wanted', async () => {
    const old = await world.plan(await world.speculative(await world.workspace()));
    await Promise.all([print(old), endedDaysAgo(old, 10_000)]);
    await tidy({ keepOutputDays: 0 });
    expect(await has('outputs', old)).toBe(true);
  });
});

describe('a plan', () => {
  test('goes with its files so many days after the end of its run', async () => {
    const old = await world.plan(await world.speculative(await world.workspace(), 101));
    await endedDaysAgo(old, 31);
    await tidy({ keepPlanDays: 32 });
    expect(await has('plans', old)).toBe(true);
    await tidy();
    expect(await has('plans', old)).toBe(false);
  });

  test('that can still be approved stays; not when its pull request is closed or has another head', async () => {
    const plan = await world.plan(await world.speculative(await world.workspace(), 102));
    await endedDaysAgo(plan, 400);
    await pullRequest(102, plan.commit_sha);
    await tidy();
    expect(await has('plans', plan)).toBe(true);
    await pullRequest(102, plan.commit_sha, 'closed');
    await tidy();
    expect(await has('plans', plan)).toBe(false);
  });

  test('that was approved stays until the run that it was approved for has ended', async () => {
    const workspace = await world.workspace();
    const reviewed = await world.plan(await world.speculative(workspace, 103));
    await endedDaysAgo(reviewed, 400);
    const approved = await world.approved(workspace, reviewed);
    await tidy();
    expect(await has('plans', reviewed)).toBe(true);
    const confirmed = await world.plan(approved);
    expect(confirmed.state).toBe('confirmed');
    await tidy();
    expect([await has('plans', reviewed), await has('plans', confirmed)]).toEqual([true, true]);
    await sql`update runs set state = 'canceled', ended_at = now() where id = ${approved.id}`.execute(world.db);
    await tidy();
    expect([await has('plans', reviewed), await has('plans', confirmed)]).toEqual([false, true]);
  });
});

describe('sessions', () => {
  test('go a day after their end', async () => {
    const begin = (id: string, hours: number) =>
      sql`insert into sessions (id, sign_in, github_user, login, csrf, access_token, expires_at)
        values (${id}, ${id}, 1, 'alice', 'c', 'x', now() + make_interval(hours => ${hours}))`.execute(world.db);
    await Promise.all([begin('lives', 1), begin('has ended', -23), begin('is past', -25)]);
    expect(await tidy()).toEqual({ sessions: 1 });
    const { rows } = await sql<{ id: string }>`select id from sessions order by id`.execute(world.db);
    expect(rows.map(({ id }) => id)).toEqual(['has ended', 'lives']);
  });
});

describe('state versions', () => {
  const save = (workspace: Workspace, run: Run, serial: number, days: number) =>
    sql`insert into state_versions (workspace_id, run_id, serial, lineage, md5, resources, state, created_at) values
      (${workspace.id}, ${run.id}, ${serial}, 'l', ${`${serial}`}, 1, 'x', now() - make_interval(days => ${days}))`.execute(
      world.db,
    );
  const serials = async (workspace: Workspace) =>
    (
      await world.db
        .selectFrom('state_versions')
        .select('serial')
        .where('workspace_id', '=', workspace.id)
        .orderBy('id')
        .execute()
    ).map(({ serial }) => serial);

  test('beyond the newest of a workspace go when they are a month old; those of a run that goes on stay', async () => {
    const [many, few, young] = [await world.workspace(), await world.workspace(), await world.workspace()];
    for (const [workspace, count, days] of [
      [many, 6, 40],
      [few, 3, 400],
      [young, 6, 20],
    ] as const) {
      const run = await world.plan(await world.push(workspace), { changes: false });
      for (let serial = 1; serial <= count; serial += 1) await save(workspace, run, serial, days);
    }
    const goingOn = await world.in('applying');
    const itsOwn = await world.db
      .selectFrom('workspaces')
      .selectAll()
      .where('id', '=', goingOn.workspace_id)
      .executeTakeFirstOrThrow();
    for (let serial = 1; serial <= 6; serial += 1) await save(itsOwn, goingOn, serial, 40);
    expect(await tidy()).toMatchObject({ 'state versions': 3 });
    expect(await serials(many)).toEqual([4, 5, 6]);
    expect(await serials(few)).toEqual([1, 2, 3]);
    expect(await serials(young)).toHaveLength(6);
    expect(await serials(itsOwn)).toHaveLength(6);
  });
});

test('deliveries go a month after they were done, never before', async () => {
  const deliver = (guid: string, done: number | null) =>
    sql`insert into deliveries (guid, event, body, received_at, done_at) values (${guid}, 'push', '{}',
      now() - interval '400 days', now() - make_interval(days => ${done}))`.execute(world.db);
  await deliver('waits', null);
  await deliver('young', 29);
  for (let i = 0; i < 120; i += 1) await deliver(`old-${i}`, 31);
  expect(await tidy()).toMatchObject({ deliveries: 120 });
  const left = await world.db.selectFrom('deliveries').select('guid').orderBy('id').execute();
  expect(left.map(({ guid }) => guid)).toEqual(['waits', 'young']);
});

test('two processes that tidy at once remove everything once, and neither fails', async () => {
  const runs = await Promise.all(
    Array.from({ length: 8 }, async () => world.plan(await world.speculative(await world.workspace(), 104))),
  );
  await Promise.all(runs.map((run) => endedDaysAgo(run, 50)));
  const [one, two] = await Promise.all([tidy(), tidy()]);
  expect((one.plans ?? 0) + (two.plans ?? 0)).toBe(8);
});

test('whatever the limits are, nothing goes that a run under way, a pending approval or the next plan needs', async () => {
  const state = fc.constantFrom('pending', 'planning', 'needs_confirmation', 'confirmed', 'applying', 'ended');
  const scenario = fc.record({
    state,
    age: fc.integer({ min: 0, max: 1000 }),
    reviewedAge: fc.integer({ min: 0, max: 1000 }),
    open: fc.boolean(),
    limits: fc.record({
      keepOutputDays: fc.integer({ min: 0, max: 100 }),
      keepPlanDays: fc.integer({ min: 0, max: 100 }),
      keepStateVersions: fc.integer({ min: 0, max: 3 }),
    }),
  });
  let number = 1_000;
  await fc.assert(
    fc.asyncProperty(scenario, async ({ state, age, reviewedAge, open, limits }) => {
      const workspace = await world.workspace();
      const pr = ++number;
      const reviewed = await world.plan(await world.speculative(workspace, pr));
      await endedDaysAgo(reviewed, reviewedAge);
      await pullRequest(pr, open ? reviewed.commit_sha : 'another', 'open');
      const run = await world.approved(workspace, reviewed);
      if (state !== 'pending') await world.begin(run);
      if (state !== 'pending' && state !== 'planning')
        await world.plan(await world.now(run), {
          reviewedDigest: state === 'needs_confirmation' ? 'd2' : 'd1',
          differencesFrom: () => [{ kind: 'k', address: 'a', detail: 'd' }],
        });
      if (state === 'applying') await world.begin(await world.now(run), 'apply');
      if (state === 'ended')
        await sql`update runs set state = 'canceled', ended_at = now() - make_interval(days => ${age}) where id = ${run.id}`.execute(
          world.db,
        );
      await sql`update runs set created_at = now() - make_interval(days => 1000) where id = ${run.id}`.execute(
        world.db,
      );
      await print(run);
      await sql`insert into state_versions (workspace_id, run_id, serial, lineage, md5, resources, state, created_at)
        values (${workspace.id}, ${run.id}, 1, 'l', '1', 1, 'x', now() - make_interval(days => 1000))`.execute(
        world.db,
      );

      await tidy(limits);

      const now = await world.now(run);
      const unfinished = now.ended_at === null;
      if (unfinished) expect(await has('outputs', run)).toBe(true);
      if (unfinished || open) expect(await has('plans', reviewed)).toBe(true);
      if (unfinished && ['needs_confirmation', 'confirmed', 'applying'].includes(now.state))
        expect(await has('plans', run)).toBe(true);
      const versions = await world.db
        .selectFrom('state_versions')
        .select('id')
        .where('workspace_id', '=', workspace.id)
        .execute();
      expect(versions).toHaveLength(1);
    }),
    { numRuns: 40 },
  );
}, 180_000);
