import { type CheckRun, latestRuns } from './checks.js';
import type { Repository } from './repository.js';
import { type CommitStatus, latestStatuses } from './statuses.js';

/** A check run or a commit status, as far as merging is concerned. */
export interface RollupContext {
  name: string;
  appId: number | undefined;
  /** Finished and not in the way of a merge: success, neutral, skipped. */
  passes: boolean;
  pending: boolean;
  run?: CheckRun;
  status?: CommitStatus;
}

export function rollup(repository: Repository, sha: string): RollupContext[] {
  const runs = latestRuns(repository.checkRuns.filter((run) => run.headSha === sha)).map((run) => ({
    name: run.name,
    appId: run.suite.app.id,
    passes: ['success', 'neutral', 'skipped'].includes(run.conclusion ?? ''),
    pending: run.status !== 'completed',
    run,
  }));
  const statuses = latestStatuses(repository, sha).map((status) => ({
    name: status.context,
    appId: undefined,
    passes: status.state === 'success',
    pending: status.state === 'pending',
    status,
  }));
  return [...runs, ...statuses];
}

/** GraphQL's StatusState. */
export function rollupState(contexts: readonly RollupContext[]): 'SUCCESS' | 'PENDING' | 'FAILURE' {
  if (contexts.some((each) => !each.passes && !each.pending)) return 'FAILURE';
  return contexts.some((each) => each.pending) ? 'PENDING' : 'SUCCESS';
}
