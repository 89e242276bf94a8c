import type { Stage } from '../db/schema.js';

/** A stage that may start: what BullMQ carries. The record decides whether it does. */
export interface StageJob {
  run: string;
  workspace: number;
  speculative: boolean;
  stage: Stage;
  attempt: number;
}

/**
 * What has to happen outside the database because of a change in it. Reports are level-triggered: one says *that*
 * something is to be brought up to date, never *how*, so that ten changes in a row may be one call.
 */
export type Effect =
  | { kind: 'job'; job: StageJob }
  /** Check again that a pull request's run may still be applied, then queue its apply. */
  | { kind: 'apply_check'; run: string }
  | { kind: 'run_report'; run: string }
  | { kind: 'pull_request_report'; repository: number; number: number }
  /** The check run `signalbox` of a pull request's or merge group's head. */
  | { kind: 'head_report'; repository: number; sha: string }
  /** The check run `signalbox/config`. */
  | { kind: 'settings_report'; repository: number; sha: string; problems: SettingsProblem[] }
  | { kind: 'reaction'; repository: number; comment: number; content: Reaction }
  /** An answer to a command, in the conversation where it was given. `key` tells answers to one command apart. */
  | { kind: 'reply'; repository: number; number: number; key: string; body: string };

export type EffectKind = Effect['kind'];
export type Reaction = 'eyes' | 'rocket' | '+1' | '-1' | 'confused';

export interface SettingsProblem {
  path: string;
  message: string;
  line: number;
  endLine?: number;
}
