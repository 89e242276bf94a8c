import type { PlanSummary, PullRequest, Run, RunEvent } from '../../src/db/schema.js';
import type { RunReport } from '../../src/reports/check-run-content.js';

/** Records as they would stand in the database, for tests of what is made of them. */

export const addresses = { githubUrl: 'https://github.com', publicUrl: 'https://signalbox.example' };
export const repository = { owner: 'acme', name: 'infra' };
export const HEAD = '1234567890abcdef1234567890abcdef12345678';

export function planSummary(counts: Partial<PlanSummary> = {}): PlanSummary {
  return { add: 0, change: 0, destroy: 0, replace: 0, import: 0, move: 0, forget: 0, outputs: 0, ...counts };
}

export function run(overrides: Partial<Run> = {}): Run {
  return {
    id: 'run-9BvRt4KpWmXc2LdQ',
    sequence: 7,
    workspace_id: 1,
    repository_id: 1,
    speculative: false,
    state: 'pending',
    trigger: 'push',
    actor: 'alice',
    commit_sha: HEAD,
    commit_message: 'Add a second subnet\n\nFor the new zone.',
    branch: 'main',
    pull_request: null,
    settings: {
      name: 'network',
      directory: 'infra/network',
      branch: 'main',
      autoApply: false,
      applyRequirements: ['mergeable'],
    },
    auto_apply: false,
    reviewed_run: null,
    approved_by: null,
    clears_hold: false,
    created_at: new Date('2026-11-24T09:02:11Z'),
    ended_at: null,
    attempt: 1,
    worker: null,
    work_directory: null,
    terraform_version: '1.11.4',
    state_token_hash: null,
    state_port: null,
    state_revoked_at: null,
    own_backend: null,
    cancel_requested_at: null,
    cancel_requested_by: null,
    confirmed_by: null,
    plan_summary: null,
    differences: null,
    progress: null,
    diagnostics: null,
    error: null,
    worker_id: null,
    force_cancel_requested_at: null,
    force_cancel_requested_by: null,
    superseded_by: null,
    output_removed_at: null,
    message: null,
    ...overrides,
  };
}

export function event(type: string, at: string, overrides: Partial<RunEvent> = {}): RunEvent {
  return {
    id: 1,
    run_id: 'run-9BvRt4KpWmXc2LdQ',
    at: new Date(`2026-11-24T${at}Z`),
    type,
    state: 'pending',
    actor: null,
    detail: null,
    ...overrides,
  };
}

export function report(overrides: Partial<RunReport> = {}): RunReport {
  return {
    externalId: 'run-9BvRt4KpWmXc2LdQ/plan/1',
    addresses,
    repository,
    timeline: [
      event('created', '09:02:11', { actor: 'alice' }),
      event('plan_started', '09:02:12.4'),
      event('plan_ready', '09:02:26'),
    ],
    ...overrides,
  };
}

export function pullRequest(overrides: Partial<PullRequest> = {}): PullRequest {
  return {
    repository_id: 1,
    number: 12,
    title: 'Add a second subnet',
    state: 'open',
    draft: false,
    settings_problems: 0,
    fork: false,
    head_ref: 'second-subnet',
    head_sha: HEAD,
    base_ref: 'main',
    base_sha: 'base',
    author: 'alice',
    merge_commit_sha: null,
    updated_at: null,
    head_at: null,
    affected: [1],
    affected_sha: HEAD,
    allowed_sha: null,
    comment_id: null,
    comment_tried_at: null,
    comment_digest: null,
    ...overrides,
  };
}
