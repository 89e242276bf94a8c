import { type RawBuilder, sql } from 'kysely';
import type { Config } from '../config.js';
import type { Db } from '../db/pool.js';
import { RANK, type Rank } from '../queue/effect-order.js';
import type { RateLimit } from './rate-limit.js';

/** At most `most` writes in any `ms`. `progress`: the share of them that progress may use. */
export interface Limit {
  most: number;
  ms: number;
  progress: number;
}

/** Shares of each limit that other ranks may use: what is more urgent always finds a little left. */
const SHARE: Partial<Record<Rank, number>> = { [RANK.verdict]: 0.95, [RANK.final]: 0.95, [RANK.summary]: 0.9 };

/** While at least so many writes are left, there is no need to send one report after the other. */
const AMPLE = 24;

/**
 * What GitHub documents for content that Apps create ('no more than 80 content-generating requests per minute and 500 per
 * hour', Rate limits for the REST API). The spans are a bit longer: a request that was let through may reach GitHub
 * seconds later, and must not fall into the next minute there.
 */
export function contentLimits(config: Pick<Config, 'githubContentPerMinute' | 'githubContentPerHour'>): Limit[] {
  return [
    { most: config.githubContentPerMinute, ms: 65_000, progress: 0.75 },
    { most: config.githubContentPerHour, ms: 3_660_000, progress: 0.5 },
  ];
}

export interface Verdict {
  granted: boolean;
  /** In how many ms the next write of this rank will be granted. 0: now. */
  next: number;
  /** Whether many more would be granted now. */
  ample: boolean;
}

/**
 * What we let an installation write, counted in the record for all processes. However many ask at once, never more than
 * each limit's `most` are granted in its `ms`; one statement each, a second one for a refusal.
 */
export class Budget {
  readonly limits: Limit[];
  readonly #db: Db;
  readonly #now: () => RawBuilder<Date>;
  readonly #keep: number;

  /** `clock`: default the database's, which all processes share. */
  constructor(db: Db, limits: Limit[], clock?: () => Date) {
    this.#db = db;
    this.limits = limits;
    this.#keep = Math.max(...limits.map(({ most }) => most));
    this.#now = () => (clock ? sql<Date>`${clock()}::timestamptz` : sql<Date>`clock_timestamp()`);
  }

  /** Before a write; it counts from here. `rate`: what GitHub said last, for the record. */
  async spend(installation: number, rank: Rank, rate?: RateLimit): Promise<Verdict> {
    const limits = this.limits.map((limit) => ({ ...limit, most: mostFor(rank, limit) }));
    const ample = this.limits.map((limit) => ({ ...limit, most: limit.most - AMPLE }));
    const next = this.#wait(limits).as('next');
    const { rows } = await sql<{ next: number; ample: boolean }>`
      insert into github_budgets as b (installation_id, writes, rate_limit, rate_remaining, rate_reset)
      values (${installation}, array[${this.#now()}], ${rate?.limit ?? null}, ${rate?.remaining ?? null}, ${rate?.reset ?? null})
      on conflict (installation_id) do update set
        writes = b.writes[cardinality(b.writes) - ${this.#keep}::integer + 2 :] || ${this.#now()},
        rate_limit = coalesce(excluded.rate_limit, b.rate_limit),
        rate_remaining = coalesce(excluded.rate_remaining, b.rate_remaining),
        rate_reset = coalesce(excluded.rate_reset, b.rate_reset)
      where ${this.#wait(limits)} = 0
      returning ${next}, ${this.#wait(ample)} = 0 as ample`.execute(this.#db);
    if (rows[0]) return { granted: true, ...rows[0] };
    const refused = await sql<{ next: number }>`
      select ${next} from github_budgets b where installation_id = ${installation}`.execute(this.#db);
    return { granted: false, next: Math.max(1, refused.rows[0]?.next ?? 1), ample: false };
  }

  /** GitHub asked for a pause, in ms. */
  async close(installation: number, ms: number): Promise<void> {
    const until = sql<Date>`${this.#now()} + make_interval(secs => ${ms / 1_000})`;
    await sql`
      insert into github_budgets as b (installation_id, closed_until) values (${installation}, ${until})
      on conflict (installation_id) do update set closed_until = greatest(b.closed_until, excluded.closed_until)`.execute(
      this.#db,
    );
  }

  /** Notes since when GitHub fails for this installation, or, without a failure, that it answers. */
  async noteFailure(installation: number, failure: string | undefined): Promise<void> {
    if (failure === undefined) {
      await sql`update github_budgets set failing_since = null, failure = null
        where installation_id = ${installation} and failing_since is not null`.execute(this.#db);
      return;
    }
    await sql`
      insert into github_budgets as b (installation_id, failing_since, failure) values (${installation}, now(), ${failure})
      on conflict (installation_id) do update set
        failing_since = coalesce(b.failing_since, now()), failure = excluded.failure`.execute(this.#db);
  }

  /**
   * In how many ms all limits let one more write through. `writes` is in order: if the one that is `most` from its end is
   * younger than `ms`, there have been `most` since, and its age says when there is room.
   */
  #wait(limits: Limit[]) {
    const waits = limits.map(({ most, ms }) => {
      const nth = sql`b.writes[cardinality(b.writes) - ${Math.max(1, most)}::integer + 1]`;
      return sql`1000 * extract(epoch from ${nth} - ${this.#now()})::float8 + ${most < 1 ? NEVER : ms}::float8`;
    });
    const closed = sql`1000 * extract(epoch from b.closed_until - ${this.#now()})::float8`;
    return sql<number>`greatest(0::float8, ${closed}, ${sql.join(waits)})`;
  }
}

/** Longer than any write is remembered, in ms: of a limit that is never met there is never any left. */
const NEVER = 1e15;

function mostFor(rank: Rank, { most, progress }: Limit): number {
  const share = rank === RANK.progress ? progress : (SHARE[rank] ?? 1);
  return Math.max(1, Math.ceil(most * share));
}
