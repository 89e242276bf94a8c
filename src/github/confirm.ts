import type { Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { type ActionResult, confirmRun, whatBecameOf } from '../runs/actions.js';
import { type ApplyRequest, applyWorkspace, type Outcome } from './apply.js';
import type { RepositoryScope } from './handling.js';
import { fetchPullRequest } from './pull-requests.js';
import { unmetRequirements } from './requirements.js';
import { shortSha } from './words.js';

/** What a press does, within a transaction. A sentence: why it does nothing. */
export type Press = (tx: Tx) => Promise<string | undefined>;

/** Who presses Apply, on the check run or on the run's page, and when we heard of it. */
export type Presser = Pick<ApplyRequest, 'trigger' | 'actor' | 'receivedAt'>;

/**
 * Confirms a plan that waits, or approves a pull request's speculative one. What belongs to a pull request passes the same
 * gates as the comment `apply`. Asks GitHub; the press itself doesn't.
 */
export async function prepareConfirm(scope: RepositoryScope, run: Run, presser: Presser): Promise<Press> {
  if (run.pull_request === null && !run.speculative) {
    return async (tx) => refusalOf(await confirmRun(tx, run, presser.actor));
  }
  if (run.pull_request === null) return async () => "A merge queue's plan is applied by its merge.";
  const pullRequest = await fetchPullRequest(scope, run.pull_request);
  const { number, state, head_sha } = pullRequest;
  if (state !== 'open') return async () => `#${number} is ${state}: its plans can't be applied any more.`;
  if (head_sha !== run.commit_sha) {
    return async () => `The head of #${number} moved on from ${shortSha(run.commit_sha)} to ${shortSha(head_sha)}.`;
  }
  const workspace = await scope.db
    .selectFrom('workspaces')
    .selectAll()
    .where('id', '=', run.workspace_id)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  if (!workspace) return async () => `There is no workspace ${run.settings.name} any more.`;
  const unmet = await unmetRequirements(scope, pullRequest, new Set(workspace.apply_requirements));
  return async (tx) => {
    const stale = await whatReplaced(tx, run);
    if (stale) return stale;
    return sentence(await applyWorkspace(tx, { ...presser, pullRequest, askedAt: undefined, unmet }, workspace));
  };
}

/** What became of an action, as a sentence; undefined: it was done. */
export function refusalOf(result: ActionResult): string | undefined {
  return result.done ? undefined : capital(result.reason);
}

/** The plan whose button was pressed must be the one that would be approved: the newest of its kind. */
async function whatReplaced(tx: Tx, run: Run): Promise<string | undefined> {
  const newest = await tx
    .selectFrom('runs')
    .selectAll()
    .where('workspace_id', '=', run.workspace_id)
    .where('pull_request', '=', run.pull_request)
    .where('speculative', '=', run.speculative)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
  if (newest.id !== run.id) return `This plan was replaced by that of ${newest.id}.`;
  if (newest.speculative || newest.state === 'needs_confirmation') return undefined;
  return capital(await whatBecameOf(tx, newest));
}

function sentence(outcome: Outcome): string | undefined {
  return outcome.done ? undefined : `${outcome.workspace} ${outcome.reason}.`;
}

function capital(reason: string): string {
  return `${reason.slice(0, 1).toUpperCase()}${reason.slice(1)}.`;
}
