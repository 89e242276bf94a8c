import { type RawBuilder, sql } from 'kysely';
import type { Closure } from './gate.js';

/** How urgent an effect is: the lower, the sooner. */
export const RANK = {
  /** Writes nothing on GitHub, so it costs nothing of what GitHub lets us write. */
  free: -1,
  /** Somebody waits for the answer to a command. */
  answer: 0,
  /** The check run `signalbox`, once it has its verdict: branch protection waits for it. */
  verdict: 1,
  /** A run that has ended, or waits for a person. */
  final: 2,
  /** The comment on a pull request with its plans made, and `signalbox/config`. */
  summary: 3,
  /** What will be said better later: that a run is pending, or how far it has come. */
  progress: 4,
} as const;

export type Rank = (typeof RANK)[keyof typeof RANK];

/**
 * Effects as they stand in the outbox (`o`), with the installation that they go through (`lane`, null for what isn't about
 * GitHub) and their rank by what the record says now. `o` can be locked.
 */
export const RANKED_EFFECTS = sql`
  outbox o
  left join runs r on r.id = o.payload->>'run'
  left join repositories p on p.id = coalesce(r.repository_id, (o.payload->>'repository')::bigint)
  cross join lateral (select p.installation_id lane, case
    when o.kind in ('job', 'apply_check') then ${sql.lit(RANK.free)}
    when o.kind in ('reaction', 'reply') then ${sql.lit(RANK.answer)}
    when o.kind = 'run_report' and (r.ended_at is not null or r.state = 'needs_confirmation')
      then ${sql.lit(RANK.final)}
    when o.kind = 'run_report' then ${sql.lit(RANK.progress)}
    when o.kind = 'head_report' then case when exists (
      select from runs u where u.repository_id = p.id and u.commit_sha = o.payload->>'sha' and u.speculative
        and u.ended_at is null) then ${sql.lit(RANK.progress)} else ${sql.lit(RANK.verdict)} end
    when o.kind = 'pull_request_report' and exists (
      select from runs u where u.repository_id = p.id and u.pull_request = (o.payload->>'number')::integer
        and u.ended_at is null and u.state <> 'needs_confirmation') then ${sql.lit(RANK.progress)}
    else ${sql.lit(RANK.summary)} end rank) e`;

/** The most urgent first; of one rank the oldest, but of progress the newest: the older is, the likelier it is outdated. */
export const BY_URGENCY = sql`e.rank, case when e.rank = ${sql.lit(RANK.progress)}
  then -extract(epoch from o.due_at) else extract(epoch from o.due_at) end, o.id`;

/** The closures as a table `c`, to be compared with `e`. */
export function closed(closures: Closure[]): RawBuilder<unknown> {
  return sql`jsonb_to_recordset(${JSON.stringify(closures)}::jsonb) as c (lane bigint, rank integer, ms float8)`;
}
