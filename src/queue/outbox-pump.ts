import { sql } from 'kysely';
import type { Notifications } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import { Complaints, describeError, type QueueLog } from './complaints.js';
import { BY_URGENCY, closed, RANKED_EFFECTS } from './effect-order.js';
import type { Gate } from './gate.js';
import type { Effect, EffectKind } from './outbox.js';

/** How long a delivery belongs to the process that claimed it, unless told otherwise. Renewed three times in that time. */
const LEASE_SECONDS = 15;

/** Pauses after a failure, in ms: one second, doubled each time. The queue is ours and comes back sooner than GitHub. */
const FIRST_BACKOFF_MS = 1_000;
const LONGEST_BACKOFF_MS = 60_000;
const LONGEST_JOB_BACKOFF_MS = 4_000;

/** Pauses after a refusal, in ms: half a minute, doubled each time. */
const FIRST_REFUSED_MS = 30_000;
const LONGEST_REFUSED_MS = 3_600_000;

/** A wake-up may get lost: the pump looks by itself, in ms. */
const LOOK_WHEN_WAITING_MS = 5_000;
const LOOK_WHEN_EMPTY_MS = 30_000;
const SOONEST_MS = 20;

/** Deliveries of one kind at once, unless told otherwise. */
const CONCURRENCY = 4;

export type EffectOf<K extends EffectKind> = Extract<Effect, { kind: K }>;
export type EffectHandlers = { [K in EffectKind]?: (effect: EffectOf<K>) => Promise<void> };

/** Thrown by a handler that isn't failing, but can't deliver now: the effect is due again after `ms`. */
export class RetryLater extends Error {
  constructor(
    readonly ms: number,
    reason: string,
  ) {
    super(reason);
    this.name = 'RetryLater';
  }
}

/** The gate has closed for effects of this rank: one of them is put back as it was, and claimed once it is open again. */
export class GateClosed extends RetryLater {
  constructor(
    ms: number,
    reason: string,
    readonly rank: number,
  ) {
    super(ms, reason);
    this.name = 'GateClosed';
  }
}

/**
 * Thrown by a handler that was told no: the effect is tried again, from half a minute to an hour apart, `tries` times in
 * all; then it is given up.
 */
export class RetryRarely extends Error {
  constructor(
    readonly tries: number,
    reason: string,
  ) {
    super(reason);
    this.name = 'RetryRarely';
  }
}

export interface OutboxPumpOptions {
  db: Db;
  notifications: Notifications;
  /** Effects without a handler are left to other processes. A handler bounds its own time. */
  handlers: EffectHandlers;
  /** How many effects of each kind are delivered at once. A kind never waits for another kind. */
  concurrency?: Partial<Record<EffectKind, number>>;
  /** What can't be delivered for now. Without it everything can. */
  gate?: Gate | undefined;
  /** In seconds: how soon another process delivers what one had claimed when it died. */
  lease?: number;
  log: QueueLog;
}

interface Row {
  id: number;
  kind: EffectKind;
  subject: string;
  payload: Effect;
  version: number;
  attempts: number;
  lane: number | null;
  rank: number;
}

/**
 * Delivers effects, at least once, and each subject's in order: an effect is one row, which belongs to one process at a
 * time. What is written to it while it is being delivered is delivered afterwards.
 */
export class OutboxPump {
  readonly #options: OutboxPumpOptions;
  readonly #complaints: Complaints;
  readonly #kinds: EffectKind[];
  readonly #lease: number;
  readonly #deliveries = new Map<number, { kind: EffectKind; done: Promise<void> }>();
  readonly #stopListening: (() => void)[] = [];
  #timer: NodeJS.Timeout | undefined;
  #renewal: NodeJS.Timeout | undefined;
  #looking: Promise<void> | undefined;
  #lookAgain = false;
  #stopped = false;

  constructor(options: OutboxPumpOptions) {
    this.#options = options;
    this.#complaints = new Complaints(options.log);
    this.#kinds = Object.keys(options.handlers) as EffectKind[];
    this.#lease = options.lease ?? LEASE_SECONDS;
  }

