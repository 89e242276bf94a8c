import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Stage } from '../db/schema.js';
import { isFinal, type RunState, speculativeRun, standardRun } from '../runs/machine.js';
import { readOnly } from './figures.js';

/** Upper bounds of the buckets that durations are counted in, in seconds: from a plan of nothing to an apply of hours. */
export const DURATION_BUCKETS = [1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600] as const;

export interface Durations {
  /** In the order of DURATION_BUCKETS; what took longer is in `count` only. */
  buckets: number[];
  count: number;
  /** In seconds. */
  sum: number;
}

export interface Counted {
  /** Runs that ended, by `endingOf`. */
  ended: ReadonlyMap<string, number>;
  stages: Readonly<Record<Stage, Durations>>;
  deliveries: number;
}

interface StageEvent {
  id: number;
  state: RunState;
  speculative: boolean;
  stage: Stage | null;
  seconds: number | null;
  old: boolean;
}

/** A transaction that is older than this, in seconds, has been committed or never will be. */
const SETTLED_SECONDS = 60;

/** Events that one look takes in: who hasn't looked for long catches up little by little. */
const MOST = 5_000;

const tables: Record<string, Record<string, string>>[] = [standardRun, speculativeRun];
const EVENTS = [...new Set(tables.flatMap((table) => Object.values(table).flatMap(Object.keys)))];

/** Events that end a stage, or the run. */
const ENDING = EVENTS.filter((event) =>
  tables.some((table) =>
    Object.entries(table).some(
      ([state, events]) =>
        event in events &&
        (isFinal(events[event] as RunState) ||
          ((state === 'planning' || state === 'applying') && events[event] !== state)),
    ),
  ),
);

/**
 * Counts, from the record, what has happened since this process began: by whichever process, so that what a worker did
 * before it was killed counts too. Events are numbered when they are written and seen when they are committed: those of
 * the last minute are counted anew each time.
 */
export class Counts {
  readonly #db: Db;
  readonly #settled = new Tally();
  #event = 0;
  #delivery = 0;

  private constructor(db: Db) {
    this.#db = db;
  }

  static async from(db: Db): Promise<Counts> {
    const counts = new Counts(db);
    const { rows } = await sql<{ event: number | null; delivery: number | null }>`
      select (select max(id) from run_events) event, (select max(id) from deliveries) delivery`.execute(db);
    counts.#event = rows[0]?.event ?? 0;
    counts.#delivery = rows[0]?.delivery ?? 0;
    return counts;
  }

  /** One call at a time. */
  async read(): Promise<Counted> {
    const { events, deliveries } = await readOnly(this.#db, async (tx) => ({
      events: (await stageEvents(this.#event).execute(tx)).rows,
      deliveries: (await newDeliveries(this.#delivery).execute(tx)).rows[0],
    }));
    for (const event of events.filter(({ old }) => old)) {
      this.#settled.add(event);
      this.#event = event.id;
    }
    if (deliveries?.last) {
      this.#settled.deliveries += deliveries.old;
      this.#delivery = deliveries.last;
    }
    const now = this.#settled.copy();
    for (const event of events.filter(({ old }) => !old)) now.add(event);
    now.deliveries += deliveries?.recent ?? 0;
    return now;
  }
}

/** How a run ended: its state, and whether it was speculative. */
export function endingOf(state: RunState, speculative: boolean): string {
  return `${state} ${speculative}`;
}

class Tally implements Counted {
  readonly ended = new Map<string, number>();
  readonly stages: Record<Stage, Durations> = { plan: noDurations(), apply: noDurations() };
  deliveries = 0;

  add({ state, speculative, stage, seconds }: StageEvent): void {
    if (isFinal(state)) {
      const ending = endingOf(state, speculative);
      this.ended.set(ending, (this.ended.get(ending) ?? 0) + 1);
    }
    if (stage === null || seconds === null) return;
    const durations = this.stages[stage];
    const bucket = DURATION_BUCKETS.findIndex((bound) => seconds <= bound);
    if (bucket >= 0) durations.buckets[bucket] = (durations.buckets[bucket] ?? 0) + 1;
    durations.count += 1;
    durations.sum += seconds;
  }

  copy(): Tally {
    const copy = new Tally();
    for (const [ending, count] of this.ended) copy.ended.set(ending, count);
    for (const stage of ['plan', 'apply'] as const) copy.stages[stage] = structuredClone(this.stages[stage]);
    copy.deliveries = this.deliveries;
    return copy;
  }
}

function noDurations(): Durations {
  return { buckets: DURATION_BUCKETS.map(() => 0), count: 0, sum: 0 };
}

/** A stage that ended is one that the run's event before this one began. */
function stageEvents(after: number) {
  return sql<StageEvent>`
    select e.id, e.state, r.speculative, e.at < now() - make_interval(secs => ${SETTLED_SECONDS}) old,
      case when began.type in ('plan_started', 'plan_restarted') then 'plan'
        when began.type = 'apply_started' then 'apply' end stage,
      greatest(0, extract(epoch from e.at - began.at))::float8 seconds
    from run_events e join runs r on r.id = e.run_id
    left join lateral (
      select b.type, b.at from run_events b
      where b.run_id = e.run_id and b.id < e.id and b.type = any (${EVENTS}::text[])
      order by b.id desc limit 1) began on true
    where e.id > ${after} and e.type = any (${ENDING}::text[])
    order by e.id limit ${MOST}`;
}

function newDeliveries(after: number) {
  return sql<{ old: number; recent: number; last: number | null }>`
    select count(*) filter (where old) old, count(*) filter (where not old) recent, max(id) filter (where old) last
    from (select id, received_at < now() - make_interval(secs => ${SETTLED_SECONDS}) old from deliveries
      where id > ${after} order by id limit ${MOST}) new`;
}
