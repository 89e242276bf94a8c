import type { PullRequest, Run } from '../db/schema.js';
import { isFinal, isLegal } from '../runs/machine.js';
import type { CheckRunAction, CheckRunConclusion } from './check-run-content.js';

export const applyAction: CheckRunAction = {
  label: 'Apply',
  description: 'Make these changes',
  identifier: 'apply',
};
export const discardAction: CheckRunAction = {
  label: 'Discard',
  description: 'Drop this plan and change nothing',
  identifier: 'discard',
};

/** Undefined while something is under way. Waiting for a person is complete: only then does GitHub show buttons. */
export function conclusionOf(run: Pick<Run, 'state'>): CheckRunConclusion | undefined {
  switch (run.state) {
    case 'applied':
    case 'no_changes':
    case 'planned':
      return 'success';
    case 'plan_errored':
    case 'apply_errored':
      return 'failure';
    case 'discarded':
    case 'canceled':
      return 'cancelled';
    case 'needs_confirmation':
      return 'action_required';
    default:
      return undefined;
  }
}

/** The buttons: what the machine lets a person do now, and an apply for the plan of an open pull request's head. */
export function actionsOf(
  run: Pick<Run, 'state' | 'speculative' | 'commit_sha'>,
  pullRequest?: Pick<PullRequest, 'state' | 'head_sha'>,
): CheckRunAction[] {
  if (conclusionOf(run) === undefined) return [];
  if (isFinal(run.state)) return canApplyPlan(run, pullRequest) ? [applyAction] : [];
  return [...(isLegal(run, 'confirmed') ? [applyAction] : []), ...(isLegal(run, 'discarded') ? [discardAction] : [])];
}

/** Whether a speculative plan may be answered with `apply`: its pull request is open and still at that commit. */
export function canApplyPlan(
  run: Pick<Run, 'state' | 'speculative' | 'commit_sha'>,
  pullRequest: Pick<PullRequest, 'state' | 'head_sha'> | undefined,
): boolean {
  return run.state === 'planned' && pullRequest?.state === 'open' && pullRequest.head_sha === run.commit_sha;
}
