import { mkdtempSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Run } from '../../src/db/schema.js';
import type { StateAccess, StateServer } from '../../src/state/state-server.js';
import { StateVersions } from '../../src/state/state-versions.js';
import { ask, lock } from './requests.js';
import { createStateWorld, encryption, endRun, revoke, type StateWorld, serialsOf, stateOf } from './support.js';

let world: StateWorld;
let server: StateServer;
beforeAll(async () => {
  world = await createStateWorld();
  server = await world.startServer();
});
afterAll(() => world.close());

const control = () => mkdtempSync(join(world.directory, 'control-'));

async function registered(
  options: Parameters<StateWorld['createRun']>[0] = {},
): Promise<{ run: Run; access: StateAccess; directory: string }> {
  const run = await world.createRun(options);
  const directory = control();
  return { run, directory, access: await server.register({ run, directory, readOnly: run.speculative }) };
}

test('a workspace without state has none; what is handed in is what is answered', async () => {
  const { access, run } = await registered();
  expect(await ask(access, 'GET')).toEqual({ status: 204, body: '' });
  expect((await ask(access, 'POST', { body: stateOf(1) })).status).toBe(200);
  expect(await ask(access, 'GET')).toEqual({ status: 200, body: stateOf(1).toString() });
  await server.drained(run.id);
  expect(await serialsOf(world.db, run)).toEqual([1]);
});

test('the next run of the workspace begins where the last one ended', async () => {
  const first = await registered();
  await ask(first.access, 'POST', { body: stateOf(1) });
  await endRun(world.db, first.run);
  await server.release(first.run.id);
  const second = await registered({ workspace: first.run.workspace_id });
  expect((await ask(second.access, 'GET')).body).toBe(stateOf(1).toString());
});

test('the same content twice is one version; a content that comes back in another run is two', async () => {
  const { access, run } = await registered();
  for (const serial of [1, 1, 2, 2, 1]) await ask(access, 'POST', { body: stateOf(serial) });
  expect(await serialsOf(world.db, run)).toEqual([1, 2]);
  await endRun(world.db, run);
  const next = await registered({ workspace: run.workspace_id });
  for (const serial of [2, 1]) await ask(next.access, 'POST', { body: stateOf(serial) });
  expect(await serialsOf(world.db, run)).toEqual([1, 2, 1]);
});

test('an attempt that arrives late changes nothing, even among others at the same time', async () => {
  const { run } = await registered();
  const { state_token_hash } = await world.db
    .selectFrom('runs')
    .select('state_token_hash')
    .where('id', '=', run.id)
    .executeTakeFirstOrThrow();
  const writer = { run: run.id, workspace: run.workspace_id, tokenHash: state_token_hash ?? '' };
  const versions = new StateVersions(world.db, encryption);
  const sealed = versions.seal(run.workspace_id, stateOf(1));
  await Promise.all(Array.from({ length: 8 }, () => versions.save(writer, sealed)));
  await versions.save(writer, versions.seal(run.workspace_id, stateOf(2)));
  await versions.save(writer, sealed);
  expect(await serialsOf(world.db, run)).toEqual([1, 2]);
});

test('neither the record nor the disk shows the state as text, or lets it be moved', async () => {
  const { access, run, directory } = await registered();
  await ask(access, 'POST', { body: stateOf(1, 'a very secret password') });
  const { state } = await world.db
    .selectFrom('state_versions')
    .select('state')
    .where('run_id', '=', run.id)
    .executeTakeFirstOrThrow();
  expect(state.includes('secret')).toBe(false);
  expect(encryption.open(`state/${run.workspace_id}`, state).toString()).toContain('a very secret password');
  expect(() => encryption.open(`state/${run.workspace_id + 1}`, state)).toThrow("can't be opened");
  expect(readdirSync(join(directory, 'state'))).toEqual([]);
});

