import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../../src/db/schema.js';
import { SmallDisk, smallDiskAvailable } from '../support/small-disk.js';
import { ask, lock } from './requests.js';
import { createStateWorld, revoke, type StateWorld, serialsOf, stateOf } from './support.js';

/** A connection that was kept open is reset; a new one is refused. */
const GONE = expect.stringMatching(/ECONNREFUSED|ECONNRESET/);

let world: StateWorld;
beforeAll(async () => {
  world = await createStateWorld();
});
afterAll(() => world.close());

const control = () => mkdtempSync(join(world.directory, 'control-'));

describe('after a restart', () => {
  test('the same port answers to the same credentials, with what was handed in before', async () => {
    const before = await world.startServer();
    const [run, other] = [await world.createRun(), await world.createRun()];
    const [directory, otherDirectory] = [control(), control()];
    const access = await before.register({ run, directory, readOnly: false });
    const otherAccess = await before.register({ run: other, directory: otherDirectory, readOnly: false });
    await ask(access, 'LOCK', { body: lock('a') });
    await ask(access, 'POST', { body: stateOf(1), query: '?ID=a' });
    await before.close();
    await expect(ask(access, 'GET')).rejects.toMatchObject({ code: GONE });

    const after = await world.startServer();
    await after.adopt(await reread(run), directory);
    expect((await ask(access, 'GET')).body).toBe(stateOf(1).toString());
    // Terraform tries again after 503: this one isn't adopted yet.
    expect((await ask(otherAccess, 'GET')).status).toBe(503);
    await after.adopt(await reread(other), otherDirectory);
    expect((await ask(otherAccess, 'GET')).status).toBe(204);
    expect((await ask(access, 'POST', { body: stateOf(2), query: '?ID=a' })).status).toBe(200);
    expect((await ask(access, 'UNLOCK', { body: lock('a') })).status).toBe(200);
    await after.release(run.id);
    expect((await ask(otherAccess, 'GET')).status).toBe(204);
    await after.release(other.id);
    await expect(ask(access, 'GET')).rejects.toMatchObject({ code: GONE });
    expect(await serialsOf(world.db, run)).toEqual([1, 2]);
  });

  test('snapshots that the record did not have yet go there, in order', async () => {
    const remote = await world.startServer(world.remote);
    const run = await world.createRun();
    const directory = control();
    const access = await remote.register({ run, directory, readOnly: false });
    world.proxy.cut();
    for (const serial of [1, 2, 3]) expect((await ask(access, 'POST', { body: stateOf(serial) })).status).toBe(200);
    expect(await serialsOf(world.db, run)).toEqual([]);
    const left = readdirSync(join(directory, 'state'));
    expect(left).toHaveLength(3);
    expect(readFileSync(join(directory, 'state', left[0] ?? '')).includes('value')).toBe(false);
    await remote.close();
    world.proxy.restore();

    const after = await world.startServer();
    await after.adopt(await reread(run), directory);
    await after.drained(run.id);
    expect(await serialsOf(world.db, run)).toEqual([1, 2, 3]);
    expect(readdirSync(join(directory, 'state'))).toEqual([]);
  });

  async function reread(run: Run): Promise<Run> {
    return world.db.selectFrom('runs').selectAll().where('id', '=', run.id).executeTakeFirstOrThrow();
  }
});

describe('while the database is away', () => {
  test.each(['refuses', 'is silent'])('and %s, everything goes on for a run that is here', async (how) => {
    const remote = await world.startServer(world.remote);
    const run = await world.createRun();
    const access = await remote.register({ run, directory: control(), readOnly: false });
    if (how === 'refuses') world.proxy.cut();
    else world.proxy.silence();
    try {
      expect((await ask(access, 'LOCK', { body: lock('a') })).status).toBe(200);
      expect((await ask(access, 'GET')).status).toBe(204);
      for (const serial of [1, 2]) {
        expect((await ask(access, 'POST', { body: stateOf(serial), query: '?ID=a' })).status).toBe(200);
      }
      expect((await ask(access, 'GET')).body).toBe(stateOf(2).toString());
      await expect(remote.drained(run.id, AbortSignal.timeout(200))).rejects.toMatchObject({ name: 'TimeoutError' });
      expect((await ask(access, 'UNLOCK', { body: lock('a') })).status).toBe(200);
    } finally {
      world.proxy.restore();
    }
    await remote.drained(run.id);
    expect(await serialsOf(world.db, run)).toEqual([1, 2]);
    await remote.release(run.id);
  });

  test('a run that was never told its state is asked to wait', async () => {
    const remote = await world.startServer(world.remote);
    const run = await world.createRun();
    const directory = control();
    const access = await remote.register({ run, directory, readOnly: false });
    const row = await world.db.selectFrom('runs').selectAll().where('id', '=', run.id).executeTakeFirstOrThrow();
    await remote.close();
    const after = await world.startServer(world.remote);
    await after.adopt(row, directory);
    world.proxy.cut();
    const { status } = await ask(access, 'GET');
    world.proxy.restore();
    expect(status).toBeGreaterThanOrEqual(500);
    expect((await ask(access, 'GET')).status).toBe(204);
  });
});

(smallDiskAvailable ? describe : describe.skip)("while the worker's disk is full", () => {
  let disk: SmallDisk;
  beforeEach(() => {
    disk = SmallDisk.mount();
  });
  afterEach(() => disk.unmount());
  // More than what is left of a page that is half in use.
  const large = (serial: number) => stateOf(serial, `${serial}`.repeat(10_000));

  test('a state is acknowledged when the record has it, and only then', async () => {
    const remote = await world.startServer(world.remote);
    const run = await world.createRun();
    const access = await remote.register({ run, directory: disk.directory, readOnly: false });
    disk.fill();
    const post = async (serial: number) => (await ask(access, 'POST', { body: large(serial) })).status;
    expect([await post(1), await post(2)]).toEqual([200, 200]);
    expect(await serialsOf(world.db, run)).toEqual([1, 2]);

    world.proxy.cut();
    expect(await post(3)).toBe(507);
    world.proxy.restore();
    await remote.drained(run.id);
    // As Terraform does after 5xx.
    expect(await post(3)).toBe(200);
    expect((await ask(access, 'GET')).body).toBe(large(3).toString());
    expect(await serialsOf(world.db, run)).toEqual([1, 2, 3]);
  });

  test('revoked credentials are still refused', async () => {
    const server = await world.startServer();
    const run = await world.createRun();
    const access = await server.register({ run, directory: disk.directory, readOnly: false });
    disk.fill();
    await revoke(world.db, run);
    expect((await ask(access, 'POST', { body: large(1) })).status).toBe(403);
    expect(await serialsOf(world.db, run)).toEqual([]);
  });
});
