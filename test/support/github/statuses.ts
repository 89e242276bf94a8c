import type { Account } from './accounts.js';
import type { Json } from './http.js';
import { nodeId, timestamp } from './ids.js';
import type { Repository } from './repository.js';

export type StatusState = 'error' | 'failure' | 'pending' | 'success';

export interface CommitStatus {
  id: number;
  sha: string;
  state: StatusState;
  context: string;
  description: string | null;
  targetUrl: string | null;
  creator: Account;
  createdAt: string;
}

export interface StatusReport {
  state: StatusState;
  context?: string;
  description?: string | null;
  targetUrl?: string | null;
}

export function createStatus(
  repository: Repository,
  creator: Account,
  sha: string,
  report: StatusReport,
): CommitStatus {
  const status: CommitStatus = {
    id: repository.github.ids.next(),
    sha,
    state: report.state,
    context: report.context ?? 'default',
    description: report.description ?? null,
    targetUrl: report.targetUrl ?? null,
    creator,
    createdAt: timestamp(),
  };
  repository.statuses.push(status);
  return status;
}

/** The newest status of each context. */
export function latestStatuses(repository: Repository, sha: string): CommitStatus[] {
  const latest = new Map<string, CommitStatus>();
  for (const status of repository.statuses) if (status.sha === sha) latest.set(status.context, status);
  return [...latest.values()];
}

export function combinedState(statuses: readonly CommitStatus[]): string {
  if (statuses.some(({ state }) => state === 'error' || state === 'failure')) return 'failure';
  return statuses.length === 0 || statuses.some(({ state }) => state === 'pending') ? 'pending' : 'success';
}

export function statusJson(repository: Repository, status: CommitStatus, withCreator = true): Json {
  const { github } = repository;
  return {
    url: `${github.api}/repos/${repository.fullName}/statuses/${status.sha}`,
    avatar_url: `${github.url}/avatars/u/${status.creator.id}`,
    id: status.id,
    node_id: nodeId('StatusContext', status.id),
    state: status.state,
    description: status.description,
    target_url: status.targetUrl,
    context: status.context,
    created_at: status.createdAt,
    updated_at: status.createdAt,
    ...(withCreator ? { creator: github.accounts.json(status.creator) } : {}),
  };
}
