-- The record: everything that Signalbox must never lose. Redis, BullMQ's tables and the disk of a worker can all be
-- rebuilt from here. Times are the database's own; ids of GitHub are GitHub's.

create table settings (
  name text primary key,
  value bytea not null
);
comment on table settings is 'One row a name. encryption-check: a known text sealed with ENCRYPTION_KEY, so that a wrong key is noticed at start.';

create table repositories (
  id bigint primary key,
  installation_id bigint not null,
  owner text not null,
  name text not null,
  default_branch text not null,
  -- The commit of the default branch as of which its workspaces are on record. Null: to be read again.
  settings_sha text,
  created_at timestamptz not null default now()
);

create table workspaces (
  id integer primary key generated always as identity,
  repository_id bigint not null references repositories,
  name text not null,
  directory text not null,
  branch text not null,
  auto_apply boolean not null,
  trigger_prefixes text[] not null,
  trigger_patterns text[] not null,
  apply_requirements text[] not null,
  supersede_pending boolean not null,
  created_at timestamptz not null default now(),
  -- Removed from signalbox.yml: kept, with its state, in case it comes back.
  removed_at timestamptz,
  -- Backend and directory when it was last applied: a workspace where one of these changed doesn't auto-apply.
  applied_identity text,
  -- The lock of Terraform's own protocol (LOCK and UNLOCK of the http backend), not a person's.
  state_lock jsonb,
  -- Applied from a pull request that isn't merged yet.
  held_pull_request integer,
  held_head_sha text,
  unique (repository_id, name)
);

create table pull_requests (
  repository_id bigint not null references repositories,
  number integer not null,
  title text not null,
  state text not null check (state in ('open', 'closed', 'merged')),
  draft boolean not null,
  fork boolean not null,
  head_ref text not null,
  head_sha text not null,
  base_ref text not null,
  base_sha text not null,
  author text not null,
  merge_commit_sha text,
  -- GitHub's clock: when it was last changed, as of this row, and when it was known to have this head.
  updated_at timestamptz,
  head_at timestamptz,
  -- The workspaces that its head affects, as of affected_sha. Null: not known yet.
  affected integer[],
  affected_sha text,
  -- How many problems the settings file of affected_sha has.
  settings_problems integer not null default 0,
  -- A fork's head that somebody with write asked to plan.
  allowed_sha text,
  -- GitHub's id of our summary comment, and when its creation was first tried.
  comment_id bigint,
  comment_tried_at timestamptz,
  comment_digest text,
  primary key (repository_id, number)
);
create index pull_requests_by_head on pull_requests (repository_id, head_sha);

create table merge_groups (
  repository_id bigint not null references repositories,
  head_sha text not null,
  base_ref text not null,
  affected integer[] not null,
  created_at timestamptz not null default now(),
  primary key (repository_id, head_sha)
);

create table runs (
  id text primary key,
  sequence bigint not null unique generated always as identity,
  workspace_id integer not null references workspaces,
  repository_id bigint not null references repositories,
  speculative boolean not null,
  state text not null default 'pending' check (state in ('pending', 'planning', 'needs_confirmation', 'confirmed', 'applying',
    'applied', 'no_changes', 'planned', 'plan_errored', 'apply_errored', 'discarded', 'canceled')),
  -- How it came to be.
  trigger text not null check (trigger in ('push', 'pull_request', 'merge_group', 'comment', 'button', 'rerun')),
  actor text not null,
  commit_sha text not null,
  commit_message text not null,
  branch text not null,
  pull_request integer,
  -- Settings of the workspace, locked at creation (see RunSettings).
  settings jsonb not null,
  auto_apply boolean not null,
  -- An apply that was asked for on a pull request: the plan that was reviewed, and by whom it was approved.
  reviewed_run text references runs,
  approved_by text,
  -- It contains the pull request that holds its workspace, so it needn't wait for it.
  clears_hold boolean not null default false,
  created_at timestamptz not null default now(),
  ended_at timestamptz,
  -- Who works on it. Leases use the database's time.
  attempt integer not null default 0,
  worker text,
  lease_until timestamptz,
  work_directory text,
  terraform_version text,
  -- Credentials for state: revoking them is the fence between this run's Terraform and the next one's.
  state_token_hash text,
  state_port integer,
  state_revoked_at timestamptz,
  own_backend text,
  cancel_requested_at timestamptz,
  cancel_requested_by text,
  confirmed_by text,
  -- What came out: PlanSummary, differences from the reviewed plan, Progress, diagnostics, what went wrong.
  plan_summary jsonb,
  differences jsonb,
  progress jsonb,
  diagnostics jsonb,
  error text,
  check (state <> 'confirmed' or confirmed_by is not null),
  check (state not in ('planning', 'applying') or worker is not null),
  check ((ended_at is not null) = (state in ('applied', 'no_changes', 'planned', 'plan_errored', 'apply_errored', 'discarded', 'canceled'))),
  check (not speculative or state not in ('needs_confirmation', 'confirmed', 'applying', 'applied', 'apply_errored'))
);

