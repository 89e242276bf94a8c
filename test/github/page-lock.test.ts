import { afterAll, beforeAll, expect, test } from '@jest/globals';
import type { Workspace } from '../../src/db/schema.js';
import { type LockSeen, lockOnPage, unlockOnPage } from '../../src/github/page-lock.js';
import { SaidTooMuch } from '../../src/runs/said.js';
import type { Access } from '../../src/signin/access.js';
import { lockForDanger, mayUnlock } from '../../src/workspaces/lock.js';
import { RunsWorld } from '../runs/world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const lock = ({ id }: Workspace, by = 'alice', reason = '') =>
  world.inTransaction((tx) => lockOnPage(tx, id, by, reason));
const unlock = ({ id }: Workspace, login: string, access: Access | undefined, seen: LockSeen = {}) =>
  world.inTransaction((tx) => unlockOnPage(tx, id, { login, access }, seen));

test('a workspace is locked with a reason, or without one', async () => {
  const workspace = await world.workspace();
  expect(await lock(workspace, 'alice', ' until\r\nMonday\x1b ')).toMatchObject({
    done: true,
    workspace: { locked_by: 'alice', lock_reason: 'until Monday' },
  });
  const other = await world.workspace();
  expect(await lock(other)).toMatchObject({ done: true, workspace: { lock_reason: null } });
  await expect(lock(await world.workspace(), 'alice', 'x'.repeat(301))).rejects.toThrow(SaidTooMuch);
});

test('of two who lock it at once one does, and the other is told who', async () => {
  for (let round = 0; round < 20; round++) {
    const workspace = await world.workspace();
    const results = await Promise.all([lock(workspace, 'alice'), lock(workspace, 'bob')]);
    const [winner] = results.filter(({ done }) => done);
    const by = winner?.workspace.locked_by;
    expect(results.filter(({ done }) => !done)).toMatchObject([
      { workspace: { locked_by: by }, reason: `${by} has locked it already.` },
    ]);
  }
});

test('whoever locked it unlocks it, and administrators do; nobody else', async () => {
  const workspace = await world.workspace();
  await lock(workspace, 'alice');
  expect(await unlock(workspace, 'bob', 'write')).toMatchObject({
    done: false,
    workspace: { locked_by: 'alice' },
    reason: 'alice has locked it: only alice and administrators of this repository can unlock it.',
  });
  // Write was taken away since.
  expect(await unlock(workspace, 'alice', 'read')).toMatchObject({ done: false });
  expect(await unlock(workspace, 'alice', 'write')).toMatchObject({ done: true, workspace: { locked_at: null } });
  expect(await unlock(workspace, 'alice', 'write')).toMatchObject({ done: false, reason: "It isn't locked any more." });
  await lock(workspace, 'alice');
  expect(await unlock(workspace, 'root', 'admin')).toMatchObject({ done: true });
});

test('a lock of Signalbox’s own is for administrators', async () => {
  const run = await world.in('applying');
  const workspace = { ...(await world.workspace()), id: run.workspace_id };
  await world.inTransaction((tx) => lockForDanger(tx, workspace.id, { reason: 'State may be missing.', run: run.id }));
  expect(await unlock(workspace, 'alice', 'write')).toMatchObject({
    reason: 'Signalbox has locked it: only administrators of this repository can unlock it.',
  });
  expect(mayUnlock({ locked_by: null }, { login: 'null', access: 'write' })).toBe(false);
  expect(await unlock(workspace, 'root', 'admin')).toMatchObject({ done: true });
});

test('a lock that came after the page was opened is not ended from there', async () => {
  const run = await world.in('applying');
  const workspace = { ...(await world.workspace()), id: run.workspace_id };
  const seen = { lock: (await lock(workspace, 'alice')).workspace.locked_at?.toISOString() };
  await world.inTransaction((tx) => lockForDanger(tx, workspace.id, { reason: 'State may be missing.', run: run.id }));
  expect(await unlock(workspace, 'root', 'admin', seen)).toMatchObject({
    done: false,
    reason: 'Nothing was unlocked: Signalbox has locked it since you opened the page. Look at that lock first.',
  });
  const { locked_at } = await world.db
    .selectFrom('workspaces')
    .select('locked_at')
    .where('id', '=', workspace.id)
    .executeTakeFirstOrThrow();
  expect(await unlock(workspace, 'root', 'admin', { lock: locked_at?.toISOString() })).toMatchObject({ done: true });
});

test('whoever may write ends a hold, the one that they saw and no lock', async () => {
  const workspace = await world.workspace();
  const columns = { held_pull_request: 12, held_head_sha: 'a'.repeat(40) };
  await world.db.updateTable('workspaces').set(columns).where('id', '=', workspace.id).execute();
  expect(await unlock(workspace, 'alice', 'write')).toMatchObject({ done: false, reason: "It isn't locked any more." });
  const run = await world.push(workspace);
  await world.db.updateTable('runs').set({ auto_apply: true }).where('id', '=', run.id).execute();
  expect(await unlock(workspace, 'bob', 'write', { hold: '11' })).toMatchObject({
    done: false,
    reason: "It isn't held for #11 any more.",
  });
  expect(await unlock(workspace, 'bob', 'write', { hold: '12' })).toMatchObject({
    done: true,
    workspace: { held_pull_request: null },
  });
  const after = await world.db.selectFrom('runs').selectAll().where('id', '=', run.id).executeTakeFirstOrThrow();
  expect(after.auto_apply).toBe(false);
});

test('a workspace that was removed is not locked any more', async () => {
  const workspace = await world.workspace();
  await world.db.updateTable('workspaces').set({ removed_at: new Date() }).where('id', '=', workspace.id).execute();
  expect(await lock(workspace)).toMatchObject({
    done: false,
    reason: `There is no workspace ${workspace.name} any more.`,
  });
});
