import { EventEmitter } from 'node:events';
import { sql } from 'kysely';
import pg from 'pg';
import type { Db, Tx } from './pool.js';

/** What a process may want to be woken for. Being woken is a hint: whoever listens also looks now and then. */
export type Topic = 'deliveries' | 'outbox' | 'runs' | 'git_tokens';

const CHANNEL = 'signalbox';
const RECONNECT_MS = 1_000;

/** Sends a wake-up that goes out when the transaction commits, and never if it doesn't. */
export async function notify(db: Db | Tx, topic: Topic, subject = ''): Promise<void> {
  await sql`select pg_notify(${CHANNEL}, ${`${topic} ${subject}`})`.execute(db);
}

/** One LISTEN connection per process, opened again when it breaks. */
export class Notifications {
  readonly #emitter = new EventEmitter().setMaxListeners(0);
  readonly #connectionString: string;
  readonly #onError: (error: Error) => void;
  #client: pg.Client | undefined;
  #closed = false;

  constructor(connectionString: string, onError: (error: Error) => void) {
    this.#connectionString = connectionString;
    this.#onError = onError;
  }

  async start(): Promise<void> {
    const client = new pg.Client({ connectionString: this.#connectionString, keepAlive: true });
    client.on('error', (error) => this.#reconnect(client, error));
    client.on('end', () => this.#reconnect(client, new Error('The connection that listens for wake-ups ended.')));
    client.on('notification', ({ payload = '' }) => {
      const [topic = '', subject = ''] = payload.split(' ');
      this.#emitter.emit(topic, subject);
    });
    this.#client = client;
    await client.connect();
    await client.query(`listen ${CHANNEL}`);
  }

  /** Calls `listener` at each wake-up of the topic. Returns the function that stops it. */
  on(topic: Topic, listener: (subject: string) => void): () => void {
    this.#emitter.on(topic, listener);
    return () => this.#emitter.off(topic, listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#client?.end().catch(() => undefined);
  }

  #reconnect(broken: pg.Client, error: Error): void {
    if (this.#closed || broken !== this.#client) return;
    this.#client = undefined;
    this.#onError(error);
    const retry = () => {
      if (this.#closed) return;
      this.start().then(
        () => this.#wakeAll(),
        () => setTimeout(retry, RECONNECT_MS),
      );
    };
    setTimeout(retry, RECONNECT_MS);
  }

  /** What was sent while nobody listened is lost: everyone looks once. */
  #wakeAll(): void {
    for (const topic of ['deliveries', 'outbox', 'runs', 'git_tokens'] satisfies Topic[]) this.#emitter.emit(topic, '');
  }
}
