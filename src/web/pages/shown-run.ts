import type { PullRequest, Repository, Run, RunEvent, Workspace } from '../../db/schema.js';
import type { QueueExplanation } from '../../runs/queue-explanation.js';

/** What a list shows of a run. */
export type ListedRun = Pick<
  Run,
  | 'id'
  | 'state'
  | 'speculative'
  | 'trigger'
  | 'actor'
  | 'commit_sha'
  | 'commit_message'
  | 'branch'
  | 'pull_request'
  | 'created_at'
  | 'ended_at'
  | 'plan_summary'
> & {
  /** Of whoever queued it by hand. */
  message?: string | null;
};

/** A page of a list, and the cursors of the pages beside it. */
export interface Listing<T> {
  rows: T[];
  newer: string | undefined;
  older: string | undefined;
}

export type RepositoryName = Pick<Repository, 'id' | 'owner' | 'name'>;

/** What the run page shows of a run. */
export interface ShownRun {
  run: Run & { message?: string | null };
  workspace: Workspace;
  repository: RepositoryName;
  pullRequest: PullRequest | undefined;
  timeline: RunEvent[];
  /** Of a pending run only. */
  explanation: QueueExplanation | undefined;
  /** Of its newest check run, on GitHub. */
  githubCheckRun: number | undefined;
  /** The newest run in which the plan of this speculative one was to be applied. */
  appliedAs?: string | undefined;
  /** The newest one of its kind: this one, or one that came after it. */
  newest?: string | undefined;
}
