import { setTimeout as sleep } from 'node:timers/promises';
import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Chore } from './housekeeper.js';

/** What the record keeps. 0: for ever. */
export interface RecordLimits {
  /** Terraform's output, in days since the run's end. */
  keepOutputDays: number;
  /** Plans, in days since the run's end. */
  keepPlanDays: number;
  /** A workspace's newest state versions. */
  keepStateVersions: number;
}

/** Deliveries that are done, in days: GitHub delivers again for three. */
const DELIVERY_DAYS = 30;
/** Sessions that have ended by themselves, in days: nobody asks for them, but whoever looks into a complaint may. */
const SESSION_DAYS = 1;
/** State versions younger than this, in days, are kept however many there are. */
const STATE_DAYS = 30;

/** Rows or runs removed in one transaction: so few that nobody waits for it. */
const BATCH = 50;
const PAUSE_MS = 50;

/** Keys of the advisory locks under which one process at a time removes things of a kind: "SBXH", and the kind's number. */
const LOCK = 0x53425848;

/** Takes out of the record what is older than its limits. Runs, their timelines and their check runs stay. */
export function recordChores(db: Db, limits: RecordLimits): Chore[] {
  const chores = [
    { kind: 1, name: 'outputs', limit: limits.keepOutputDays, batch: outputs },
    { kind: 2, name: 'plans', limit: limits.keepPlanDays, batch: plans },
    { kind: 3, name: 'state versions', limit: limits.keepStateVersions, batch: stateVersions },
    { kind: 4, name: 'deliveries', limit: DELIVERY_DAYS, batch: deliveries },
    { kind: 5, name: 'sessions', limit: SESSION_DAYS, batch: sessions },
  ];
  return chores
    .filter(({ limit }) => limit > 0)
    .map(({ kind, name, limit, batch }) => ({ name, run: (signal) => inBatches(db, kind, batch(limit), signal) }));
}

/** Repeats a statement that yields a row for each thing that it removes, until there is no more or another process is at it. */
async function inBatches(db: Db, kind: number, statement: RawBuilder<unknown>, signal: AbortSignal): Promise<number> {
  let removed = 0;
  while (!signal.aborted) {
    const count = await db.transaction().execute(async (tx) => {
      const { rows } = await sql<{ mine: boolean }>`select pg_try_advisory_xact_lock(${LOCK}, ${kind}) as mine`.execute(
        tx,
      );
      return rows[0]?.mine ? (await statement.execute(tx)).rows.length : 0;
    });
    removed += count;
    if (count === 0) break;
    await sleep(PAUSE_MS, undefined, { signal }).catch(() => undefined);
  }
  return removed;
}

function outputs(days: number) {
  return sql`
    with old as (
      select id from runs where output_removed_at is null and ended_at < now() - make_interval(days => ${days})
      order by ended_at limit ${BATCH} for no key update skip locked
    ), removed as (delete from outputs using old where outputs.run_id = old.id)
    update runs set output_removed_at = now() from old where runs.id = old.id returning runs.id`;
}

/**
 * A plan is needed for as long as its run isn't at its end; while it can still be approved, which is while it is of the
 * head of an open pull request; and to be compared with, while a run that it was approved for isn't at its end.
 */
function plans(days: number) {
  return sql`
    delete from plans where run_id in (
      select plans.run_id from plans join runs on runs.id = plans.run_id
      where runs.ended_at < now() - make_interval(days => ${days})
        and not exists (select from runs approved where approved.reviewed_run = runs.id and approved.ended_at is null)
        and not (runs.speculative and exists (select from pull_requests pr where pr.repository_id = runs.repository_id
          and pr.number = runs.pull_request and pr.state = 'open' and pr.head_sha = runs.commit_sha))
      limit ${BATCH})
    returning run_id`;
}

/**
 * Beyond the newest of each workspace, and never those of a run that isn't at its end: it may hand in one of them once
 * more, which is recognised by the first one.
 */
function stateVersions(count: number) {
  return sql`
    delete from state_versions where id in (
      select old.id from workspaces
        cross join lateral (select id from state_versions where workspace_id = workspaces.id
          order by id desc offset ${count - 1} limit 1) last_kept
        join state_versions old on old.workspace_id = workspaces.id and old.id < last_kept.id
        join runs on runs.id = old.run_id
      where old.created_at < now() - make_interval(days => ${STATE_DAYS}) and runs.ended_at is not null
      limit ${BATCH})
    returning id`;
}

function deliveries(days: number) {
  return sql`
    delete from deliveries where id in (
      select id from deliveries where done_at < now() - make_interval(days => ${days}) order by id limit ${BATCH})
    returning id`;
}

function sessions(days: number) {
  return sql`
    delete from sessions where id in (
      select id from sessions where expires_at < now() - make_interval(days => ${days}) order by expires_at limit ${BATCH})
    returning id`;
}