  start(): void {
    this.#stopListening.push(this.#options.notifications.on('outbox', () => this.#wake()));
    if (this.#options.gate) this.#stopListening.push(this.#options.gate.onOpen(() => this.#wake()));
    this.#renewal = setInterval(() => void this.#renew(), (this.#lease * 1000) / 3);
    this.#wake();
  }

  /** Waits for the deliveries under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const stop of this.#stopListening) stop();
    clearTimeout(this.#timer);
    await this.#looking;
    await Promise.all([...this.#deliveries.values()].map(({ done }) => done));
    clearInterval(this.#renewal);
  }

  /** Resolves when nothing is being delivered and nothing is due. What waits for its next attempt isn't due. */
  async idle(): Promise<void> {
    do {
      this.#wake();
      await this.#looking;
      await Promise.all([...this.#deliveries.values()].map(({ done }) => done));
    } while (this.#looking || this.#deliveries.size > 0);
  }

  #wake(): void {
    if (this.#stopped) return;
    if (this.#looking) {
      this.#lookAgain = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#looking = this.#look().finally(() => {
      this.#looking = undefined;
      if (this.#lookAgain) this.#wake();
    });
  }

  async #look(): Promise<void> {
    let next = LOOK_WHEN_WAITING_MS;
    try {
      do {
        this.#lookAgain = false;
        await this.#beginAll(await this.#claim());
      } while (this.#lookAgain && !this.#stopped);
      next = await this.#nextLook();
      this.#complaints.settle('outbox', 'The outbox can be read again');
    } catch (error) {
      this.#complaints.raise('outbox', "The outbox can't be read", error);
    }
    if (!this.#stopped) this.#timer = setTimeout(() => this.#wake(), next);
  }

  /** Claims what is due and not behind a closed gate, the most urgent of each kind, as much as there is room for. */
  async #claim(): Promise<Row[]> {
    const room = this.#kinds.map((kind) => ({ kind, room: this.#roomFor(kind) })).filter(({ room }) => room > 0);
    if (room.length === 0) return [];
    const { rows } = await sql<Row>`
      with due as (
        select due.* from jsonb_to_recordset(${JSON.stringify(room)}::jsonb) as wanted (kind text, room integer)
        cross join lateral (
          select o.id, e.lane, e.rank from ${RANKED_EFFECTS}
          where o.kind = wanted.kind and o.due_at <= now() and (o.claimed_until is null or o.claimed_until < now())
            and o.id <> all (${[...this.#deliveries.keys()]}::bigint[])
            and not exists (select from ${closed(this.#closures())} where c.lane = e.lane and c.rank <= e.rank)
          order by ${BY_URGENCY} limit wanted.room for update of o skip locked
        ) due
      )
      update outbox set claimed_until = now() + make_interval(secs => ${this.#lease}) from due where outbox.id = due.id
      returning outbox.id, kind, subject, payload, subject, version, attempts, lane, rank, ${WITHOUT_WAITING}`.execute(
      this.#options.db,
    );
    return rows.sort((a, b) => a.rank - b.rank || a.id - b.id);
  }

  #closures() {
    return this.#options.gate?.closures() ?? [];
  }

  /** What the gate doesn't let in is put back as it was: it is looked for again when the gate opens. */
  async #beginAll(rows: Row[]): Promise<void> {
    const { gate, db } = this.#options;
    const turnedAway: number[] = [];
    for (const row of rows) {
      if (!gate || row.lane === null || gate.enter(row.lane, row.rank)) this.#begin(row);
      else turnedAway.push(row.id);
    }
    if (turnedAway.length === 0) return;
    await sql`update outbox set claimed_until = null where id = any (${turnedAway}::bigint[])`.execute(db);
  }

  #roomFor(kind: EffectKind): number {
    let busy = 0;
    for (const delivery of this.#deliveries.values()) if (delivery.kind === kind) busy += 1;
    return (this.#options.concurrency?.[kind] ?? CONCURRENCY) - busy;
  }

  /** In how many ms something that there is room for becomes due. */
  async #nextLook(): Promise<number> {
    const kinds = this.#kinds.filter((kind) => this.#roomFor(kind) > 0);
    const { rows } = await sql<{ ms: number | null }>`
      select min(greatest(1000 * extract(epoch from greatest(o.due_at, o.claimed_until) - now())::float8, (
        select max(c.ms) from ${closed(this.#closures())} where c.lane = e.lane and c.rank <= e.rank))) as ms
      from ${RANKED_EFFECTS} where o.kind = any (${kinds}::text[])`.execute(this.#options.db);
    const ms = rows[0]?.ms;
    if (ms === null || ms === undefined) return LOOK_WHEN_EMPTY_MS;
    return Math.min(Math.max(ms, SOONEST_MS), LOOK_WHEN_WAITING_MS);
  }

  #begin(row: Row): void {
    const full = this.#roomFor(row.kind) <= 1;
    const done = this.#deliver(row).then((left) => {
      this.#deliveries.delete(row.id);
      if (row.lane !== null) this.#options.gate?.leave(row.lane);
      // There may be more of this kind than there was room for.
      if (full || left) this.#wake();
    });
    this.#deliveries.set(row.id, { kind: row.kind, done });
  }

