import { sql } from 'kysely';
import { type Notifications, notify, wakeUp } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import type { Delivery } from '../db/schema.js';
import type { Log } from '../log.js';
import { Complaints } from '../queue/complaints.js';
import { logNoted } from '../runs/noted.js';
import { isPassing } from './failures.js';
import { ClaimLost, Handling, handleWith } from './handling.js';

export interface NewDelivery {
  /** `X-GitHub-Delivery`: the same for every attempt of GitHub's to deliver it. */
  guid: string;
  event: string;
  /** As GitHub sent and signed it. */
  body: string;
  repositoryId: number | undefined;
}

/**
 * Takes a delivery into the record. One that comes again is due again if it isn't done, or was given up; one that is
 * done stays done.
 */
export async function recordDelivery(db: Db, { guid, event, body, repositoryId }: NewDelivery): Promise<void> {
  await db
    .insertInto('deliveries')
    .values({ guid, event, body, repository_id: repositoryId ?? null })
    .onConflict((conflict) =>
      conflict
        .column('guid')
        .doUpdateSet({ due_at: sql`now()`, done_at: null, failures: 0 })
        .where((eb) => eb.or([eb('deliveries.done_at', 'is', null), eb('deliveries.error', 'is not', null)])),
    )
    .returning(wakeUp('deliveries').as('told'))
    .execute();
}

export interface DeliveryProcessorOptions {
  db: Db;
  notifications: Pick<Notifications, 'on'>;
  /** `probot.receive`, with the handlers of `app.ts`. */
  receive: (event: never) => Promise<void>;
  log: Log;
  /** Deliveries handled at once, of different repositories. */
  concurrency: number;
  /** After so many seconds without a sign of life another process takes over. Default 30. */
  leaseSeconds?: number;
  /** The pause before the first retry; it doubles up to a minute. Default 1,000. */
  retryMs?: number;
  /** How often is looked for what nobody gave notice of. Default 5,000. */
  pollMs?: number;
}

/** Failures that waiting doesn't cure, before a delivery is given up so that its repository goes on. */
const MAX_FAILURES = 5;
const MAX_PAUSE_MS = 60_000;

/**
 * Handles recorded deliveries: of one repository in their order, one at a time; of different ones side by side; and by
 * several processes. One that fails because GitHub, git or the database is away is tried until it succeeds, and its
 * repository's later ones wait. One that fails otherwise is given up after five attempts, with the error on record.
 */
export class DeliveryProcessor {
  readonly #options: Required<DeliveryProcessorOptions>;
  readonly #active = new Set<Promise<void>>();
  readonly #retries = new Set<NodeJS.Timeout>();
  readonly #complaints: Complaints;
  #filling: Promise<void> | undefined;
  #isFilling = false;
  #again = false;
  #stopped = true;
  #unsubscribe: () => void = () => undefined;
  #poll: NodeJS.Timeout | undefined;

  constructor(options: DeliveryProcessorOptions) {
    this.#options = { leaseSeconds: 30, retryMs: 1_000, pollMs: 5_000, ...options };
    this.#complaints = new Complaints(options.log);
  }

  start(): void {
    this.#stopped = false;
    this.#unsubscribe = this.#options.notifications.on('deliveries', () => this.#wake());
    this.#poll = setInterval(() => this.#wake(), this.#options.pollMs);
    this.#wake();
  }

  /** Takes no more deliveries, and waits for those under way. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#unsubscribe();
    clearInterval(this.#poll);
    for (const retry of this.#retries) clearTimeout(retry);
    await this.#filling;
    await Promise.all(this.#active);
  }

  /** Looks for deliveries to begin with. Called while it looks already, it looks once more. */
  #wake(): void {
    this.#again = true;
    if (this.#isFilling) return;
    this.#isFilling = true;
    this.#filling = this.#fill();
  }

  async #fill(): Promise<void> {
    while (this.#again && !this.#stopped) {
      this.#again = false;
      try {
        while (!this.#stopped && this.#active.size < this.#options.concurrency) {
          const delivery = await claimNext(this.#options.db, this.#options.leaseSeconds);
          if (!delivery) break;
          this.#begin(delivery);
        }
        this.#complaints.settle('record', 'Deliveries can be read again');
      } catch (error) {
        this.#complaints.raise('record', 'Deliveries wait: the database does not answer', error);
      }
    }
    // In the same breath as the last look at #again: a wake-up in between would be lost.
    this.#isFilling = false;
  }

