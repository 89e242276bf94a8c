import type { Tx } from '../db/pool.js';
import type { PullRequest, Run, Workspace } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { discardRun } from '../runs/actions.js';
import { createRun } from '../runs/create.js';
import { enqueueNextRun } from '../runs/next.js';
import { tellConcerned } from '../workspaces/lock.js';
import { contains, messageOf } from './commits.js';
import { TryLater } from './failures.js';
import type { RepositoryScope } from './handling.js';
import { shortSha } from './words.js';

/*
 * A workspace to which a pull request's run was applied is held for that pull request until it is merged or closed:
 * a run of a commit without it would plan its reversal.
 */

/** The held workspaces of a branch whose pull request a commit contains, by its head or by its merge. */
export async function clearedHolds(scope: RepositoryScope, branch: string, sha: string): Promise<Set<number>> {
  const held = await scope.db
    .selectFrom('workspaces')
    .leftJoin('pull_requests', (join) =>
      join
        .onRef('pull_requests.repository_id', '=', 'workspaces.repository_id')
        .onRef('pull_requests.number', '=', 'workspaces.held_pull_request'),
    )
    .select(['id', 'held_head_sha', 'pull_requests.state', 'merge_commit_sha'])
    .where('workspaces.repository_id', '=', scope.repository.id)
    .where('branch', '=', branch)
    .where('held_pull_request', 'is not', null)
    .execute();
  const holds = held.map(({ id, held_head_sha, state, merge_commit_sha }) => ({
    id,
    commits: [held_head_sha, state === 'merged' ? merge_commit_sha : null].filter((commit) => commit !== null),
  }));
  const wanted = [...new Set(holds.flatMap(({ commits }) => commits))];
  const contained = new Set<string>();
  for (const commit of wanted) if (await contains(scope, sha, commit)) contained.add(commit);
  return new Set(holds.filter(({ commits }) => commits.some((commit) => contained.has(commit))).map(({ id }) => id));
}

/** What GitHub had to be asked before a hold can be resolved. */
export interface HoldEnd {
  /** The workspaces that were held when it was asked. */
  held: ReadonlySet<number>;
  /** The merge, where there was one. */
  merge: { sha: string; message: string } | undefined;
  /** Commits of runs that contain the merge. */
  withMerge: ReadonlySet<string>;
}

/** Asks GitHub what the end of a pull request means for the runs of the workspaces that are held for it. */
export async function lookAtHolds(scope: RepositoryScope, pullRequest: PullRequest): Promise<HoldEnd> {
  const merge = pullRequest.state === 'merged' ? pullRequest.merge_commit_sha : null;
  const held = await heldFor(scope.db, pullRequest);
  const ids = new Set(held.map(({ id }) => id));
  if (merge === null || held.length === 0) return { held: ids, merge: undefined, withMerge: new Set() };
  const commits = new Set<string>();
  for (const workspace of held) {
    for (const run of await runsSinceHold(scope.db, workspace)) commits.add(run.commit_sha);
  }
  const withMerge = new Set<string>();
  for (const commit of commits) if (await contains(scope, commit, merge)) withMerge.add(commit);
  return { held: ids, merge: { sha: merge, message: await messageOf(scope, merge) }, withMerge };
}

/**
 * Ends the holds of a pull request that was merged or closed. After a merge, pending runs of commits that don't contain
 * it are discarded in favour of the merge's own run. After a close the pending runs go on, and don't apply by themselves.
 */
export async function resolveHolds(tx: Tx, pullRequest: PullRequest, actor: string, end: HoldEnd): Promise<void> {
  for (const workspace of await heldFor(tx, pullRequest)) {
    if (!end.held.has(workspace.id)) throw new TryLater('An apply began while its pull request was closed.');
    // A merge into a branch that the workspace doesn't follow doesn't bring the change to it.
    if (end.merge && workspace.branch === pullRequest.base_ref) {
      await resolveMerged(tx, workspace, pullRequest, actor, end.merge, end.withMerge);
      await clearHold(tx, workspace);
      await enqueueNextRun(tx, workspace.id);
    } else await endHold(tx, workspace);
  }
}

/** Ends a hold without a merge: the pending runs go on, and don't apply by themselves, since they may undo what was applied. */
export async function endHold(tx: Tx, workspace: Workspace): Promise<void> {
  await clearHold(tx, workspace);
  await tx
    .updateTable('runs')
    .set({ auto_apply: false })
    .where('workspace_id', '=', workspace.id)
    .where('state', '=', 'pending')
    .where('auto_apply', '=', true)
    .execute();
  await enqueueNextRun(tx, workspace.id);
  await tellConcerned(tx, workspace);
  const number = workspace.held_pull_request;
  if (number !== null) {
    await enqueue(tx, { kind: 'pull_request_report', repository: workspace.repository_id, number });
  }
}

async function clearHold(tx: Tx, workspace: Workspace): Promise<void> {
  await tx
    .updateTable('workspaces')
    .set({ held_pull_request: null, held_head_sha: null })
    .where('id', '=', workspace.id)
    .execute();
}

async function resolveMerged(
  tx: Tx,
  workspace: Workspace,
  pullRequest: PullRequest,
  actor: string,
  merge: { sha: string; message: string },
  withMerge: ReadonlySet<string>,
): Promise<void> {
  const runs = await runsSinceHold(tx, workspace);
  if (!runs.some((run) => withMerge.has(run.commit_sha))) {
    await createRun(tx, {
      workspace,
      speculative: false,
      trigger: 'push',
      actor,
      commitSha: merge.sha,
      commitMessage: merge.message,
      branch: workspace.branch,
      clearsHold: true,
    });
  }
  const { number } = pullRequest;
  for (const run of runs) {
    if (run.state !== 'pending' || withMerge.has(run.commit_sha)) continue;
    const reason = `#${number} was applied and is merged as ${shortSha(merge.sha)}, which this commit doesn't contain: the run of the merge takes its place.`;
    await discardRun(tx, run, reason);
  }
}

function heldFor(db: Tx | RepositoryScope['db'], { repository_id, number }: PullRequest): Promise<Workspace[]> {
  return db
    .selectFrom('workspaces')
    .selectAll()
    .where('repository_id', '=', repository_id)
    .where('held_pull_request', '=', number)
    .orderBy('id')
    .execute();
}

/** Runs that wait, and those that could start in spite of the hold: the only ones that may contain the merge. */
function runsSinceHold(db: Tx | RepositoryScope['db'], workspace: Workspace): Promise<Run[]> {
  return db
    .selectFrom('runs')
    .selectAll()
    .where('workspace_id', '=', workspace.id)
    .where('speculative', '=', false)
    .where((eb) =>
      eb.or([
        eb('state', '=', 'pending'),
        eb.and([eb('clears_hold', '=', true), eb('state', 'not in', ['discarded', 'canceled'])]),
      ]),
    )
    .orderBy('sequence', 'desc')
    .limit(100)
    .execute();
}