  /** Yields whether the row is left, to be delivered again. Never throws. */
  async #deliver(row: Row): Promise<boolean> {
    const failure = await this.#handle(row);
    try {
      if (failure === undefined || this.#isGivenUp(row, failure.error)) return !(await this.#remove(row));
      await this.#postpone(row, failure.error);
    } catch (error) {
      this.#complaints.raise('settle', "What became of an effect can't be recorded: it is delivered again", error);
    }
    return true;
  }

  async #handle(row: Row): Promise<{ error: unknown } | undefined> {
    const handler = this.#options.handlers[row.kind] as ((effect: Effect) => Promise<void>) | undefined;
    try {
      await handler?.(row.payload);
      // One that was never in doubt says nothing about those that are.
      if (row.attempts > 0) this.#complaints.settle(row.kind, `Effects of kind ${row.kind} are delivered again`);
      this.#options.log.debug?.({ kind: row.kind, subject: row.subject }, 'An effect was delivered');
      return undefined;
    } catch (error) {
      const message = `An effect of kind ${row.kind} can't be delivered now: it is tried again`;
      if (!(error instanceof RetryLater)) this.#complaints.raise(row.kind, message, error, { subject: row.subject });
      return { error };
    }
  }

  #isGivenUp({ kind, subject, attempts }: Row, error: unknown): boolean {
    if (!(error instanceof RetryRarely) || attempts + 1 < error.tries) return false;
    this.#options.log.warn({ kind, subject, tries: error.tries, reason: error.message }, 'An effect is given up');
    return true;
  }

  /** Yields false if the effect was written again while it was being delivered: then it is due. */
  async #remove(row: Row): Promise<boolean> {
    const { rows } = await sql`
      delete from outbox where id = ${row.id} and version = ${row.version}
      returning ${WITHOUT_WAITING}`.execute(this.#options.db);
    if (rows.length > 0) return true;
    await sql`update outbox set claimed_until = null, error = null where id = ${row.id}`.execute(this.#options.db);
    return false;
  }

  async #postpone(row: Row, error: unknown): Promise<void> {
    const seconds = this.#pauseAfter(row, error) / 1000;
    const attempts = row.attempts + (error instanceof RetryLater ? 0 : 1);
    // Whoever has written it again meanwhile wants it delivered at once.
    await sql`
      update outbox set claimed_until = null, error = ${describeError(error)},
        due_at = case when version = ${row.version} and ${seconds}::float8 > 0
          then now() + make_interval(secs => ${seconds}) else due_at end,
        attempts = case version when ${row.version} then ${attempts} else attempts end
      where id = ${row.id}`.execute(this.#options.db);
  }

  /** In ms. 0: the effect stays due, and the gate keeps it. What hides behind a more urgent rank than it has doesn't. */
  #pauseAfter(row: Row, error: unknown): number {
    const gated = this.#options.gate !== undefined && row.lane !== null;
    if (gated && error instanceof GateClosed && error.rank <= row.rank) return 0;
    if (error instanceof RetryLater) return error.ms;
    if (error instanceof RetryRarely) return backoff(row, FIRST_REFUSED_MS, LONGEST_REFUSED_MS);
    return backoff(row, FIRST_BACKOFF_MS, row.kind === 'job' ? LONGEST_JOB_BACKOFF_MS : LONGEST_BACKOFF_MS);
  }

  async #renew(): Promise<void> {
    if (this.#deliveries.size === 0) return;
    try {
      await sql`update outbox set claimed_until = now() + make_interval(secs => ${this.#lease})
        where id = any (${[...this.#deliveries.keys()]}::bigint[])`.execute(this.#options.db);
    } catch (error) {
      this.#complaints.raise('outbox', "The outbox can't be read", error);
    }
  }
}

/**
 * Said in a statement's RETURNING, its commit needn't wait for the disk: if a crash takes it back, an effect is
 * delivered once more.
 */
const WITHOUT_WAITING = sql`set_config('synchronous_commit', 'off', true)`;

/** A part of it is left to chance, so that what failed together doesn't come back together. */
function backoff({ attempts }: Row, first: number, longest: number): number {
  return Math.min(first * 2 ** attempts, longest) * (0.75 + Math.random() / 4);
}
