import type { ColumnType, Generated, Selectable } from 'kysely';
import type { RunState } from '../runs/machine.js';

/**
 * The record's tables as TypeScript sees them. Column names are the record's own, so that a query in the code and one
 * typed into psql read the same. `migrations/` is the truth about constraints and indexes.
 */
export interface Database {
  settings: SettingsTable;
  repositories: RepositoriesTable;
  branches: BranchesTable;
  installations: InstallationsTable;
  workspaces: WorkspacesTable;
  pull_requests: PullRequestsTable;
  merge_groups: MergeGroupsTable;
  runs: RunsTable;
  run_events: RunEventsTable;
  plans: PlansTable;
  outputs: OutputsTable;
  state_versions: StateVersionsTable;
  deliveries: DeliveriesTable;
  outbox: OutboxTable;
  check_runs: CheckRunsTable;
  git_tokens: GitTokensTable;
  workers: WorkersTable;
  github_budgets: GitHubBudgetsTable;
  redeliveries: RedeliveriesTable;
  sessions: SessionsTable;
}

/** `jsonb`: read as T, written as JSON text (an array given to pg as it is would become a PostgreSQL array). */
type Json<T> = ColumnType<T, string, string>;
type JsonOrNull<T> = ColumnType<T | null, string | null | undefined, string | null>;
type Optional<T> = ColumnType<T | null, T | null | undefined, T | null>;
type CreatedAt = ColumnType<Date, never, never>;

interface SettingsTable {
  name: string;
  value: Buffer;
}

interface RepositoriesTable {
  id: number;
  installation_id: number;
  owner: string;
  name: string;
  default_branch: string;
  settings_sha: Optional<string>;
  created_at: CreatedAt;
  described_at: Optional<Date>;
  pushed_at: Optional<Date>;
  removed_at: Optional<Date>;
  compared_at: Optional<Date>;
  pulls_compared_to: Optional<Date>;
}

interface BranchesTable {
  repository_id: number;
  branch: string;
  head_sha: string;
  pushed_at: Optional<Date>;
  handled_at: Optional<Date>;
}

interface InstallationsTable {
  id: number;
  account: string;
  suspended_at: Optional<Date>;
  removed_at: Optional<Date>;
  listed_at: Optional<Date>;
  listed_to: Optional<Date>;
}

interface RedeliveriesTable {
  guid: string;
  attempt: string;
  event: string;
  repository_id: Optional<number>;
  failed_at: Date;
  asked: Generated<number>;
  asked_at: Optional<Date>;
}

export type ApplyRequirement = 'mergeable' | 'undiverged' | 'approved';

interface WorkspacesTable {
  id: Generated<number>;
  repository_id: number;
  name: string;
  directory: string;
  branch: string;
  auto_apply: boolean;
  trigger_prefixes: string[];
  trigger_patterns: string[];
  apply_requirements: ApplyRequirement[];
  supersede_pending: boolean;
  created_at: CreatedAt;
  removed_at: Optional<Date>;
  applied_identity: Optional<string>;
  state_lock: JsonOrNull<StateLock>;
  held_pull_request: Optional<number>;
  held_head_sha: Optional<string>;
  locked_at: Optional<Date>;
  locked_by: Optional<string>;
  lock_reason: Optional<string>;
  lock_run: Optional<string>;
  settings_origin: JsonOrNull<SettingsOrigin>;
  /** Kept by the record itself, whenever a run ends. */
  latest_run: ColumnType<string | null, never, never>;
  latest_state: ColumnType<RunState | null, never, never>;
  latest_ended_at: ColumnType<Date | null, never, never>;
}

/** A key of a workspace in `.github/signalbox.yml`. */
export type SettingKey =
  | 'name'
  | 'directory'
  | 'branch'
  | 'auto-apply'
  | 'trigger-prefixes'
  | 'trigger-patterns'
  | 'apply-requirements'
  | 'supersede-pending';

/** Where a workspace's settings were read: the commit, and the lines of the settings file. Without `lines`: discovered. */
export interface SettingsOrigin {
  sha: string;
  lines?: Partial<Record<SettingKey, number>>;
}