test('the record keeps no token', async () => {
  const { access, run } = await registered();
  const row = await world.db.selectFrom('runs').selectAll().where('id', '=', run.id).executeTakeFirstOrThrow();
  expect(JSON.stringify(row)).not.toContain(access.password);
  expect(row).toMatchObject({ state_port: access.port, state_token_hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
});

describe('who may not', () => {
  test.each([
    ['a wrong password', (access: StateAccess) => ({ ...access, password: 'wrong' })],
    ['no password', (access: StateAccess) => ({ ...access, password: '' })],
    ['another user', (access: StateAccess) => ({ ...access, username: 'run-x' })],
  ])('%s is 401', async (_, change) => {
    const { access, run } = await registered();
    for (const method of ['GET', 'POST', 'LOCK', 'UNLOCK']) {
      expect((await ask(change(access), method, { body: stateOf(1) })).status).toBe(401);
    }
    expect(await serialsOf(world.db, run)).toEqual([]);
  });

  test("another run's address is 401", async () => {
    const [one, other] = [await registered(), await registered()];
    expect((await ask({ ...one.access, address: other.access.address }, 'GET')).status).toBe(401);
    expect(
      (await ask({ ...one.access, address: other.access.address, username: other.access.username }, 'GET')).status,
    ).toBe(401);
  });

  test('a revoked run gets 403 for everything, and nothing of it is stored', async () => {
    const { access, run } = await registered();
    await ask(access, 'POST', { body: stateOf(1) });
    await revoke(world.db, run);
    expect((await ask(access, 'POST', { body: stateOf(2) })).status).toBe(403);
    expect((await ask(access, 'POST', { body: stateOf(3) })).status).toBe(403);
    expect((await ask(access, 'GET')).status).toBe(403);
    expect((await ask(access, 'LOCK', { body: lock('a') })).status).toBe(403);
    expect(await serialsOf(world.db, run)).toEqual([1]);
    await expect(server.drained(run.id)).rejects.toMatchObject({ name: 'StateRevoked' });
  });

  test('whoever revokes in the middle of a write waits for it, or it is refused', async () => {
    for (let round = 0; round < 20; round++) {
      const { access, run } = await registered();
      const [answer] = await Promise.all([ask(access, 'POST', { body: stateOf(1) }), revoke(world.db, run)]);
      const before = await serialsOf(world.db, run);
      expect(before).toEqual(answer.status === 200 ? [1] : []);
    }
  });

  test('credentials of an earlier attempt end with the next one', async () => {
    const { access, run, directory } = await registered();
    await server.register({ run, directory, readOnly: false });
    expect((await ask(access, 'GET')).status).toBe(401);
  });

  test('a worker that lost the run gets no credentials for it', async () => {
    const { run, directory } = await registered();
    await world.db.updateTable('runs').set({ worker: 'w2', attempt: 2 }).where('id', '=', run.id).execute();
    await expect(server.register({ run, directory, readOnly: false })).rejects.toMatchObject({ name: 'StateRevoked' });
  });

  test('a speculative run reads, and neither writes nor locks', async () => {
    const first = await registered();
    await ask(first.access, 'POST', { body: stateOf(1) });
    const { access } = await registered({ workspace: first.run.workspace_id, speculative: true });
    expect((await ask(access, 'GET')).body).toBe(stateOf(1).toString());
    expect((await ask(access, 'POST', { body: stateOf(2) })).status).toBe(403);
    expect((await ask(access, 'LOCK', { body: lock('a') })).status).toBe(403);
    expect((await ask(access, 'UNLOCK', { body: lock('a') })).status).toBe(403);
  });

  test('what is no state, was changed on the way, or is too large is refused', async () => {
    const { access, run } = await registered();
    expect((await ask(access, 'POST', { body: 'not JSON' })).status).toBe(400);
    expect((await ask(access, 'POST', { body: '{"version":3}' })).status).toBe(400);
    expect((await ask(access, 'POST', { body: stateOf(1), headers: { 'content-md5': 'AAAA' } })).status).toBe(400);
    const large = { 'content-length': String(300 * 1024 * 1024) };
    await ask(access, 'POST', { body: 'x', headers: large }).then(
      ({ status }) => expect(status).toBe(413),
      (error) => expect(error.code).toMatch(/ECONNRESET|EPIPE/),
    );
    expect((await ask(access, 'DELETE')).status).toBe(405);
    expect((await ask({ ...access, address: `http://127.0.0.1:${access.port}/` }, 'GET')).status).toBe(404);
    expect(await serialsOf(world.db, run)).toEqual([]);
  });
});

describe('the lock', () => {
  test('is had by one, who is named to the other', async () => {
    const { access, run } = await registered();
    expect((await ask(access, 'LOCK', { body: lock('a') })).status).toBe(200);
    expect((await ask(access, 'LOCK', { body: lock('a') })).status).toBe(200);
    const refused = await ask(access, 'LOCK', { body: lock('b') });
    expect(refused.status).toBe(423);
    expect(JSON.parse(refused.body)).toMatchObject({ ID: 'a', Who: 'root@host' });
    expect((await ask(access, 'POST', { body: stateOf(1), query: '?ID=b' })).status).toBe(409);
    expect((await ask(access, 'UNLOCK', { body: lock('b') })).status).toBe(423);
    expect((await ask(access, 'POST', { body: stateOf(1), query: '?ID=a' })).status).toBe(200);
    expect((await ask(access, 'UNLOCK', { body: lock('a') })).status).toBe(200);
    expect(await lockOf(run)).toBeNull();
    expect((await ask(access, 'LOCK', { body: lock('b') })).status).toBe(200);
    expect(await lockOf(run)).toMatchObject({ run: run.id, info: { ID: 'b' } });
  });

  test('of another run that still lives is in the way; of one that has ended or was revoked it is free', async () => {
    const first = await registered();
    await ask(first.access, 'LOCK', { body: lock('a') });
    await world.db.updateTable('runs').set({ state: 'pending', worker: null }).where('id', '=', first.run.id).execute();
    const second = await registered({ workspace: first.run.workspace_id });
    const refused = await ask(second.access, 'LOCK', { body: lock('b') });
    expect(refused).toMatchObject({ status: 423, body: expect.stringContaining('"ID":"a"') });
    await revoke(world.db, first.run);
    expect((await ask(second.access, 'LOCK', { body: lock('b') })).status).toBe(200);
    await endRun(world.db, second.run);
    const third = await registered({ workspace: first.run.workspace_id });
    expect((await ask(third.access, 'LOCK', { body: lock('c') })).status).toBe(200);
  });

  test('that a killed Terraform of the run has left is gone with the next attempt', async () => {
    const { access, run, directory } = await registered();
    await ask(access, 'LOCK', { body: lock('a') });
    const next = await server.register({ run, directory, readOnly: false });
    expect((await ask(next, 'LOCK', { body: lock('b') })).status).toBe(200);
  });

  async function lockOf(run: Run) {
    const row = await world.db
      .selectFrom('workspaces')
      .select('state_lock')
      .where('id', '=', run.workspace_id)
      .executeTakeFirstOrThrow();
    return row.state_lock;
  }
});

test("what Terraform could not hand in is taken in from the worker's hand", async () => {
  const { run } = await registered();
  await server.write(run.id, stateOf(5));
  await server.drained(run.id);
  expect(await serialsOf(world.db, run)).toEqual([5]);
  await expect(server.write(run.id, Buffer.from('{}'))).rejects.toMatchObject({ name: 'StateFileError' });
});
