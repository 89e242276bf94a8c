import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Run, Workspace } from '../db/schema.js';
import { isHolding, type RunState } from './machine.js';
import { type Pace, paceOf, timeSpentOn } from './pace.js';

/** Why a pending run doesn't start yet. */
export interface QueueExplanation {
  /** Pending runs of the workspace that are to start before this one. */
  ahead: number;
  /** The run that holds the workspace, or else the pending one that is to start first. */
  waitsFor?: WaitedFor;
  /** Applied, not merged yet: only its own runs and those that contain it may go on. */
  heldFor?: { pullRequest: number };
  lock?: Lock;
  outlook?: Outlook;
}

export interface WaitedFor {
  run: string;
  state: RunState;
  since: Date;
  githubId: number | undefined;
  /** Who caused it, as GitHub's login. */
  actor: string;
  /** Where comments reach it. */
  pullRequest: number | undefined;
}

/** Who keeps the workspace's runs from starting. */
export interface Lock {
  /** Null: Signalbox itself. */
  by: string | null;
  at: Date;
  reason: string | null;
  /** The run because of which Signalbox locked it. */
  run: string | null;
}

/** When it may start, by how long runs of the workspace took until now. People can't be foretold. */
export type Outlook = Pace & ({ startsAt: Date } | { because: 'overdue' | 'people' });

/** What a pending run waits for. Neither a run, a pull request nor a lock: a worker with a free slot. */
export async function explainQueue(db: Db, run: Run): Promise<QueueExplanation> {
  if (run.speculative) return { ahead: 0 };
  const workspace = await db
    .selectFrom('workspaces')
    .selectAll()
    .where('id', '=', run.workspace_id)
    .executeTakeFirstOrThrow();
  const held = workspace.held_pull_request;
  const needsHoldToEnd = held !== null && held !== run.pull_request && !run.clears_hold;
  const first = await firstBefore(db, run, held, needsHoldToEnd);
  const ahead = first?.ahead ?? 0;
  const waitsFor = first?.goes ? first : undefined;
  const lock = lockOf(workspace);
  const foreseeable = lock === undefined && !needsHoldToEnd && waitsFor !== undefined;
  const outlook = foreseeable ? await outlookOf(db, run.workspace_id, waitsFor) : undefined;
  return {
    ahead,
    ...(waitsFor && {
      waitsFor: {
        run: waitsFor.id,
        state: waitsFor.state,
        since: waitsFor.since,
        githubId: waitsFor.github_id ?? undefined,
        actor: waitsFor.actor,
        pullRequest: waitsFor.pull_request ?? undefined,
      },
    }),
    ...(needsHoldToEnd && { heldFor: { pullRequest: held } }),
    ...(lock && { lock }),
    ...(outlook && { outlook }),
  };
}

export function lockOf({ locked_at: at, locked_by: by, lock_reason: reason, lock_run: run }: Workspace) {
  return at === null ? undefined : ({ by, at, reason, run } satisfies Lock);
}

interface FirstBefore {
  id: string;
  state: RunState;
  since: Date;
  github_id: number | null;
  actor: string;
  pull_request: number | null;
  /** It holds the workspace, or needn't wait for the pull request that the workspace is held for. */
  goes: boolean;
  /** How many of those before are pending. */
  ahead: number;
  /** One of those before will ask a person, if its plan has changes. */
  asks: boolean;
}

/** The first of the runs that come before a pending one. */
async function firstBefore(
  db: Db,
  run: Run,
  held: number | null,
  needsHoldToEnd: boolean,
): Promise<FirstBefore | undefined> {
  const goes = sql<boolean>`(other.state <> 'pending' or ${held}::integer is null or other.clears_hold
    or coalesce(other.pull_request = ${held}::integer, false))`;
  const isOlder = sql<boolean>`other.sequence < ${run.sequence}`;
  const comesBefore = needsHoldToEnd ? sql`(${goes} or ${isOlder})` : sql`(${goes} and ${isOlder})`;
  const { rows } = await sql<FirstBefore>`
    with before as (
      select other.*, ${goes} goes, count(*) filter (where other.state = 'pending') over () ahead,
        bool_or(other.state in ('pending', 'planning', 'needs_confirmation') and not other.auto_apply
          and (other.approved_by is null or other.state = 'needs_confirmation')) over () asks
      from runs other
      where other.workspace_id = ${run.workspace_id} and not other.speculative and other.id <> ${run.id}
        and (other.state in ('planning', 'needs_confirmation', 'confirmed', 'applying')
          or (other.state = 'pending' and ${comesBefore}))
      order by other.state = 'pending', not ${goes}, other.sequence limit 1
    )
    select before.id, before.state, coalesce(event.at, before.created_at) since, shown.github_id, before.actor,
      coalesce(before.pull_request, merged.number) pull_request, before.goes, before.ahead::integer, before.asks
    from before
      left join lateral (select at from run_events where run_id = before.id and state = before.state
        and type not in ('refused', 'cancel_requested', 'force_cancel_requested', 'waiting', 'waiting_ended', 'handed_in',
          'comment')
        order by id desc limit 1) event on true
      left join lateral (select github_id from check_runs where run_id = before.id order by id desc limit 1) shown on true
      left join lateral (select number from pull_requests where repository_id = before.repository_id
        and merge_commit_sha = before.commit_sha order by number limit 1) merged on true`.execute(db);
  return rows[0];
}

const ROUNDED_TO_MS = 10_000;

/** Undefined where the workspace has too little history. */
async function outlookOf(db: Db, workspace: number, first: FirstBefore): Promise<Outlook | undefined> {
  const pace = await paceOf(db, workspace);
  if (!pace) return undefined;
  if (first.asks || first.state === 'needs_confirmation') return { ...pace, because: 'people' };
  const { spent, now } = await timeSpentOn(db, first.id);
  const left = isHolding(first.state) ? pace.medianMs - spent : 0;
  if (left < 0) return { ...pace, because: 'overdue' };
  const startsAt = now.getTime() + left + first.ahead * pace.medianMs;
  // Rounded, so that a report which is repeated says the same.
  return { ...pace, startsAt: new Date(Math.ceil(startsAt / ROUNDED_TO_MS) * ROUNDED_TO_MS) };
}
