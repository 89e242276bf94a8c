import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';
import { said } from '../runs/said.js';
import { holdStill, lockWorkspace, mayUnlock, type Person, unlockWorkspace } from './lock.js';

/** In characters. */
export const MAX_REASON_LENGTH = 300;

/** What became of a lock, with the workspace as it is now. `reason`: a sentence. */
export type LockResult = { done: true; workspace: Workspace } | { done: false; workspace: Workspace; reason: string };

/** Locks a workspace for somebody who may write, unless it is locked. `reason` may be empty. Throws SaidTooMuch. */
export async function lockOnPage(tx: Tx, id: number, by: string, reason: string): Promise<LockResult> {
  const why = said(reason, MAX_REASON_LENGTH).replaceAll('\n', ' ');
  const present = await holdStill(tx, id);
  if (present.removed_at !== null) {
    return { done: false, workspace: present, reason: `There is no workspace ${present.name} any more.` };
  }
  const workspace = await lockWorkspace(tx, id, { by, reason: why === '' ? null : why });
  if (workspace) return { done: true, workspace };
  return { done: false, workspace: present, reason: `${holderOf(present)} has locked it already.` };
}

/** Ends a workspace's lock for whoever may do that. */
export async function unlockOnPage(tx: Tx, id: number, person: Person): Promise<LockResult> {
  const present = await holdStill(tx, id);
  if (present.locked_at === null) return { done: false, workspace: present, reason: "It isn't locked any more." };
  if (!mayUnlock(present, person)) {
    return {
      done: false,
      workspace: present,
      reason: `${holderOf(present)} has locked it: only ${present.locked_by === null ? '' : `${present.locked_by} and `}administrators of this repository can unlock it.`,
    };
  }
  return { done: true, workspace: (await unlockWorkspace(tx, id)) ?? present };
}

function holderOf({ locked_by }: Workspace): string {
  return locked_by ?? 'Signalbox';
}
