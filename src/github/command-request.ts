import type { PullRequest, Workspace } from '../db/schema.js';
import type { Outcome } from './apply.js';
import type { Verb } from './command.js';

/** A command by somebody who may give it, about workspaces that exist. */
export interface CommandRequest {
  verb: Exclude<Verb, 'help'>;
  /** As GitHub has it now. */
  pullRequest: PullRequest;
  /** Those that were named, or all of the repository's. */
  workspaces: Workspace[];
  named: boolean;
  /** Why a workspace is to be locked. */
  reason?: string | undefined;
  /** GitHub login. */
  actor: string;
  /** When it was written, by GitHub's clock. */
  askedAt: Date;
  /** When we heard of it, by ours. */
  receivedAt: Date;
}

/**
 * What became of a command as a whole, or of each workspace that it was about. `named`: each refusal is told. `told`: what
 * is to be known of what was done.
 */
export type Answer = { refused: string } | { outcomes: Outcome[]; named: boolean; told?: string[] };
