import { sql } from 'kysely';
import type { Notifications } from '../db/notifications.js';
import { Complaints } from '../queue/complaints.js';
import type { Services } from './handling.js';
import { followInstallations } from './listing.js';
import { askForMissed } from './missed-deliveries.js';
import { compareHeads } from './missed-heads.js';

/** Key of the advisory lock under which one process at a time looks: "SBXM". */
const LOCK = 0x5342584d;

/** The lock of a process whose host has vanished ends within a minute, not after the two hours of TCP's own. */
const NOTICED_WHEN_GONE = sql`set_config('tcp_keepalives_idle', '30', false),
  set_config('tcp_keepalives_interval', '10', false), set_config('tcp_keepalives_count', '3', false)`;

export interface MissedWebhooksOptions {
  services: Services;
  notifications: Pick<Notifications, 'on'>;
  /** Events that have a handler, as `push` or `check_run.rerequested`. */
  events: ReadonlySet<string>;
  /** How often is looked, in ms. Default: three minutes. */
  everyMs?: number;
  /** And while there is something that can't wait so long: what failed, was asked for, or isn't believed yet. Default: 15 s. */
  soonMs?: number;
}

type Step = [subject: string, step: () => Promise<boolean>];

/**
 * Looks for what webhooks didn't tell, at start and every few minutes: asks GitHub for deliveries that never arrived,
 * follows the list of installations and repositories, and compares heads with the record. A step that fails is tried
 * again soon, and logged once.
 */
export class MissedWebhooks {
  readonly #options: Required<MissedWebhooksOptions>;
  readonly #complaints: Complaints;
  readonly #differences = new Map<string, number>();
  #startedAt: Date | undefined;
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;
  #again = false;
  readonly #stop = new AbortController();
  #unsubscribe: () => void = () => undefined;

  constructor(options: MissedWebhooksOptions) {
    this.#options = { everyMs: 180_000, soonMs: 15_000, ...options };
    this.#complaints = new Complaints(options.services.log);
  }

  start(): void {
    this.#unsubscribe = this.#options.notifications.on('missed', () => this.#wake());
    this.#wake();
  }

  /** Doesn't wait for a call to GitHub that is under way: what comes of it is found again. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#unsubscribe();
    clearTimeout(this.#timer);
    await this.#round;
  }

  #wake(): void {
    if (this.#stop.signal.aborted) return;
    if (this.#round) {
      this.#again = true;
      return;
    }
    clearTimeout(this.#timer);
    this.#again = false;
    this.#round = this.look().then((more) => {
      this.#round = undefined;
      if (this.#stop.signal.aborted) return;
      if (this.#again) return this.#wake();
      this.#timer = setTimeout(() => this.#wake(), more ? this.#options.soonMs : this.#options.everyMs);
    });
  }

  /** One round. Yields whether the next one shouldn't wait long. Never throws. */
  async look(): Promise<boolean> {
    const { db } = this.#options.services;
    try {
      return await db.connection().execute(async (connection) => {
        const { rows } = await sql<{ mine: boolean }>`
          select pg_try_advisory_lock(${LOCK}) as mine, ${NOTICED_WHEN_GONE}`.execute(connection);
        // At the start the lock may still be a predecessor's, whose connection hasn't been missed yet.
        if (!rows[0]?.mine) return this.#startedAt === undefined;
        try {
          return await this.#steps();
        } finally {
          await sql`select pg_advisory_unlock(${LOCK})`.execute(connection);
        }
      });
    } catch (error) {
      this.#complaints.raise(
        'lock',
        "What webhooks didn't tell can't be looked for: the database doesn't answer",
        error,
      );
      return true;
    }
  }

  async #steps(): Promise<boolean> {
    const { services, events } = this.#options;
    const { signal } = this.#stop;
    const steps: Step[] = [
      ['deliveries', () => askForMissed(services, (event) => events.has(event), signal)],
      ['installations', () => followInstallations(services, signal)],
      ['heads', async () => compareHeads(services, await this.#comparing())],
    ];
    let more = false;
    for (const [subject, step] of steps) {
      if (this.#stop.signal.aborted) break;
      try {
        if (await untilAborted(signal, step())) more = true;
        this.#complaints.settle(subject, `GitHub's ${subject} can be compared with the record again`);
      } catch (error) {
        if (signal.aborted) break;
        this.#complaints.raise(subject, `GitHub's ${subject} can't be compared with the record now`, error);
        more = true;
      }
    }
    this.#complaints.settle('lock', "What webhooks didn't tell is looked for again");
    return more;
  }

  async #comparing() {
    const { everyMs, soonMs, services } = this.#options;
    const seconds = everyMs / 1_000;
    const { rows } = await sql<{ now: Date; before: Date }>`
      select now() as now, now() - make_interval(secs => ${seconds}) as before`.execute(services.db);
    const { now, before } = rows[0] as { now: Date; before: Date };
    this.#startedAt ??= now;
    const newest = before > this.#startedAt ? before : this.#startedAt;
    return { before: newest, patienceMs: soonMs * 0.6, differences: this.#differences, stop: this.#stop.signal };
  }
}

/** What is begun already ends by itself, at its next call. */
function untilAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener('abort', abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
