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

/** Effects as they stand in the outbox (`o`, which can be locked), with their lane: an installation, or null. */
export const EFFECTS_WITH_LANE = sql`
  outbox o left join repositories p on p.id = o.repository_id cross join lateral (select p.installation_id lane) l`;

/** The most urgent first; of one rank the oldest, but of progress the newest: the older is, the likelier it is outdated. */
export const BY_URGENCY = sql`o.rank, case when o.rank = ${sql.lit(RANK.progress)}
  then -extract(epoch from o.due_at) else extract(epoch from o.due_at) end, o.id`;

/** The closures that are about an effect, as a table `c`. */
export function closuresOn(closures: Closure[]): RawBuilder<unknown> {
  return sql`jsonb_to_recordset(${JSON.stringify(closures)}::jsonb) as c (lane bigint, rank integer, ms float8)
    where c.lane = l.lane and c.rank <= o.rank`;
}
