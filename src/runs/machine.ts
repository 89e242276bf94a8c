/**
 * The run's state machine, and nothing else: which states there are, which event is legal in which state, and where it
 * leads. Everything that asks 'may this happen?' asks here, the buttons on GitHub included.
 *
 * There are two kinds of run. A standard run holds its workspace from planning to its end. A speculative run shows what
 * a pull request would change; it never waits for a person and is never applied, so it has no states for that.
 */

export const standardRun = {
  pending: { plan_started: 'planning', discarded: 'discarded' },
  planning: {
    plan_restarted: 'planning',
    plan_failed: 'plan_errored',
    plan_empty: 'no_changes',
    plan_ready: 'needs_confirmation',
    plan_approved: 'confirmed',
    canceled: 'canceled',
  },
  needs_confirmation: { confirmed: 'confirmed', discarded: 'discarded' },
  confirmed: { apply_started: 'applying', canceled: 'canceled' },
  applying: { apply_finished: 'applied', apply_failed: 'apply_errored', canceled: 'canceled' },
  applied: {},
  no_changes: {},
  plan_errored: {},
  apply_errored: {},
  discarded: {},
  canceled: {},
} as const;

export const speculativeRun = {
  pending: { plan_started: 'planning', discarded: 'discarded' },
  planning: {
    plan_restarted: 'planning',
    plan_failed: 'plan_errored',
    plan_empty: 'no_changes',
    plan_finished: 'planned',
    canceled: 'canceled',
  },
  planned: {},
  no_changes: {},
  plan_errored: {},
  discarded: {},
  canceled: {},
} as const;

type Table = Record<string, Record<string, string>>;
type EventsOf<T extends Table> = { [S in keyof T]: keyof T[S] }[keyof T];

export type RunState = keyof typeof standardRun | keyof typeof speculativeRun;
export type RunEventType = EventsOf<typeof standardRun> | EventsOf<typeof speculativeRun>;

/** What has to be known for an event to happen. An event that isn't listed here needs nothing but an actor. */
export interface EventFacts {
  plan_started: { worker: string };
  plan_restarted: { worker: string };
  plan_failed: { error: string };
  plan_approved: { confirmedBy: string };
  confirmed: { confirmedBy: string };
  apply_started: { worker: string };
  apply_failed: { error: string };
  discarded: { reason: string };
}

export type FactsOf<E extends RunEventType> = E extends keyof EventFacts ? EventFacts[E] : Record<never, never>;

/** An event came to a run whose state doesn't know it. Nothing has changed. */
export class IllegalTransition extends Error {
  constructor(
    readonly state: RunState,
    readonly event: RunEventType,
  ) {
    super(`A run that is ${describeState(state)} can't become ${event.replaceAll('_', ' ')}.`);
    this.name = 'IllegalTransition';
  }
}

/** Where `event` leads from `state`. Throws IllegalTransition where the table has no such move. */
export function nextState(run: { speculative: boolean; state: RunState }, event: RunEventType): RunState {
  const table: Table = run.speculative ? speculativeRun : standardRun;
  const next = table[run.state]?.[event];
  if (next === undefined) throw new IllegalTransition(run.state, event);
  return next as RunState;
}

export function isLegal(run: { speculative: boolean; state: RunState }, event: RunEventType): boolean {
  const table: Table = run.speculative ? speculativeRun : standardRun;
  return table[run.state]?.[event] !== undefined;
}

/** Whether a line of a timeline says that the run came to another state, and isn't a remark beside that. */
export function isMove(type: string): boolean {
  return type === 'created' || MOVES.has(type);
}

export function isRunState(text: string): text is RunState {
  return Object.hasOwn(standardRun, text) || Object.hasOwn(speculativeRun, text);
}

/** States from which nothing leads on: the next run of the workspace may start. */
export function isFinal(state: RunState): boolean {
  return FINAL.has(state);
}

/** Whether a standard run in this state keeps every other run of its workspace waiting. */
export function isHolding(state: RunState): boolean {
  return HOLDING.has(state);
}

const MOVES: ReadonlySet<string> = new Set(
  [...Object.values(standardRun), ...Object.values(speculativeRun)].flatMap((events) => Object.keys(events)),
);
const FINAL: ReadonlySet<RunState> = new Set(
  [...Object.entries(standardRun), ...Object.entries(speculativeRun)]
    .filter(([, events]) => Object.keys(events).length === 0)
    .map(([state]) => state as RunState),
);
const HOLDING: ReadonlySet<RunState> = new Set(['planning', 'needs_confirmation', 'confirmed', 'applying']);

/** The state as people read it: 'Needs Confirmation'. */
export function stateTitle(state: RunState): string {
  return state.replace(/(^|_)([a-z])/g, (_, gap: string, letter: string) => (gap ? ' ' : '') + letter.toUpperCase());
}

function describeState(state: RunState): string {
  return stateTitle(state).toLowerCase();
}