/** Terraform's own lock document, as LOCK sends it, and the run whose Terraform holds it. */
export interface StateLock {
  run: string;
  info: { ID: string; [key: string]: unknown };
}

interface PullRequestsTable {
  repository_id: number;
  number: number;
  title: string;
  state: 'open' | 'closed' | 'merged';
  draft: boolean;
  fork: boolean;
  head_ref: string;
  head_sha: string;
  base_ref: string;
  base_sha: string;
  author: string;
  merge_commit_sha: Optional<string>;
  updated_at: Optional<Date>;
  head_at: Optional<Date>;
  affected: Optional<number[]>;
  affected_sha: Optional<string>;
  settings_problems: Generated<number>;
  allowed_sha: Optional<string>;
  comment_id: Optional<number>;
  comment_tried_at: Optional<Date>;
  comment_digest: Optional<string>;
}

interface MergeGroupsTable {
  repository_id: number;
  head_sha: string;
  base_ref: string;
  affected: number[];
  created_at: CreatedAt;
}

export type Trigger = 'push' | 'pull_request' | 'merge_group' | 'comment' | 'button' | 'rerun' | 'page';

/** What a run keeps of its workspace's settings from the moment it was created. */
export interface RunSettings {
  name: string;
  directory: string;
  branch: string;
  autoApply: boolean;
  applyRequirements: ApplyRequirement[];
}

/** Counts of a plan, by what Terraform calls it. A replacement counts in `replace` only. */
export interface PlanSummary {
  add: number;
  change: number;
  destroy: number;
  replace: number;
  import: number;
  move: number;
  forget: number;
  outputs: number;
}

/** How far an apply has come. `total` counts resources to be changed, a replacement as one. Lists have addresses. */
export interface RunProgress {
  total: number;
  applied: number;
  failed: number;
  inFlight: string[];
  /** Those that Terraform said were done, the last 200. */
  done?: string[];
  /** After an apply that died: those among them of which the state on record doesn't know. */
  unsaved?: string[];
  /** The last state that Terraform wrote is a file on the worker, since no backend took it. */
  stateKept?: true;
}

/** One of Terraform's diagnostics. `file` is relative to the repository's root; lines count from 1. */
export interface RunDiagnostic {
  severity: 'error' | 'warning';
  summary: string;
  detail: string;
  address?: string;
  file?: string;
  startLine?: number;
  endLine?: number;
  snippet?: RunSnippet;
}

/** The code that a diagnostic speaks of: 20 lines and 4 KiB of it at most, secrets masked. */
export interface RunSnippet {
  code: string;
  /** The first line's number, from 1. */
  startLine: number;
  /** What to point at, as offsets in `code` (UTF-16, as JavaScript counts); equal ones: nothing. */
  highlight: [start: number, end: number];
  /** The block that it is in, like `resource "x" "y"`. */
  context?: string;
}

/** One thing in which a fresh plan differs from the reviewed one. */
export interface PlanDifference {
  kind: string;
  address: string;
  detail: string;
}

interface RunsTable {
  id: string;
  sequence: Generated<number>;
  workspace_id: number;
  repository_id: number;
  speculative: boolean;
  state: Generated<RunState>;
  trigger: Trigger;
  actor: string;
  commit_sha: string;
  commit_message: string;
  branch: string;
  pull_request: Optional<number>;
  settings: Json<RunSettings>;
  auto_apply: boolean;
  reviewed_run: Optional<string>;
  approved_by: Optional<string>;
  clears_hold: Generated<boolean>;
  created_at: CreatedAt;
  ended_at: Optional<Date>;
  attempt: Generated<number>;
  worker: Optional<string>;
  work_directory: Optional<string>;
  terraform_version: Optional<string>;
  state_token_hash: Optional<string>;
  state_port: Optional<number>;
  state_revoked_at: Optional<Date>;
  own_backend: Optional<string>;
  cancel_requested_at: Optional<Date>;
  cancel_requested_by: Optional<string>;
  confirmed_by: Optional<string>;
  plan_summary: JsonOrNull<PlanSummary>;
  differences: JsonOrNull<PlanDifference[]>;
  progress: JsonOrNull<RunProgress>;
  diagnostics: JsonOrNull<RunDiagnostic[]>;
  error: Optional<string>;
  worker_id: Optional<string>;
  force_cancel_requested_at: Optional<Date>;
  force_cancel_requested_by: Optional<string>;
  superseded_by: Optional<string>;
  output_removed_at: Optional<Date>;
  message: Optional<string>;
}

