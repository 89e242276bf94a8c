import { sql } from 'kysely';
import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { enqueueNextRun } from '../runs/next.js';
import type { Access } from '../signin/access.js';

/** The longest reason for a lock, in characters. */
export const MAX_REASON_LENGTH = 300;

/** Who keeps a workspace's runs from starting, and why. */
export interface WorkspaceLock {
  /** GitHub login; null: Signalbox itself. */
  by: string | null;
  reason: string | null;
  /** The run because of which Signalbox locked it. */
  run?: string;
}

/**
 * Locks a workspace: from now on its pending runs stay pending. A run that holds it goes on to its end, and speculative
 * plans go on. Yields the workspace as it is then, or undefined when it is locked already: that lock stays.
 */
export async function lockWorkspace(tx: Tx, workspace: number, lock: WorkspaceLock): Promise<Workspace | undefined> {
  const locked = await tx
    .updateTable('workspaces')
    .set({ locked_at: sql`now()`, locked_by: lock.by, lock_reason: lock.reason, lock_run: lock.run ?? null })
    .where('id', '=', workspace)
    .where('locked_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
  if (locked) await tellConcerned(tx, locked);
  return locked;
}

/**
 * Signalbox's own lock, for a danger that an earlier lock doesn't know of: it takes that one's place, so that ending the
 * one doesn't end the other.
 */
export async function lockForDanger(tx: Tx, workspace: number, lock: { reason: string; run: string }): Promise<void> {
  if (await lockWorkspace(tx, workspace, { by: null, ...lock })) return;
  const locked = await tx
    .updateTable('workspaces')
    .set({
      locked_at: sql`now()`,
      locked_by: null,
      lock_run: lock.run,
      lock_reason: sql`${lock.reason} || coalesce(' Before that it was locked by ' || locked_by
        || coalesce(' (' || lock_reason || ')', '') || '.', '')`,
    })
    .where('id', '=', workspace)
    .returningAll()
    .executeTakeFirstOrThrow();
  await tellConcerned(tx, locked);
}

/** Somebody, with what GitHub says that they may do with the workspace's repository. */
export interface Person {
  /** GitHub login. */
  login: string;
  access: Access | undefined;
}

/** Whether somebody may end the lock that a workspace has: their own, and as an administrator everybody's and Signalbox's. */
export function mayUnlock({ locked_by }: Pick<Workspace, 'locked_by'>, { login, access }: Person): boolean {
  return access === 'admin' || (access === 'write' && locked_by === login);
}

/** Ends whatever lock a workspace has: its next run may start. Yields undefined when it isn't locked. */
export async function unlockWorkspace(tx: Tx, workspace: number): Promise<Workspace | undefined> {
  const unlocked = await tx
    .updateTable('workspaces')
    .set({ locked_at: null, locked_by: null, lock_reason: null, lock_run: null })
    .where('id', '=', workspace)
    .where('locked_at', 'is not', null)
    .returningAll()
    .executeTakeFirst();
  if (!unlocked) return undefined;
  await enqueueNextRun(tx, workspace);
  await tellConcerned(tx, unlocked);
  return unlocked;
}

/** The workspace as it is now, and as it stays until the transaction ends. */
export async function holdStill(tx: Tx, workspace: number): Promise<Workspace> {
  return tx.selectFrom('workspaces').selectAll().where('id', '=', workspace).forNoKeyUpdate().executeTakeFirstOrThrow();
}

const RUNS_TOLD = 20;
const PULL_REQUESTS_TOLD = 20;

/**
 * What waits for the workspace shows who holds it up: the check runs of its first pending runs, and the comments on the
 * newest pull requests that affect it. Those beyond show it when they move up, or are next reported.
 */
export async function tellConcerned(tx: Tx, { id, repository_id }: Workspace): Promise<void> {
  const runs = await tx
    .selectFrom('runs')
    .select('id')
    .where('workspace_id', '=', id)
    .where('state', '=', 'pending')
    .where('speculative', '=', false)
    .orderBy('sequence')
    .limit(RUNS_TOLD)
    .execute();
  const pullRequests = await tx
    .selectFrom('pull_requests')
    .select('number')
    .where('repository_id', '=', repository_id)
    .where('state', '=', 'open')
    .where('comment_id', 'is not', null)
    .where(sql<boolean>`${id} = any(affected)`)
    .orderBy('number', 'desc')
    .limit(PULL_REQUESTS_TOLD)
    .execute();
  await enqueue(
    tx,
    ...runs.map((run) => ({ kind: 'run_report' as const, run: run.id })),
    ...pullRequests.map(({ number }) => ({ kind: 'pull_request_report' as const, repository: repository_id, number })),
  );
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
