import { sql } from 'kysely';
import type { Db } from '../db/pool.js';

/** What GitHub still takes of an installation, as the record knows it from all processes. */
interface InstallationStanding {
  installation: number;
  writesLastMinute: number;
  writesLastHour: number;
  /** GitHub's own limit of all requests in an hour: as it was at the last write. Null: not known, or since reset. */
  rateLimit: number | null;
  rateRemaining: number | null;
  /** GitHub asked for a pause until then. */
  closedUntil: Date | null;
}

/** What each installation may still do, by limit: for metrics. `allowed`: what is asked for at most. */
export async function githubBudgets(db: Db, allowed: { perMinute: number; perHour: number }) {
  return (await standings(db)).map((each) => ({
    installation: each.installation,
    limits: [
      left('content_minute', allowed.perMinute, each.writesLastMinute),
      left('content_hour', allowed.perHour, each.writesLastHour),
      ...(each.rateLimit === null || each.rateRemaining === null
        ? []
        : [{ limit: 'requests', allowed: each.rateLimit, remaining: each.rateRemaining }]),
    ],
    pauseSeconds: each.closedUntil ? Math.max(0, (each.closedUntil.getTime() - Date.now()) / 1_000) : 0,
  }));
}

function left(limit: string, allowed: number, used: number) {
  return { limit, allowed, remaining: Math.max(0, allowed - used) };
}

/** One row for each installation that something was written for. */
async function standings(db: Db): Promise<InstallationStanding[]> {
  const { rows } = await sql<InstallationStanding>`
    select installation_id "installation",
      (select count(*)::int from unnest(writes) at where at > now() - interval '1 minute') "writesLastMinute",
      (select count(*)::int from unnest(writes) at where at > now() - interval '1 hour') "writesLastHour",
      case when rate_reset > now() then rate_limit end "rateLimit",
      case when rate_reset > now() then rate_remaining end "rateRemaining",
      case when closed_until > now() then closed_until end "closedUntil"
    from github_budgets order by installation_id`.execute(db);
  return rows;
}