-- One run holds a workspace at a time. Whatever else goes wrong, this doesn't.
create unique index runs_holding on runs (workspace_id)
  where not speculative and state in ('planning', 'needs_confirmation', 'confirmed', 'applying');
create index runs_pending on runs (workspace_id, sequence) where state = 'pending';
create index runs_unfinished on runs (state) where ended_at is null;
create index runs_by_workspace on runs (workspace_id, sequence desc);
create index runs_by_pull_request on runs (repository_id, pull_request, sequence desc) where pull_request is not null;
create index runs_by_commit on runs (repository_id, commit_sha);

create table run_events (
  id bigint primary key generated always as identity,
  run_id text not null references runs on delete cascade,
  at timestamptz not null default clock_timestamp(),
  type text not null,
  state text not null,
  actor text,
  detail text
);
create index run_events_by_run on run_events (run_id, id);

create table plans (
  run_id text primary key references runs on delete cascade,
  plan_file bytea not null,
  work_files bytea not null,
  plan_json bytea not null,
  reviewed_digest text not null,
  reviewed_parts jsonb not null
);
comment on table plans is 'plan_file, work_files (what the plan left in the work directory) and plan_json are sealed with ENCRYPTION_KEY.';

create table outputs (
  run_id text not null references runs on delete cascade,
  stage text not null check (stage in ('plan', 'apply')),
  attempt integer not null,
  sequence integer not null,
  text text not null,
  at timestamptz not null default clock_timestamp(),
  primary key (run_id, stage, attempt, sequence)
);

create table state_versions (
  id bigint primary key generated always as identity,
  workspace_id integer not null references workspaces,
  run_id text not null references runs,
  serial bigint not null,
  lineage text not null,
  md5 text not null,
  resources integer not null,
  state bytea not null,
  created_at timestamptz not null default clock_timestamp()
);
create index state_versions_newest on state_versions (workspace_id, id desc);

create table deliveries (
  id bigint primary key generated always as identity,
  guid text not null unique,
  event text not null,
  repository_id bigint,
  body text not null,
  received_at timestamptz not null default clock_timestamp(),
  done_at timestamptz,
  -- How often it was claimed: the last claim is the valid one.
  attempts integer not null default 0,
  -- How often it failed for a reason that waiting doesn't cure.
  failures integer not null default 0,
  due_at timestamptz not null default now(),
  claimed_until timestamptz,
  -- Why it is tried again; or, once it is done, why it was given up.
  error text
);
create index deliveries_undone on deliveries (repository_id, id) where done_at is null;

create table outbox (
  id bigint primary key generated always as identity,
  kind text not null,
  subject text not null,
  payload jsonb not null,
  version integer not null default 1,
  attempts integer not null default 0,
  due_at timestamptz not null default now(),
  claimed_until timestamptz,
  error text,
  created_at timestamptz not null default now(),
  unique (kind, subject)
);
create index outbox_due on outbox (due_at);

create table check_runs (
  id bigint primary key generated always as identity,
  repository_id bigint not null references repositories,
  head_sha text not null,
  name text not null,
  external_id text not null,
  github_id bigint,
  -- Set before the first create is sent: a create whose answer was lost is looked for before it is repeated.
  tried_at timestamptz,
  completed boolean not null default false,
  -- When GitHub says that it was completed, by GitHub's clock, and when we learned that, by ours: what an `apply` approves.
  completed_at timestamptz,
  reported_at timestamptz,
  digest text,
  run_id text references runs,
  unique (repository_id, name, external_id)
);
create index check_runs_by_run on check_runs (run_id, id);
create index check_runs_by_head on check_runs (repository_id, head_sha, name, id);

create table git_tokens (
  repository_id bigint primary key references repositories,
  token bytea,
  expires_at timestamptz,
  -- Why there is none: GitHub's refusal of what was asked for last.
  error text,
  requested_at timestamptz not null default now()
);
comment on table git_tokens is 'Read-only tokens for one repository each, sealed. A worker asks with requested_at; web, which holds the key of the App, answers.';
