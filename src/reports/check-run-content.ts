import type { PullRequest, RunEvent } from '../db/schema.js';
import type { QueueExplanation } from '../runs/queue-explanation.js';
import type { LongText } from './long-text.js';
import type { Addresses, RepositoryName } from './words.js';

/** A check run as GitHub takes it, for creating and for updating alike. */
export interface CheckRunContent {
  name: string;
  external_id: string;
  details_url?: string;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion?: CheckRunConclusion;
  /** ISO 8601. */
  started_at?: string;
  completed_at?: string;
  output: { title: string; summary: string; text?: string; annotations: CheckRunAnnotation[] };
  actions: CheckRunAction[];
}

export type CheckRunConclusion = 'success' | 'failure' | 'neutral' | 'cancelled' | 'action_required';

export interface CheckRunAnnotation {
  path: string;
  start_line: number;
  end_line: number;
  annotation_level: 'failure' | 'warning';
  title: string;
  message: string;
}

/** GitHub's limits: label and identifier 20 characters, description 40, three of them. */
export interface CheckRunAction {
  label: string;
  description: string;
  identifier: string;
}

/** What a run's check run shows beside the run itself. */
export interface RunReport {
  externalId: string;
  addresses: Addresses;
  repository: RepositoryName;
  /** The run's pull request, where it has one. */
  pullRequest?: PullRequest | undefined;
  /** All events, refusals included. */
  timeline: RunEvent[];
  planOutput?: LongText | string | undefined;
  applyOutput?: LongText | string | undefined;
  /** For a pending run. */
  queue?: QueueExplanation | undefined;
  /** The pull request whose comments reach the run: its own, or the one that was merged as its commit. */
  conversation?: number | undefined;
  /** For a run that was superseded: the one in its place, and GitHub's id of the check run that shows that. */
  successor?: { run: string; githubId: number | undefined } | undefined;
}
