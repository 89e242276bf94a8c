import type { Tx } from '../db/pool.js';
import type { PullRequest, Run, Workspace } from '../db/schema.js';
import { cancelRun, discardRun, forceCancelRun, whatBecameOf } from '../runs/actions.js';
import type { Outcome } from './apply.js';

export type StopVerb = 'discard' | 'cancel' | 'force-cancel';

const STOP = { discard: discardRun, cancel: cancelRun, 'force-cancel': forceCancelRun };
const STOPPED = { discard: 'discarded', cancel: 'canceled', 'force-cancel': 'force-canceled' };

/** 'discarded', 'canceled' or 'force-canceled'. */
export function stopped(verb: StopVerb): string {
  return STOPPED[verb];
}

/**
 * Discards or cancels a workspace's runs that belong to a pull request: its own, and once it is merged the runs of the
 * merge commit. Undefined: it has no unfinished run, so nobody who names no workspace can have meant it.
 */
export async function stopRuns(
  tx: Tx,
  verb: StopVerb,
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
    const result = await STOP[verb](tx, run, reason, actor);
    if (result.done) done = true;
    else refusal = result.reason;
  }
  if (done) return { workspace: workspace.name, done: true };
  return {
    workspace: workspace.name,
    done: false,
    reason: `can't be ${stopped(verb)}: ${refusal}${help(verb, workspace)}`,
  };
}

/** What to tell somebody who named a workspace that has nothing to stop. */
export async function nothingToStop(
  tx: Tx,
  verb: StopVerb,
  pullRequest: PullRequest,
  workspace: Workspace,
): Promise<Outcome> {
  const last = await runsOf(tx, pullRequest, workspace).limit(1).executeTakeFirst();
  const why = last ? await whatBecameOf(tx, last) : 'it has had no run here';
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

/** What goes further than what was refused. */
function help(verb: StopVerb, { name }: Workspace): string {
  if (verb === 'discard') return `: comment \`cancel ${name}\` to stop it`;
  if (verb === 'cancel') return `; if that doesn't end it, an administrator can comment \`force-cancel ${name}\``;
  return '';
}
