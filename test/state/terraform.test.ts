import { execFileSync } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createStateWorld, endRun, revoke, type StateWorld, serialsOf, workplace } from './support.js';

const CONFIGURATION = `
resource "terraform_data" "password" {
  input = "a very secret password"
}
output "password" {
  value     = terraform_data.password.output
  sensitive = true
}
`;

/** Resources one after the other, each taking some time. */
const SLOW = `
resource "terraform_data" "first" {
  input = 1
  provisioner "local-exec" { command = "sleep 2" }
}
resource "terraform_data" "second" {
  input = terraform_data.first.output
  provisioner "local-exec" { command = "sleep 2" }
}
`;

let world: StateWorld;
beforeAll(async () => {
  world = await createStateWorld();
});
afterAll(() => world.close());

const control = () => mkdtempSync(join(world.directory, 'control-'));

test('an apply keeps its state: the next plan has no changes, and the record is not readable', async () => {
  const server = await world.startServer();
  const run = await world.createRun();
  const place = workplace(
    world.directory,
    CONFIGURATION,
    await server.register({ run, directory: control(), readOnly: false }),
  );
  expect(await place.terraform(['init']).ended).toMatchObject({ code: 0 });
  expect(await place.terraform(['apply', '-auto-approve']).ended).toMatchObject({ code: 0 });
  await server.drained(run.id);
  const versions = await world.db.selectFrom('state_versions').selectAll().where('run_id', '=', run.id).execute();
  expect(versions.at(-1)).toMatchObject({
    resources: 1,
    lineage: expect.stringMatching(/-/),
    md5: expect.stringMatching(/^\w{32}$/),
  });
  for (const { state } of versions) expect(state.includes('secret password')).toBe(false);
  await endRun(world.db, run);
  await server.release(run.id);

  const next = await world.createRun({ workspace: run.workspace_id });
  const again = workplace(
    world.directory,
    CONFIGURATION,
    await server.register({ run: next, directory: control(), readOnly: false }),
  );
  await again.terraform(['init']).ended;
  const plan = await again.terraform(['plan', '-detailed-exitcode']).ended;
  expect(plan).toMatchObject({ code: 0, output: expect.stringContaining('No changes') });

  const speculative = await world.createRun({ workspace: run.workspace_id, speculative: true });
  const reading = workplace(
    world.directory,
    CONFIGURATION,
    await server.register({ run: speculative, directory: control(), readOnly: true }),
  );
  await reading.terraform(['init']).ended;
  expect(await reading.terraform(['plan', '-lock=false', '-detailed-exitcode']).ended).toMatchObject({ code: 0 });
  expect((await reading.terraform(['plan']).ended).code).toBe(1);
  expect((await reading.terraform(['apply', '-lock=false', '-auto-approve', '-var=x=1']).ended).code).toBe(1);
});

test('a second Terraform is told who has the lock', async () => {
  const server = await world.startServer();
  const run = await world.createRun();
  const place = workplace(world.directory, SLOW, await server.register({ run, directory: control(), readOnly: false }));
  await place.terraform(['init']).ended;
  const first = place.terraform(['apply', '-auto-approve']);
  const holder = await untilLocked(run.workspace_id);
  const second = await place.terraform(['plan']).ended;
  expect(second.code).toBe(1);
  expect(second.output).toContain(`HTTP remote state already locked:\nID=${holder}`);
  expect((await first.ended).code).toBe(0);
});

test('a Terraform whose run was taken away writes nothing any more', async () => {
  const server = await world.startServer();
  const run = await world.createRun();
  const place = workplace(world.directory, SLOW, await server.register({ run, directory: control(), readOnly: false }));
  await place.terraform(['init']).ended;
  const apply = place.terraform(['apply', '-auto-approve']);
  await untilLocked(run.workspace_id);
  await revoke(world.db, run);
  expect((await apply.ended).code).toBe(1);
  expect(await serialsOf(world.db, run)).toEqual([]);
});

test.each(['refuses', 'is silent'])(
  'a database that is away, and %s, in the middle of an apply is not noticed by it',
  async (how) => {
    const server = await world.startServer(world.remote);
    const run = await world.createRun();
    const place = workplace(
      world.directory,
      SLOW,
      await server.register({ run, directory: control(), readOnly: false }),
    );
    await place.terraform(['init']).ended;
    const apply = place.terraform(['apply', '-auto-approve']);
    await untilLocked(run.workspace_id);
    if (how === 'refuses') world.proxy.cut();
    else world.proxy.silence();
    await apply.prints('terraform_data.first (local-exec)');
    // On SIGINT Terraform hands in what it has, and then the end.
    apply.process.kill('SIGINT');
    const { code } = await apply.ended;
    expect(await serialsOf(world.db, run)).toEqual([]);
    world.proxy.restore();
    await server.drained(run.id);
    const serials = await serialsOf(world.db, run);
    expect(code).toBe(1);
    expect(serials.length).toBeGreaterThan(0);
    expect(serials).toEqual([...serials].sort((a, b) => a - b));
    await server.release(run.id);
  },
);

test('a database that comes back before the end of an apply has every version, in order', async () => {
  const server = await world.startServer(world.remote);
  const run = await world.createRun();
  const place = workplace(world.directory, SLOW, await server.register({ run, directory: control(), readOnly: false }));
  await place.terraform(['init']).ended;
  const apply = place.terraform(['apply', '-auto-approve']);
  await untilLocked(run.workspace_id);
  world.proxy.cut();
  setTimeout(() => world.proxy.restore(), 2_500);
  expect((await apply.ended).code).toBe(0);
  await server.drained(run.id);
  const shown = await place.terraform(['state', 'list']).ended;
  expect(shown.output.trim().split('\n')).toEqual(['terraform_data.first', 'terraform_data.second']);
  const serials = await serialsOf(world.db, run);
  expect(serials).toEqual([...serials].sort((a, b) => a - b));
});

test('a worker that restarts in the middle of an apply gets the rest of its state', async () => {
  const before = await world.startServer();
  const run = await world.createRun();
  const directory = control();
  const place = workplace(world.directory, SLOW, await before.register({ run, directory, readOnly: false }));
  await place.terraform(['init']).ended;
  const apply = place.terraform(['apply', '-auto-approve']);
  await untilLocked(run.workspace_id);
  await before.close();
  const ended = apply.ended;
  await Promise.race([ended, sleep(5_000)]);
  const after = await world.startServer();
  await after.adopt(
    await world.db.selectFrom('runs').selectAll().where('id', '=', run.id).executeTakeFirstOrThrow(),
    directory,
  );
  expect((await ended).code).toBe(0);
  await after.drained(run.id);
  expect((await place.terraform(['state', 'list']).ended).output).toContain('terraform_data.second');
});

test("the token is in no argument and in no file of the run's", async () => {
  const server = await world.startServer();
  const run = await world.createRun();
  const access = await server.register({ run, directory: control(), readOnly: false });
  const place = workplace(world.directory, CONFIGURATION, access);
  await place.terraform(['init']).ended;
  await place.terraform(['plan', '-out=plan']).ended;
  expect(() => execFileSync('grep', ['-rqF', access.password, world.directory])).toThrow();
});

/** Yields the lock's id. */
async function untilLocked(workspace: number): Promise<string> {
  for (;;) {
    const row = await world.db
      .selectFrom('workspaces')
      .select('state_lock')
      .where('id', '=', workspace)
      .executeTakeFirstOrThrow();
    if (row.state_lock) return row.state_lock.info.ID;
    await sleep(20);
  }
}
