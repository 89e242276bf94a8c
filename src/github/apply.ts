import type { Tx } from '../db/pool.js';
import type { PullRequest, Run, Workspace } from '../db/schema.js';
import { confirmRun } from '../runs/actions.js';
import { createRun } from '../runs/create.js';
import { isFinal, stateTitle } from '../runs/machine.js';
import { missing, type Unmet } from './requirements.js';
import { code, shortSha } from './words.js';

/** Somebody's wish to apply what a pull request's plan showed. */
export interface ApplyRequest {
  /** As GitHub has it now. */
  pullRequest: PullRequest;
  trigger: 'comment' | 'button' | 'page';
  /** GitHub login. */
  actor: string;
  /** When it was written, by GitHub's clock. A button has no time: it was pressed on the plan's own report. */
  askedAt: Date | undefined;
  /** When we heard of it, by ours. */
  receivedAt: Date;
  /** The requirements that the pull request doesn't meet. */
  unmet: Unmet;
}

/** What became of a command for one workspace. `reason` is the rest of a sentence about the workspace. */
export type Outcome = { workspace: string; done: true } | { workspace: string; done: false; reason: string };

/**
 * Approves the plan of the pull request's head that had been shown: the run whose fresh plan differed and that waits, or
 * else a new run that is applied by itself if its plan makes the same changes.
 */
export async function applyWorkspace(tx: Tx, request: ApplyRequest, workspace: Workspace): Promise<Outcome> {
  const { pullRequest, actor } = request;
  const refuse = (reason: string): Outcome => ({ workspace: workspace.name, done: false, reason });
  if (workspace.branch !== pullRequest.base_ref) {
    return refuse(`follows ${code(workspace.branch)}, and #${pullRequest.number} is for ${code(pullRequest.base_ref)}`);
  }
  const runs = await runsOf(tx, pullRequest, workspace);
  const standard = runs.find((run) => !run.speculative);
  const plan = runs.find((run) => run.speculative && run.commit_sha === pullRequest.head_sha);

  const unfinished = standard && !isFinal(standard.state) ? standard : undefined;
  if (unfinished && (unfinished.state !== 'needs_confirmation' || unfinished.commit_sha !== pullRequest.head_sha)) {
    return refuse(
      `has an unfinished run of ${shortSha(unfinished.commit_sha)} (${stateTitle(unfinished.state)}): wait for its end, or comment \`cancel ${workspace.name}\``,
    );
  }
  const reviewed = unfinished ?? plan;
  if (!reviewed) return refuse(`has no plan of ${shortSha(pullRequest.head_sha)}: comment \`plan ${workspace.name}\``);
  const obstacle = unfinished ? undefined : whyNotApplicable(reviewed, standard);
  if (obstacle) return refuse(obstacle);
  if (!(await wasShown(tx, reviewed, request))) {
    return refuse("hadn't shown its plan when you wrote: look at it, then ask again");
  }
  const unmet = missing(request.unmet, workspace.apply_requirements);
  if (unmet.length > 0) return refuse(`can't be applied from #${pullRequest.number} yet: ${unmet.join('; ')}`);

  if (unfinished) {
    const confirmed = await confirmRun(tx, unfinished, actor);
    return confirmed.done ? { workspace: workspace.name, done: true } : refuse(`moved on: ${confirmed.reason}`);
  }
  await createRun(tx, {
    workspace,
    speculative: false,
    trigger: request.trigger,
    actor,
    commitSha: reviewed.commit_sha,
    commitMessage: reviewed.commit_message,
    branch: pullRequest.head_ref,
    pullRequest: pullRequest.number,
    reviewedRun: reviewed.id,
    approvedBy: actor,
  });
  return { workspace: workspace.name, done: true };
}

/** Why a plan isn't one to be approved. */
function whyNotApplicable(plan: Run, standard: Run | undefined): string | undefined {
  if (standard?.state === 'applied' && standard.reviewed_run === plan.id) {
    return `was applied already, as ${standard.approved_by} asked`;
  }
  switch (plan.state) {
    case 'planned':
      return undefined;
    case 'pending':
    case 'planning':
      return 'is still planning: ask again when its plan is there';
    case 'no_changes':
      return 'has no changes to apply';
    case 'plan_errored':
      return 'has a plan that failed: push a fix, or comment `plan` to try again';
    default:
      return `has a plan that was ${plan.state}: comment \`plan\` for a new one`;
  }
}

/**
 * Whether GitHub had the report of this plan before the wish was written (by GitHub's own clock, in whole seconds), and
 * we knew that when we heard of it. A button is part of the report.
 */
async function wasShown(tx: Tx, run: Run, { askedAt, receivedAt }: ApplyRequest): Promise<boolean> {
  if (askedAt === undefined) return true;
  const shown = await tx
    .selectFrom('check_runs')
    .select(['completed_at', 'reported_at'])
    .where('run_id', '=', run.id)
    .where('external_id', 'like', `${run.id}/plan/%`)
    .where('completed', '=', true)
    .orderBy('id', 'desc')
    .executeTakeFirst();
  if (!shown?.completed_at || !shown.reported_at) return false;
  return shown.completed_at <= askedAt && shown.reported_at <= receivedAt;
}

/** A pull request's runs of a workspace, the newest first. */
async function runsOf(tx: Tx, { repository_id, number }: PullRequest, workspace: Workspace): Promise<Run[]> {
  return tx
    .selectFrom('runs')
    .selectAll()
    .where('repository_id', '=', repository_id)
    .where('pull_request', '=', number)
    .where('workspace_id', '=', workspace.id)
    .orderBy('sequence', 'desc')
    .limit(200)
    .execute();
}
