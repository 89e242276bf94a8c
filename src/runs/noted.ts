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