  #begin(delivery: Delivery): void {
    const work: Promise<void> = this.#handle(delivery).finally(() => {
      this.#active.delete(work);
      this.#wake();
    });
    this.#active.add(work);
  }

  async #handle(delivery: Delivery): Promise<void> {
    const { db, leaseSeconds, receive } = this.#options;
    const handling = new Handling(db, delivery);
    const renew = () => renewClaim(db, delivery, leaseSeconds).catch(() => undefined);
    const renewal = setInterval(renew, (leaseSeconds * 1_000) / 3);
    try {
      const event = { id: delivery.guid, name: delivery.event, payload: JSON.parse(delivery.body) };
      await handleWith(handling, () => receive(event as never));
      if (!handling.done) await handling.commit(async () => undefined);
      if (delivery.attempts > 1) this.#complaints.settle('outage', 'Deliveries that had to wait are handled again');
    } catch (error) {
      if (handling.done) this.#log(delivery).error({ err: error }, 'A handler failed after it was done');
      else await this.#failed(delivery, error);
    } finally {
      clearInterval(renewal);
      this.#tell(delivery, handling);
    }
  }

  #tell(delivery: Delivery, { done, events }: Handling): void {
    if (!done) return;
    const log = this.#log(delivery);
    log.debug('A delivery was handled');
    logNoted(log, events);
  }

  async #failed(delivery: Delivery, error: unknown): Promise<void> {
    if (error instanceof ClaimLost) return this.#log(delivery).warn(error.message);
    const passing = isPassing(error);
    const failures = delivery.failures + (passing ? 0 : 1);
    const givenUp = failures >= MAX_FAILURES;
    const pause = Math.min(MAX_PAUSE_MS, this.#options.retryMs * 2 ** Math.min(delivery.attempts - 1, 16));
    if (givenUp) this.#log(delivery).error({ err: error }, 'A delivery was given up');
    else if (passing) this.#complainOf(delivery, error);
    else this.#log(delivery).warn({ err: error }, 'A delivery is tried again');
    try {
      await release(this.#options.db, delivery, { error: describe(error), failures, givenUp, pause });
    } catch {
      // The database is away too: the claim runs out by itself.
      return;
    }
    if (!givenUp && !this.#stopped) this.#wakeIn(pause);
  }

  /** An outage meets every repository: it is logged once for each sort of failure, with one delivery as an example. */
  #complainOf(delivery: Delivery, error: unknown): void {
    const { name, status, code } = error as { name?: string; status?: unknown; code?: unknown };
    const message = 'A delivery has to wait, as others may: they are tried until they can be handled';
    this.#complaints.raise('outage', message, error, namesOf(delivery), [name, status, code].join(' '));
    this.#log(delivery).debug({ err: error }, 'A delivery is tried again');
  }

  #wakeIn(ms: number): void {
    const retry = setTimeout(() => {
      this.#retries.delete(retry);
      this.#wake();
    }, ms + 5);
    this.#retries.add(retry);
  }

  #log(delivery: Delivery): Log {
    return this.#options.log.child({ ...namesOf(delivery), attempt: delivery.attempts });
  }
}

function namesOf({ guid, event, body }: Delivery): object {
  return { delivery: guid, event, repository: repositoryIn(body) };
}

function repositoryIn(body: string): string | undefined {
  try {
    return (JSON.parse(body) as { repository?: { full_name?: string } }).repository?.full_name;
  } catch {
    return undefined;
  }
}

/**
 * Claims the oldest delivery that is due among the first ones of their repositories. The candidates are an array, so that
 * the lock is looked for by primary key however many deliveries are done (4 ms with 10,000 undone ones). The commit needn't
 * wait for the disk: a claim that a crash takes back is made again, and only one of the two can mark the delivery done.
 */
async function claimNext(db: Db, leaseSeconds: number): Promise<Delivery | undefined> {
  const { rows } = await sql<Delivery>`
    update deliveries set claimed_until = now() + make_interval(secs => ${leaseSeconds}), attempts = attempts + 1
    where id = (
      select id from deliveries
      where id = any (array(
          select id from (
            select distinct on (repository_id) id, due_at, claimed_until from deliveries
            where done_at is null order by repository_id, id) first
          where due_at <= now() and (claimed_until is null or claimed_until < now())
          order by id limit 64))
        and done_at is null and due_at <= now() and (claimed_until is null or claimed_until < now())
      order by id limit 1 for update skip locked)
    returning *, set_config('synchronous_commit', 'off', true)`.execute(db);
  return rows[0];
}

async function renewClaim(db: Db, delivery: Delivery, leaseSeconds: number): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({ claimed_until: sql`now() + make_interval(secs => ${leaseSeconds})` })
    .where('id', '=', delivery.id)
    .where('attempts', '=', delivery.attempts)
    .where('done_at', 'is', null)
    .execute();
}

async function release(
  db: Db,
  delivery: Delivery,
  outcome: { error: string; failures: number; givenUp: boolean; pause: number },
): Promise<void> {
  await db
    .updateTable('deliveries')
    .set({
      error: outcome.error,
      failures: outcome.failures,
      claimed_until: null,
      due_at: sql`now() + make_interval(secs => ${outcome.pause / 1_000})`,
      ...(outcome.givenUp ? { done_at: sql<Date>`now()` } : {}),
    })
    .where('id', '=', delivery.id)
    .where('attempts', '=', delivery.attempts)
    .where('done_at', 'is', null)
    .execute();
  if (outcome.givenUp) await notify(db, 'deliveries');
}

function describe(error: unknown): string {
  return (error instanceof Error ? `${error.name}: ${error.message}` : String(error)).slice(0, 2_000);
}
