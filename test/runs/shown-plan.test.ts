import { sql } from 'kysely';
import { ShownPlans } from '../../src/runs/shown-plan.js';
import { Encryption, SealBroken } from '../../src/variables/encryption.js';
import { RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const encryption = new Encryption(Buffer.alloc(32, 1));
const json = (address: string) =>
  JSON.stringify({ resource_changes: [{ address, change: { actions: ['create'], before: null, after: { a: 1 } } }] });

async function planned(address: string) {
  const run = await world.in('planning');
  return world.plan(run, { planJson: encryption.seal(`plan-json/${run.id}`, Buffer.from(json(address))) });
}

test('a plan on record is shown, and read once however often it is asked for', async () => {
  const run = await planned('x.y');
  const plans = new ShownPlans(world.db, encryption);
  const [one, other] = await Promise.all([plans.of(run.id), plans.of(run.id)]);
  expect(one).toMatchObject({ shown: true, plan: { resources: [{ address: 'x.y', action: 'create' }] } });
  expect(other).toBe(one);
  expect(await plans.of(run.id)).toBe(one);
});

test('one that was made again is read again', async () => {
  const run = await planned('x.first');
  const plans = new ShownPlans(world.db, encryption);
  await plans.of(run.id);
  await sql`update runs set attempt = attempt + 1 where id = ${run.id}`.execute(world.db);
  const again = encryption.seal(`plan-json/${run.id}`, Buffer.from(json('x.second')));
  await world.db.updateTable('plans').set({ plan_json: again }).where('run_id', '=', run.id).execute();
  expect(await plans.of(run.id)).toMatchObject({ plan: { resources: [{ address: 'x.second' }] } });
});

test('one that is not kept, or not made, is not there; one of another run is not shown', async () => {
  const plans = new ShownPlans(world.db, encryption);
  expect(await plans.of((await world.in('planning')).id)).toBeUndefined();
  const run = await planned('x.y');
  const other = await planned('x.z');
  await sql`update plans set plan_json = (select plan_json from plans where run_id = ${other.id}) where run_id = ${run.id}`.execute(
    world.db,
  );
  expect(await plans.of(run.id)).toMatchObject({ shown: false });
  await world.db.deleteFrom('plans').where('run_id', '=', other.id).execute();
  expect(await plans.of(other.id)).toBeUndefined();
});

test('one that cannot be read is not shown, which is told and tried once, until it is made again', async () => {
  const run = await planned('x.y');
  const broken = async (planJson: Buffer) => {
    await world.db.updateTable('plans').set({ plan_json: planJson }).where('run_id', '=', run.id).execute();
    await sql`update runs set attempt = attempt + 1 where id = ${run.id}`.execute(world.db);
  };
  const errors: [string, string][] = [];
  const plans = new ShownPlans(world.db, encryption, (error, id) => errors.push([error.name, id]));
  await broken(Buffer.from('no seal'));
  for (let n = 0; n < 3; n++) {
    expect(await plans.of(run.id)).toEqual({ shown: false, reason: 'This plan can’t be read: see its output.' });
  }
  expect(errors).toEqual([[SealBroken.name, run.id]]);
  await broken(encryption.seal(`plan-json/${run.id}`, Buffer.from('{"no json"')));
  expect(await plans.of(run.id)).toMatchObject({ shown: false });
  expect(errors).toEqual([
    [SealBroken.name, run.id],
    ['SyntaxError', run.id],
  ]);
  await broken(encryption.seal(`plan-json/${run.id}`, Buffer.from(json('x.again'))));
  expect(await plans.of(run.id)).toMatchObject({ plan: { resources: [{ address: 'x.again' }] } });
});

test('one of too many values is not shown, and that is no error', async () => {
  const run = await planned('x.y');
  const change = { actions: ['create'], before: null, after: { list: Array(250_000).fill(1) } };
  const large = JSON.stringify({ resource_changes: [{ address: 'x.y', change }] });
  const sealed = encryption.seal(`plan-json/${run.id}`, Buffer.from(large));
  await world.db.updateTable('plans').set({ plan_json: sealed }).where('run_id', '=', run.id).execute();
  const errors: Error[] = [];
  expect(await new ShownPlans(world.db, encryption, (error) => errors.push(error)).of(run.id)).toEqual({
    shown: false,
    reason: 'This plan has too many attributes to be shown here: see its output.',
  });
  expect(errors).toEqual([]);
});

test('however many are asked for, one is read at a time, and others stay known', async () => {
  const runs = await Promise.all(['x.a', 'x.b', 'x.c'].map((address) => planned(address)));
  const plans = new ShownPlans(world.db, encryption);
  const seen = await Promise.all(runs.map(({ id }) => plans.of(id)));
  expect(seen).toMatchObject(
    ['x.a', 'x.b', 'x.c'].map((address) => ({ shown: true, plan: { resources: [{ address }] } })),
  );
  for (const [index, { id }] of runs.entries()) expect(await plans.of(id)).toBe(seen[index]);
});

test('one that is too large is not even fetched', async () => {
  const run = await planned('x.y');
  await sql`update plans set plan_json = decode(repeat('00', 65 * 1024 * 1024), 'hex') where run_id = ${run.id}`.execute(
    world.db,
  );
  const shown = await new ShownPlans(world.db, encryption).of(run.id);
  expect(shown).toEqual({
    shown: false,
    reason: 'This plan (65 MiB as JSON) is too large to be shown here: see its output.',
  });
});
