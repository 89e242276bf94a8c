import { sql } from 'kysely';
import type { Db } from '../db/pool.js';

/** How long a workspace's runs take, waiting for people aside. */
export interface Pace {
  medianMs: number;
  /** How many runs that is the median of. */
  runs: number;
}

const RUNS_LOOKED_AT = 20;
const FEWEST_RUNS = 3;

/** States in which a run gets on without anybody's decision. */
const AT_WORK = sql`('planning', 'confirmed', 'applying')`;

/** Of the last runs that came to an end of their own. Undefined with fewer than three: that is no rule yet. */
export async function paceOf(db: Db, workspace: number): Promise<Pace | undefined> {
  const { rows } = await sql<{ runs: number; median: number | null }>`
    select count(*)::integer runs, percentile_cont(0.5) within group (order by spent)::float8 median from (
      select (${secondsAtWork(sql.ref('last.id'))}) spent from (
        select id from runs where workspace_id = ${workspace} and not speculative
          and state in ('applied', 'no_changes', 'plan_errored', 'apply_errored')
        order by sequence desc limit ${RUNS_LOOKED_AT}) last) history
    where spent is not null`.execute(db);
  const history = rows[0];
  if (!history || history.median === null || history.runs < FEWEST_RUNS) return undefined;
  return { medianMs: history.median * 1_000, runs: history.runs };
}

/** How long a run has been at work, in ms, and the database's time of that. */
export async function timeSpentOn(db: Db, run: string): Promise<{ spent: number; now: Date }> {
  const { rows } = await sql<{ spent: number | null; now: Date }>`
    select (${secondsAtWork(sql`${run}`)}) spent, clock_timestamp() now`.execute(db);
  return { spent: (rows[0]?.spent ?? 0) * 1_000, now: rows[0]?.now ?? new Date() };
}

function secondsAtWork(run: ReturnType<typeof sql>) {
  return sql`select extract(epoch from sum(coalesce(until, clock_timestamp()) - at))::float8 from (
    select state, at, lead(at) over (order by id) until from run_events where run_id = ${run}) stages
    where state in ${AT_WORK}`;
}
