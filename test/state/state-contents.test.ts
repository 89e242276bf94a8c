import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { listStateVersions, stateContents } from '../../src/state/state-contents.js';
import { StateVersions } from '../../src/state/state-versions.js';
import { readStateContents, StateFileError } from '../../src/terraform/state-file.js';
import { SealBroken } from '../../src/variables/encryption.js';
import { RunsWorld } from '../runs/world.js';
import { encryption } from './support.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const STATE = {
  version: 4,
  terraform_version: '1.11.4',
  serial: 3,
  lineage: 'l',
  outputs: {
    password: { value: 'hunter2', type: 'string', sensitive: true },
    hosts: { value: ['secret-host'], type: ['list', 'string'] },
    odd: { value: 1 },
  },
  resources: [
    { mode: 'managed', type: 'b', name: 'many', instances: [{ index_key: 0, attributes: { p: 'hunter2' } }, {}] },
    { mode: 'managed', module: 'module.m["x"]', type: 'a', name: 'one', instances: [{}] },
    { mode: 'data', type: 'c', name: 'read', instances: [{}] },
  ],
};

async function stored(serials: number[]): Promise<{ workspace: number; run: string }> {
  const run = await world.in('applying');
  const versions = new StateVersions(world.db, encryption);
  for (const serial of serials) {
    const state = versions.seal(run.workspace_id, Buffer.from(JSON.stringify({ ...STATE, serial })));
    const row = { workspace_id: run.workspace_id, run_id: run.id, serial, lineage: 'l', md5: String(serial) };
    await world.db
      .insertInto('state_versions')
      .values({ ...row, resources: 3, state })
      .execute();
  }
  return { workspace: run.workspace_id, run: run.id };
}

test('a state version tells what it holds, and none of its values', async () => {
  const { workspace } = await stored([1]);
  const { rows } = await listStateVersions(world.db, { workspace });
  const contents = await stateContents(world.db, encryption, workspace, rows[0]?.id ?? 0);
  expect(contents).toEqual({
    terraformVersion: '1.11.4',
    resources: [
      { address: 'b.many', type: 'b', mode: 'managed', instances: 2 },
      { address: 'data.c.read', type: 'c', mode: 'data', instances: 1 },
      { address: 'module.m["x"].a.one', type: 'a', mode: 'managed', instances: 1 },
    ],
    outputs: [
      { name: 'hosts', type: 'list', sensitive: false },
      { name: 'odd', type: 'dynamic', sensitive: false },
      { name: 'password', type: 'string', sensitive: true },
    ],
  });
  expect(JSON.stringify(contents)).not.toMatch(/hunter2|secret-host/);
});

test('state versions are listed the newest first, page by page', async () => {
  const serials = Array.from({ length: 45 }, (_, index) => index + 1);
  const { workspace, run } = await stored(serials);
  const first = await listStateVersions(world.db, { workspace });
  expect(first.rows.map(({ serial }) => serial)).toEqual(serials.slice(-20).reverse());
  expect(first.rows[0]).toEqual({
    id: expect.any(Number),
    serial: 45,
    lineage: 'l',
    resources: 3,
    created_at: expect.any(Date),
    run_id: run,
  });
  const second = await listStateVersions(world.db, { workspace, before: first.older });
  expect(second.rows[0]?.serial).toBe(25);
  expect(await listStateVersions(world.db, { workspace, after: second.newer })).toEqual(first);
});

test('one of another workspace, or of none, is not to be had', async () => {
  const { workspace } = await stored([1]);
  const other = await stored([1]);
  const { rows } = await listStateVersions(world.db, { workspace: other.workspace });
  for (const id of [rows[0]?.id ?? 0, 0, -1, 1.5, Number.NaN, Number.MAX_SAFE_INTEGER]) {
    expect(await stateContents(world.db, encryption, workspace, id)).toBeUndefined();
  }
});

test('a state that was sealed for another workspace is not opened', async () => {
  const { workspace } = await stored([1]);
  const other = await stored([2]);
  await world.db
    .updateTable('state_versions')
    .set({ workspace_id: workspace })
    .where('workspace_id', '=', other.workspace)
    .execute();
  const { rows } = await listStateVersions(world.db, { workspace });
  await expect(stateContents(world.db, encryption, workspace, rows[0]?.id ?? 0)).rejects.toThrow(SealBroken);
});

test('what Terraform can not have written is refused by its name', () => {
  expect(readStateContents('{"version":4,"serial":1,"lineage":"l","outputs":null}')).toMatchObject({ outputs: [] });
  const wrong = [{ mode: 'x', type: 'a', name: 'b' }, { mode: 'managed' }, 1];
  for (const resource of wrong) {
    const state = JSON.stringify({ version: 4, serial: 1, lineage: 'l', resources: [resource] });
    expect(() => readStateContents(state)).toThrow(StateFileError);
  }
});