interface RunEventsTable {
  id: Generated<number>;
  run_id: string;
  at: CreatedAt;
  type: string;
  state: RunState;
  actor: Optional<string>;
  detail: Optional<string>;
}

interface PlansTable {
  run_id: string;
  plan_file: Buffer;
  work_files: Buffer;
  plan_json: Buffer;
  reviewed_digest: string;
  reviewed_parts: Json<unknown>;
}

export type Stage = 'plan' | 'apply';

interface OutputsTable {
  run_id: string;
  stage: Stage;
  attempt: number;
  sequence: number;
  text: string;
  at: CreatedAt;
}

interface StateVersionsTable {
  id: Generated<number>;
  workspace_id: number;
  run_id: string;
  serial: number;
  lineage: string;
  md5: string;
  resources: number;
  state: Buffer;
  created_at: CreatedAt;
}

interface DeliveriesTable {
  id: Generated<number>;
  guid: string;
  event: string;
  repository_id: Optional<number>;
  body: string;
  received_at: CreatedAt;
  done_at: Optional<Date>;
  attempts: Generated<number>;
  failures: Generated<number>;
  due_at: Generated<Date>;
  claimed_until: Optional<Date>;
  error: Optional<string>;
}

interface OutboxTable {
  id: Generated<number>;
  kind: string;
  subject: string;
  payload: Json<unknown>;
  version: Generated<number>;
  attempts: Generated<number>;
  due_at: Generated<Date>;
  claimed_until: Optional<Date>;
  error: Optional<string>;
  created_at: CreatedAt;
  repository_id: Optional<number>;
  rank: Generated<number>;
}

interface CheckRunsTable {
  id: Generated<number>;
  repository_id: number;
  head_sha: string;
  name: string;
  external_id: string;
  github_id: Optional<number>;
  tried_at: Optional<Date>;
  completed: Generated<boolean>;
  completed_at: Optional<Date>;
  reported_at: Optional<Date>;
  digest: Optional<string>;
  run_id: Optional<string>;
}

interface GitTokensTable {
  repository_id: number;
  token: Optional<Buffer>;
  expires_at: Optional<Date>;
  error: Optional<string>;
  requested_at: Generated<Date>;
}

interface WorkersTable {
  id: string;
  name: string;
  process: string;
  slots: number;
  started_at: Generated<Date>;
  seen_at: Generated<Date>;
  stopped_at: Optional<Date>;
  lost_at: Optional<Date>;
}

interface GitHubBudgetsTable {
  installation_id: number;
  writes: Generated<Date[]>;
  closed_until: Optional<Date>;
  failing_since: Optional<Date>;
  failure: Optional<string>;
  rate_limit: Optional<number>;
  rate_remaining: Optional<number>;
  rate_reset: Optional<Date>;
}

interface SessionsTable {
  id: string;
  sign_in: string;
  github_user: number;
  login: string;
  csrf: string;
  access_token: Buffer;
  access_expires_at: Optional<Date>;
  refresh_token: Optional<Buffer>;
  created_at: CreatedAt;
  seen_at: Generated<Date>;
  expires_at: Date;
}

export type Repository = Selectable<RepositoriesTable>;
export type Branch = Selectable<BranchesTable>;
export type Workspace = Selectable<WorkspacesTable>;
export type PullRequest = Selectable<PullRequestsTable>;
export type Run = Selectable<RunsTable>;
export type RunEvent = Selectable<RunEventsTable>;
export type Delivery = Selectable<DeliveriesTable>;
export type CheckRun = Selectable<CheckRunsTable>;
export type StateVersion = Selectable<StateVersionsTable>;
