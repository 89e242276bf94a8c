import { sql } from 'kysely';
import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';

/** Who keeps a workspace's runs from starting, and why. */
export interface WorkspaceLock {
  /** GitHub login; null: Signalbox itself. */
  by: string | null;
  reason: string;
  /** The run because of which Signalbox locked it. */
  run?: string;
}

/**
 * Locks a workspace: from now on its pending runs stay pending. A run that holds it goes on to its end, and speculative
 * plans go on. Yields the workspace as it is then, or undefined when it is locked already: that lock stays.
 */
export async function lockWorkspace(tx: Tx, workspace: number, lock: WorkspaceLock): Promise<Workspace | undefined> {
  return tx
    .updateTable('workspaces')
    .set({ locked_at: sql`now()`, locked_by: lock.by, lock_reason: lock.reason, lock_run: lock.run ?? null })
    .where('id', '=', workspace)
    .where('locked_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
}

/** Adds a sentence to the reason of a lock that Signalbox made because of a run, if that still holds. */
export async function addToLockReason(tx: Tx, workspace: number, run: string, sentence: string): Promise<void> {
  await tx
    .updateTable('workspaces')
    .set({ lock_reason: sql`lock_reason || ' ' || ${sentence}` })
    .where('id', '=', workspace)
    .where('lock_run', '=', run)
    .execute();
}
