import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import { EFFECTS_WITH_LANE } from '../queue/effect-order.js';

/** How an installation stands with GitHub, as the record knows it from all processes. */
export interface InstallationStanding {
  installation: number;
  /** Owner of its repositories. */
  account: string | null;
  writesLastMinute: number;
  writesLastHour: number;
  /** GitHub's own limit of all requests in an hour: as it was at the last write. Null: not known, or since reset. */
  rateLimit: number | null;
  rateRemaining: number | null;
  rateReset: Date | null;
  /** GitHub asked for a pause until then. */
  closedUntil: Date | null;
  /** Since when it fails or doesn't answer, and how. */
  failingSince: Date | null;
  failure: string | null;
  /** Effects that are to be delivered on GitHub, and the age of the oldest, in seconds. */
  waiting: number;
  oldestSeconds: number | null;
}

/** One row for each installation that something was written for. The limits are in the configuration. */
export async function githubStanding(db: Db): Promise<InstallationStanding[]> {
  const { rows } = await sql<InstallationStanding>`
    select b.installation_id "installation",
      (select max(owner) from repositories where installation_id = b.installation_id) "account",
      (select count(*)::int from unnest(b.writes) at where at > now() - interval '1 minute') "writesLastMinute",
      (select count(*)::int from unnest(b.writes) at where at > now() - interval '1 hour') "writesLastHour",
      case when b.rate_reset > now() then b.rate_limit end "rateLimit",
      case when b.rate_reset > now() then b.rate_remaining end "rateRemaining",
      case when b.rate_reset > now() then b.rate_reset end "rateReset",
      case when b.closed_until > now() then b.closed_until end "closedUntil",
      b.failing_since "failingSince", b.failure,
      coalesce(w.waiting, 0) "waiting", w.oldest "oldestSeconds"
    from github_budgets b left join (
      select l.lane, count(*)::int waiting, max(extract(epoch from now() - o.created_at))::float8 oldest
      from ${EFFECTS_WITH_LANE} where l.lane is not null group by l.lane
    ) w on w.lane = b.installation_id
    order by b.installation_id`.execute(db);
  return rows;
}

/** What each installation may still do, by limit: for metrics. `allowed`: what is asked for at most. */
export async function githubBudgets(db: Db, allowed: { perMinute: number; perHour: number }) {
  return (await githubStanding(db)).map((each) => ({
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

/** What waits for GitHub, and why, a line for each installation where something is wrong. No line: nothing is. */
export async function whatWaitsForGitHub(db: Db): Promise<string[]> {
  const standing = await githubStanding(db);
  return standing.flatMap((each) => {
    const why = whyOf(each);
    return why === undefined ? [] : [`${each.account ?? each.installation}: ${each.waiting} effects wait: ${why}`];
  });
}

function whyOf({ waiting, failingSince, closedUntil }: InstallationStanding): string | undefined {
  if (waiting === 0) return undefined;
  if (failingSince) return `GitHub is away since ${failingSince.toISOString()}`;
  if (closedUntil) return `GitHub asked for a pause until ${closedUntil.toISOString()}`;
  return undefined;
}
