import type { Db, Tx } from '../db/pool.js';
import type { Log } from '../log.js';
import type { RunState } from './machine.js';

/** What happened to a run in a transaction: a line of its timeline. */
export interface NotedEvent {
  run: string;
  type: string;
  state: RunState;
  actor: string | undefined;
}

const noted = new WeakMap<object, NotedEvent[]>();

/** For the log of whoever commits the transaction: until then nothing has happened. */
export function note(tx: object, event: NotedEvent): void {
  const events = noted.get(tx) ?? [];
  events.push(event);
  noted.set(tx, events);
}

/** What was noted in a transaction, in order. */
export function notedIn(tx: object): readonly NotedEvent[] {
  return noted.get(tx) ?? [];
}

/** Tells the log what has happened. */
export function logNoted(log: Log, events: readonly NotedEvent[]): void {
  const created = events.filter(({ type }) => type === 'created').map(({ run }) => run);
  if (created.length > 0) log.info({ runs: created }, 'Runs created');
  for (const { run, type, state, actor } of events.filter(({ type }) => type !== 'created')) {
    log.info({ run, what: type, state, actor }, 'Run moved');
  }
}

/** Commits changes, and tells the log what they did to runs. */
export async function commitNoted<T>(db: Db, log: Log, changes: (tx: Tx) => Promise<T>): Promise<T> {
  const { result, events } = await db
    .transaction()
    .execute(async (tx) => ({ result: await changes(tx), events: notedIn(tx) }));
  logNoted(log, events);
  return result;
}
