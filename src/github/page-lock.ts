import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';
import { said } from '../runs/said.js';
import {
  holdStill,
  lockWorkspace,
  MAX_REASON_LENGTH,
  mayUnlock,
  type Person,
  unlockWorkspace,
} from '../workspaces/lock.js';
import { endHold } from './hold.js';

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

/** What somebody saw on the page on which they pressed Unlock: when the lock was made, or the pull request of the hold. */
export interface LockSeen {
  /** As ISO 8601, in ms. */
  lock?: string | undefined;
  hold?: string | undefined;
}

/** Ends the lock, or the hold for a pull request, that somebody saw, for whoever may do that: never one that came since. */
export async function unlockOnPage(tx: Tx, id: number, person: Person, seen: LockSeen): Promise<LockResult> {
  const present = await holdStill(tx, id);
  if (seen.hold !== undefined) return endHoldSeen(tx, present, seen.hold);
  if (present.locked_at === null) return { done: false, workspace: present, reason: "It isn't locked any more." };
  if (seen.lock !== undefined && seen.lock !== present.locked_at.toISOString()) {
    const reason = `Nothing was unlocked: ${holderOf(present)} has locked it since you opened the page. Look at that lock first.`;
    return { done: false, workspace: present, reason };
  }
  if (!mayUnlock(present, person)) {
    return {
      done: false,
      workspace: present,
      reason: `${holderOf(present)} has locked it: only ${present.locked_by === null ? '' : `${present.locked_by} and `}administrators of this repository can unlock it.`,
    };
  }
  return { done: true, workspace: (await unlockWorkspace(tx, id)) ?? present };
}

/** As by comment, whoever may write ends a hold. */
async function endHoldSeen(tx: Tx, present: Workspace, hold: string): Promise<LockResult> {
  if (String(present.held_pull_request) !== hold) {
    return { done: false, workspace: present, reason: `It isn't held for #${hold.slice(0, 20)} any more.` };
  }
  await endHold(tx, present);
  return { done: true, workspace: { ...present, held_pull_request: null, held_head_sha: null } };
}

function holderOf({ locked_by }: Workspace): string {
  return locked_by ?? 'Signalbox';
}
