import type { Tx } from '../db/pool.js';
import type { PullRequest, Run, Workspace } from '../db/schema.js';
import { cancelRun, discardRun, whatBecameOf } from '../runs/actions.js';
import type { Outcome } from './apply.js';

/**
 * Discards or cancels a workspace's runs that belong to a pull request: its own, and once it is merged the runs of the
 * merge commit. Undefined: it has no unfinished run, so nobody who names no workspace can have meant it.
 */
export async function stopRuns(
  tx: Tx,
  verb: 'discard' | 'cancel',
  pullRequest: PullRequest,
  workspace: Workspace,
  actor: string,
): Promise<Outcome | undefined> {
  const unfinished = await unfinishedRuns(tx, pullRequest, workspace);
  if (unfinished.length === 0) return undefined;
  const reason = `Asked for on #${pullRequest.number}.`;
  let refusal = '';
  let done = false;
  // The newest first: else each end would queue the next one.
  for (const run of unfinished) {
    const result = await (verb === 'discard' ? discardRun : cancelRun)(tx, run, reason, actor);
    if (result.done) done = true;
    else refusal = result.reason;
  }
  if (done) return { workspace: workspace.name, done: true };
  const help = verb === 'discard' ? `: comment \`cancel ${workspace.name}\` to stop it` : '';
  return { workspace: workspace.name, done: false, reason: `can't be ${past(verb)}: ${refusal}${help}` };
}

/** What to tell somebody who named a workspace that has nothing to stop. */
export async function nothingToStop(
  tx: Tx,
  verb: 'discard' | 'cancel',
  pullRequest: PullRequest,
  workspace: Workspace,
): Promise<Outcome> {
  const last = await runsOf(tx, pullRequest, workspace).limit(1).executeTakeFirst();
  const why = last ? whatBecameOf(last) : 'it has had no run here';
  return { workspace: workspace.name, done: false, reason: `has nothing to ${verb}: ${why}` };
}

function unfinishedRuns(tx: Tx, pullRequest: PullRequest, workspace: Workspace): Promise<Run[]> {
  return runsOf(tx, pullRequest, workspace).where('ended_at', 'is', null).execute();
}

function runsOf(tx: Tx, { repository_id, number, state, merge_commit_sha }: PullRequest, workspace: Workspace) {
  return tx
    .selectFrom('runs')
    .selectAll()
    .where('repository_id', '=', repository_id)
    .where('workspace_id', '=', workspace.id)
    .where((eb) =>
      state === 'merged' && merge_commit_sha !== null
        ? eb.or([eb('pull_request', '=', number), eb('commit_sha', '=', merge_commit_sha)])
        : eb('pull_request', '=', number),
    )
    .orderBy('sequence', 'desc');
}

function past(verb: 'discard' | 'cancel'): string {
  return verb === 'discard' ? 'discarded' : 'canceled';
}
