import { type RawBuilder, sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { EffectKind } from '../queue/outbox.js';
import type { RunState } from '../runs/machine.js';
import { nextRunOf } from '../runs/next.js';

/** How much there is of something, and since when, in seconds, the oldest of it is. 0 where there is none. */
export interface Amount {
  count: number;
  oldestSeconds: number;
}

/** What runs wait for a slot with. */
export type QueueKind = 'apply' | 'plan' | 'speculative';

/** What the record says about work under way and work that waits, in one moment, by the database's clock. */
export interface Figures {
  /** Runs that haven't ended. */
  runs: { state: RunState; speculative: boolean; count: number }[];
  /** Runs that could go on if a worker had a slot. */
  queue: ({ kind: QueueKind } & Amount)[];
  /** Pending runs whose turn it isn't: an older run is before them, or the workspace is locked or held. */
  blocked: Amount;
  /** Workers that haven't taken their leave. */
  workers: { name: string; slots: number; state: WorkerState }[];
  /** Runs that are being worked on. */
  inUse: { worker: string; count: number }[];
  /** `overdueSeconds`: for how long the first one that is due has been so. `error`: why the oldest that failed did. */
  outbox: ({ kind: EffectKind; failing: number; overdueSeconds: number; error: string | null } & Amount)[];
  deliveries: Amount & { failing: number; error: string | null };
  deliveriesGivenUp: number;
  workspaces: { lockedByPerson: number; lockedBySystem: number; held: number };
}

/** `silent`: no sign of life for a while, and not given up yet. */
export type WorkerState = 'alive' | 'silent' | 'lost';

/** A worker says that it lives several times in this time. */
const SILENT_SECONDS = 45;
/** A worker that was lost is told of for so long: by then somebody knows, or nobody will. In days. */
const LOST_DAYS = 7;

/** The record gives up answering after this time, in ms: whoever asks looks at it many times an hour. */
const PATIENCE_MS = 2_000;

/** One look, in one statement: it costs a few ms, and a part of the tables that grows with unfinished work only. */
export async function readFigures(db: Db): Promise<Figures> {
  return readOnly(db, async (tx) => {
    const { rows } = await sql<Figures>`
      with turn as materialized (${THEIR_TURN})
      select ${list(RUNS)} runs, ${list(QUEUE)} queue, ${one(BLOCKED)} blocked, ${list(WORKERS)} workers,
        ${list(IN_USE)} "inUse", ${list(OUTBOX)} outbox, ${one(DELIVERIES)} deliveries,
        (${GIVEN_UP}) "deliveriesGivenUp", ${one(WORKSPACES)} workspaces`.execute(tx);
    return rows[0] as Figures;
  });
}

/** A transaction that changes nothing, and that the server ends itself should it take too long. */
export async function readOnly<T>(db: Db, read: (tx: Tx) => Promise<T>): Promise<T> {
  return db
    .transaction()
    .setAccessMode('read only')
    .execute(async (tx) => {
      await sql`select set_config('statement_timeout', ${String(PATIENCE_MS)}, true)`.execute(tx);
      return read(tx);
    });
}

const RUNS = sql`select state, speculative, count(*)::integer count from runs where ended_at is null group by 1, 2`;

const PENDING = sql`select id, workspace_id, created_at from runs
  where ended_at is null and state = 'pending' and not speculative`;

/** Pending runs that only a slot is missing for, and since when: since they are there, or one of those before them ended. */
const THEIR_TURN = sql`
  select next.id, greatest(runs.created_at, before.ended_at) since
  from (select distinct workspace_id from (${PENDING}) pending) queued
    join workspaces w on w.id = queued.workspace_id and w.locked_at is null
    cross join lateral (${nextRunOf(sql.ref('queued.workspace_id'))}) next
    join runs on runs.id = next.id
    cross join lateral (
      select max(ended_at) ended_at from (
        select ended_at from runs earlier where earlier.workspace_id = queued.workspace_id and not earlier.speculative
          and earlier.sequence < runs.sequence order by earlier.sequence desc limit 5) earlier) before
  where not exists (select from runs holding where holding.workspace_id = queued.workspace_id
    and not holding.speculative and holding.state in ('planning', 'needs_confirmation', 'confirmed', 'applying'))`;

/** A run that plans and has no worker waits for its next attempt: the worker of the last one is gone. */
const QUEUE = sql`
  select kind, count(*)::integer count, ${secondsSince('min(since)')} "oldestSeconds" from (
    select 'plan' kind, since from turn
    union all select 'plan', (select max(at) from run_events where run_id = runs.id and type <> 'comment')
      from runs where ended_at is null and state = 'planning' and worker_id is null
    union all select 'speculative', created_at from runs where ended_at is null and state = 'pending' and speculative
    union all select 'apply', (select min(at) from run_events where run_id = runs.id and run_events.state = 'confirmed')
      from runs where ended_at is null and state = 'confirmed') waiting
  group by kind`;

const BLOCKED = sql`
  select count(*)::integer count, ${secondsSince('min(created_at)')} "oldestSeconds" from (${PENDING}) pending
  where id not in (select id from turn)`;

const WORKERS = sql`
  select name, slots, case when lost_at is not null then 'lost'
    when seen_at < now() - make_interval(secs => ${sql.lit(SILENT_SECONDS)}) then 'silent' else 'alive' end state
  from workers where stopped_at is null and (lost_at is null or lost_at > now() - make_interval(days => ${sql.lit(LOST_DAYS)}))`;

const IN_USE = sql`
  select workers.name worker, count(*)::integer count from runs join workers on workers.id = runs.worker_id
  where ended_at is null and state in ('planning', 'applying') group by 1`;

const OUTBOX = sql`
  select kind, count(*)::integer count, ${secondsSince('min(created_at)')} "oldestSeconds",
    count(*) filter (where error is not null)::integer failing, ${secondsSince('min(due_at)')} "overdueSeconds",
    (array_agg(error order by created_at) filter (where error is not null))[1] error
  from outbox group by kind`;

const DELIVERIES = sql`
  select count(*)::integer count, ${secondsSince('min(received_at)')} "oldestSeconds",
    count(*) filter (where error is not null)::integer failing,
    (array_agg(error order by id) filter (where error is not null))[1] error
  from deliveries where done_at is null`;

const GIVEN_UP = sql`select count(*)::integer from deliveries where done_at is not null and error is not null`;

const WORKSPACES = sql`
  select (select count(*) from workspaces where locked_at is not null and locked_by is not null) "lockedByPerson",
    (select count(*) from workspaces where locked_at is not null and locked_by is null) "lockedBySystem",
    (select count(*) from workspaces where held_pull_request is not null) held`;

/** Never negative: what is due later isn't late. */
function secondsSince(time: string): RawBuilder<number> {
  return sql`greatest(0, coalesce(extract(epoch from now() - ${sql.raw(time)}), 0))::float8`;
}

function list(query: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(select coalesce(json_agg(each), '[]') from (${query}) each)`;
}

function one(query: RawBuilder<unknown>): RawBuilder<unknown> {
  return sql`(select row_to_json(each) from (${query}) each)`;
}
