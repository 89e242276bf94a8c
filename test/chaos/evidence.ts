import type { BlowKind } from './blow.js';
import type { JournalEntry } from './journal.js';

/**
 * What is known at the end, as plain data: from GitHub's side, from git, from the journal, from the record by plain SQL,
 * and from the states. Checks look at nothing else. Times are in ms.
 */
export interface Evidence {
  workspaces: WorkspaceFact[];
  /** In the order in which they were created. */
  runs: RunFact[];
  /** Of all runs, oldest first. */
  events: EventFact[];
  /** Oldest first. */
  stateVersions: StateVersionFact[];
  /** Oldest first. */
  journal: JournalEntry[];
  /** What was hit, oldest first. */
  blows: { at: number; kind: BlowKind }[];
  /** Moves of branches, oldest first. */
  pushes: PushFact[];
  pulls: PullFact[];
  commands: CommandFact[];
  presses: PressFact[];
  /** On GitHub, of the App, oldest first. */
  checkRuns: CheckRunFact[];
  /** On GitHub, of the App. */
  comments: CommentFact[];
  /** What the record still wants to do: deliveries, effects. One line each. */
  undone: string[];
  /** What ended otherwise than it should: deliveries that were given up, exceptions that ended a process, and the like. */
  mishaps: string[];
}

export interface WorkspaceFact {
  id: number;
  name: string;
  repository: string;
  lockedAt: number | undefined;
  heldFor: number | undefined;
}

export interface RunFact {
  id: string;
  sequence: number;
  workspace: string;
  repository: string;
  speculative: boolean;
  state: string;
  trigger: string;
  actor: string;
  commit: string;
  pullRequest: number | undefined;
  reviewedRun: string | undefined;
  clearsHold: boolean;
  attempt: number;
  createdAt: number;
  endedAt: number | undefined;
  /** What went wrong, as the record says. */
  error: string | undefined;
  /** What its apply printed, in order. */
  applyOutput: string;
}

export interface EventFact {
  run: string;
  at: number;
  type: string;
  state: string;
  actor: string | undefined;
}

export interface StateVersionFact {
  workspace: string;
  run: string;
  serial: number;
  lineage: string;
  at: number;
  /** Version by resource. */
  resources: Record<string, string>;
}

export interface PushFact {
  repository: string;
  branch: string;
  after: string;
  at: number;
  /** Those that it touches, as git says. */
  workspaces: string[];
  /** Of the pushed commit: version by resource, by workspace. */
  content: Record<string, Record<string, string>>;
  /** Whether GitHub could deliver its webhook at the first attempt. */
  delivered: boolean;
}

export interface PullFact {
  repository: string;
  number: number;
  state: 'open' | 'closed' | 'merged';
  head: string;
  /** Those that its head touches, as git says. */
  workspaces: string[];
}

export interface CommandFact {
  repository: string;
  number: number;
  body: string;
  comment: number;
  /** The App's. */
  reactions: string[];
}

export interface PressFact {
  run: string;
  button: string;
  by: string;
  at: number;
}

export interface CheckRunFact {
  id: number;
  repository: string;
  name: string;
  head: string;
  externalId: string;
  status: string;
  conclusion: string | undefined;
  title: string;
  summary: string;
  text: string;
  actions: string[];
}

export interface CommentFact {
  repository: string;
  number: number;
  body: string;
}

/** A check looks for what isn't as it must be: one line a difference, none where all is well. */
export type Check = (evidence: Evidence) => string[];

const FINAL = ['applied', 'no_changes', 'planned', 'plan_errored', 'apply_errored', 'discarded', 'canceled'];

export function isFinal({ state }: { state: string }): boolean {
  return FINAL.includes(state);
}

export function eventsOf({ events }: Evidence, run: { id: string }): EventFact[] {
  return events.filter((event) => event.run === run.id);
}

/** From GitHub: everything that the run's check runs say, oldest first. */
export function reportsOf({ checkRuns }: Evidence, run: { id: string }): CheckRunFact[] {
  return checkRuns.filter(({ externalId }) => externalId.startsWith(`${run.id}/`));
}

/** A run as differences name it. */
export function describe(run: RunFact): string {
  return `${run.id} (${run.workspace}, ${run.trigger} ${run.commit.slice(0, 7)}${run.speculative ? ', speculative' : ''}, ${run.state})`;
}
