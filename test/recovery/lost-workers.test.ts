import { sql } from 'kysely';
import type { Run } from '../../src/db/schema.js';
import { createLog } from '../../src/log.js';
import { declareLost, silentWorkers } from '../../src/recovery/lost-workers.js';
import { WorkerWatch } from '../../src/recovery/worker-watch.js';
import { diePlan, finishApply, finishPlan } from '../../src/runs/outcome.js';
import { RunMovedOn } from '../../src/runs/transition.js';
import { SavedState } from '../../src/state/saved-state.js';
import { StateRevoked, StateVersions } from '../../src/state/state-versions.js';
import { Encryption } from '../../src/variables/encryption.js';
import { lockWorkspace } from '../../src/workspaces/lock.js';
import { until } from '../queue/support.js';
import { finished, RunsWorld } from '../runs/world.js';
import { registeredWorker } from '../support/workers.js';

const encryption = new Encryption(Buffer.alloc(32, 1));
const savedState = new SavedState(encryption);
let world: RunsWorld;
let names = 0;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

/** A run that a worker of its own is at, which has been silent for `silent` seconds. */
async function worked(stage: 'plan' | 'apply', silent = 100): Promise<{ run: Run; name: string }> {
  const name = `host-${++names}`;
  const waiting = stage === 'plan' ? await world.push(await world.workspace()) : await world.in('confirmed');
  const run = await world.claim(waiting, stage, name);
  if (!run) throw new Error('It could not be claimed.');
  await world.db
    .updateTable('workers')
    .set({ seen_at: sql`now() - make_interval(secs => ${silent})` })
    .where('name', '=', name)
    .execute();
  return { run, name };
}

async function lose(name: string): Promise<Run[] | undefined> {
  const worker = (await silentWorkers(world.db, 90)).find((each) => each.name === name);
  return worker && declareLost(world.db, worker, 90, savedState);
}

const workspaceOf = (run: Run) =>
  world.db.selectFrom('workspaces').selectAll().where('id', '=', run.workspace_id).executeTakeFirstOrThrow();

test('a worker that is heard of, or that stopped in order, is not lost', async () => {
  const { name } = await worked('plan', 80);
  expect(await lose(name)).toBeUndefined();
  const other = await worked('plan');
  await world.db.updateTable('workers').set({ stopped_at: sql`now()` }).where('name', '=', other.name).execute();
  expect(await lose(other.name)).toBeUndefined();
});

test('one that is heard of in the last moment keeps its runs', async () => {
  const { name, run } = await worked('apply');
  const worker = (await silentWorkers(world.db, 90)).find((each) => each.name === name);
  if (!worker) throw new Error('It is not silent.');
  await world.db.updateTable('workers').set({ seen_at: sql`now()` }).where('name', '=', name).execute();
  expect(await declareLost(world.db, worker, 90, savedState)).toBeUndefined();
  expect((await world.now(run)).state).toBe('applying');
});

describe('the plan of a lost worker', () => {
  test('is made again by whoever is free, and what the lost one brings later is refused', async () => {
    const { name, run } = await worked('plan');
    expect(await lose(name)).toMatchObject([{ id: run.id, state: 'planning', worker_id: null }]);
    expect(await world.effects()).toContain(`job ${run.id}-plan-1`);
    await expect(finishPlan(world.db, run, finished)).rejects.toThrow(RunMovedOn);
    const again = await world.claim(await world.now(run));
    expect(again).toMatchObject({ state: 'planning', attempt: 2, worker: 'w1', state_revoked_at: null });
    await expect(finishPlan(world.db, run, finished)).rejects.toThrow(RunMovedOn);
    if (again) expect(await finishPlan(world.db, again, finished)).toMatchObject({ state: 'needs_confirmation' });
  });

  test('is claimed once, however many try', async () => {
    const { name, run } = await worked('plan');
    await lose(name);
    const waiting = await world.now(run);
    const claims = await Promise.all(['a', 'b', 'c'].map((each) => world.claim(waiting, 'plan', each)));
    expect(claims.filter(Boolean)).toHaveLength(1);
  });

  test('is given up after the third time', async () => {
    const { run } = await worked('plan');
    await diePlan(world.db, run, 'Once.');
    for (const why of ['Twice.', 'Thrice.']) {
      const again = await world.claim(await world.now(run));
      if (again) await diePlan(world.db, again, why);
    }
    expect(await world.now(run)).toMatchObject({ state: 'plan_errored', error: 'The plan died 3 times. Thrice.' });
  });

  test('ends where somebody had canceled it', async () => {
    const { name, run } = await worked('plan');
    const asked = { cancel_requested_at: sql<Date>`now()`, cancel_requested_by: 'bob' };
    await world.db.updateTable('runs').set(asked).where('id', '=', run.id).execute();
    await lose(name);
    expect((await world.now(run)).state).toBe('canceled');
  });
});

