import { EventEmitter } from 'node:events';
import { sql } from 'kysely';
import pg from 'pg';
import type { Db, Tx } from './pool.js';

/** What a process may want to be woken for. Being woken is a hint: whoever listens also looks now and then. */
export type Topic = (typeof TOPICS)[number];

const TOPICS = ['deliveries', 'outbox', 'runs', 'git_tokens', 'missed', 'outputs'] as const;

const CHANNEL = 'signalbox';
const RECONNECT_MS = 1_000;
const CONNECT_MS = 10_000;

/** Sends a wake-up that goes out when the transaction commits, and never if it doesn't. */
export async function notify(db: Db | Tx, topic: Topic, subject = ''): Promise<void> {
  await sql`select ${wakeUp(topic, subject)}`.execute(db);
}

/** The same as an expression, for the RETURNING of the statement that there is something to tell of: one way less. */
export function wakeUp(topic: Topic, subject = '') {
  return sql<string>`pg_notify(${CHANNEL}, ${`${topic} ${subject}`})`;
}

/** One LISTEN connection per process, opened again when it breaks. */
export class Notifications {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  readonly #connectionString: string;
  readonly #onError: (error: Error) => void;
  readonly #onRecovery: () => void;
  #client: pg.Client | undefined;
  #closed = false;
  #retry: NodeJS.Timeout | undefined;

  /** `onError` hears that the connection broke, `onRecovery` that there is another. */
  constructor(connectionString: string, onError: (error: Error) => void, onRecovery: () => void = () => undefined) {
    this.#connectionString = connectionString;
    this.#onError = onError;
    this.#onRecovery = onRecovery;
  }

  async start(): Promise<void> {
    const client = new pg.Client({
      connectionString: this.#connectionString,
      connectionTimeoutMillis: CONNECT_MS,
      keepAlive: true,
      // Nothing is ever sent on it: only this notices that its other end is gone.
      keepAliveInitialDelayMillis: 10_000,
      application_name: 'signalbox wake-ups',
    });
    let listening = false;
    // A client that breaks while it connects says so three times: by its promise, as 'error' and as 'end'.
    client.on('error', (error) => {
      if (listening) this.#reconnect(client, error);
    });
    client.on('end', () => {
      if (listening) this.#reconnect(client, new Error('The connection that listens for wake-ups ended.'));
    });
    client.on('notification', ({ payload = '' }) => {
      const [topic = '', subject = ''] = payload.split(' ');
      this.#emitter.emit(topic, subject);
    });
    this.#client = client;
    try {
      await client.connect();
      await client.query(`listen ${CHANNEL}`);
      listening = true;
    } catch (error) {
      client.end().catch(() => undefined);
      throw error;
    }
  }

  /** Calls `listener` at each wake-up of the topic. Returns the function that stops it. */
  on(topic: Topic, listener: (subject: string) => void): () => void {
    this.#emitter.on(topic, listener);
    return () => this.#emitter.off(topic, listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    await this.#client?.end().catch(() => undefined);
  }

  #reconnect(broken: pg.Client, error: Error): void {
    if (this.#closed || broken !== this.#client) return;
    this.#client = undefined;
    broken.end().catch(() => undefined);
    this.#onError(error);
    this.#retryLater();
  }

  #retryLater(): void {
    this.#retry = setTimeout(() => {
      this.start().then(
        () => {
          this.#onRecovery();
          this.#wakeAll();
        },
        () => this.#closed || this.#retryLater(),
      );
    }, RECONNECT_MS);
  }

  /** What was sent while nobody listened is lost: everyone looks once. */
  #wakeAll(): void {
    for (const topic of TOPICS) this.#emitter.emit(topic, '');
  }
}