describe('the apply of a lost worker', () => {
  test('is over, and its workspace is locked with the reason and the name of the host', async () => {
    const { name, run } = await worked('apply');
    const next = await world.push(await workspaceOf(run));
    await lose(name);
    expect(await world.now(run)).toMatchObject({
      state: 'apply_errored',
      error: expect.stringContaining(`Worker ${name} was lost while it applied`),
    });
    expect(await workspaceOf(run)).toMatchObject({
      locked_by: null,
      lock_run: run.id,
      lock_reason: expect.stringContaining(`no Terraform is left on ${name}`),
    });
    expect((await world.now(next)).state).toBe('pending');
    expect(await lose(name)).toBeUndefined();
  });

  test('is locked by Signalbox also where a person had locked it, and says so', async () => {
    const { name, run } = await worked('apply');
    await world.inTransaction((tx) => lockWorkspace(tx, run.workspace_id, { by: 'alice', reason: 'Freeze.' }));
    await lose(name);
    expect(await workspaceOf(run)).toMatchObject({
      locked_by: null,
      lock_run: run.id,
      lock_reason: expect.stringMatching(/was lost.* Before that it was locked by alice \(Freeze\.\)\.$/),
    });
  });

  test('can write no state any more, and can not end any more either', async () => {
    const { name, run } = await worked('apply');
    await world.db.updateTable('runs').set({ state_token_hash: 'h' }).where('id', '=', run.id).execute();
    const versions = new StateVersions(world.db, encryption);
    const writer = { run: run.id, workspace: run.workspace_id, tokenHash: 'h' };
    const state = (serial: number) =>
      versions.seal(run.workspace_id, Buffer.from(JSON.stringify({ version: 4, serial, lineage: 'l', resources: [] })));
    await versions.save(writer, state(1));
    await lose(name);
    await expect(versions.save(writer, state(2))).rejects.toThrow(StateRevoked);
    await expect(finishApply(world.db, run, 'i', { diagnostics: [] })).rejects.toThrow();
    expect((await world.now(run)).state).toBe('apply_errored');
  });

  test('says which of the things that were done the state on record does not know', async () => {
    const { name, run } = await worked('apply');
    const progress = { total: 4, applied: 2, failed: 0, done: ['terraform_data.a', 'terraform_data.b["x"]'] };
    const columns = {
      state_token_hash: 'h',
      progress: JSON.stringify({ ...progress, inFlight: ['terraform_data.c'] }),
    };
    await world.db.updateTable('runs').set(columns).where('id', '=', run.id).execute();
    const versions = new StateVersions(world.db, encryption);
    const resource = { mode: 'managed', type: 'terraform_data', name: 'b', instances: [{ index_key: 'x' }] };
    const state = Buffer.from(JSON.stringify({ version: 4, serial: 1, lineage: 'l', resources: [resource] }));
    const writer = { run: run.id, workspace: run.workspace_id, tokenHash: 'h' };
    await versions.save(writer, versions.seal(run.workspace_id, state));
    await lose(name);
    expect((await world.now(run)).progress?.unsaved).toEqual(['terraform_data.a', 'terraform_data.c']);
  });
});

test('who has not heard from the database for the whole time judges nobody', async () => {
  const log = createLog({ level: 'silent', format: 'json' });
  const { name, run } = await worked('apply', 600);
  const worker = await registeredWorker(world.db, name);
  const watch = new WorkerWatch({ db: world.db, lostAfter: 1_000, savedState, log });
  const started = performance.now();
  watch.start();
  const lost = async () => {
    const row = await world.db
      .selectFrom('workers')
      .select('lost_at')
      .where('id', '=', worker.id)
      .executeTakeFirstOrThrow();
    return row.lost_at !== null;
  };
  await until(lost, 10_000);
  await watch.stop();
  expect(performance.now() - started).toBeGreaterThan(1_000);
  expect((await world.now(run)).state).toBe('apply_errored');
});
