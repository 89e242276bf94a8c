import { isBehind, type Pull, type Review } from './pulls.js';
import { atLeast } from './repository.js';
import { type RollupContext, rollup } from './rollup.js';

export type ReviewDecision = 'APPROVED' | 'CHANGES_REQUESTED' | 'REVIEW_REQUIRED' | null;

/** The last review of each person that approves, asks for changes or was dismissed. */
export function latestOpinions(pull: Pull, writersOnly: boolean): Review[] {
  const latest = new Map<string, Review>();
  for (const review of pull.reviews) {
    const counts = !writersOnly || atLeast(pull.repository.roleOf(review.user.login), 'write');
    if (counts && review.state !== 'COMMENTED') latest.set(review.user.login, review);
  }
  return [...latest.values()];
}

/** Null where the base branch requires no reviews, as on GitHub: approvals then say nothing. */
export function reviewDecision(pull: Pull): ReviewDecision {
  const required = pull.repository.protections.get(pull.baseRef)?.reviews ?? 0;
  if (required === 0) return null;
  const states = latestOpinions(pull, true).map((review) => review.state);
  if (states.includes('CHANGES_REQUESTED')) return 'CHANGES_REQUESTED';
  return states.filter((state) => state === 'APPROVED').length >= required ? 'APPROVED' : 'REVIEW_REQUIRED';
}

/** Whether the base branch's protection names this check. */
export function isRequired(pull: Pull, context: RollupContext): boolean {
  const required = pull.repository.protections.get(pull.baseRef)?.checks ?? [];
  return required.some(({ name, appId }) => name === context.name && (appId === undefined || appId === context.appId));
}

/** REST's `mergeable_state`. */
export async function mergeState(pull: Pull, mergeable: boolean | null): Promise<string> {
  if (pull.issue.state === 'closed') return 'unknown';
  if (mergeable === null) return 'unknown';
  if (!mergeable) return 'dirty';
  if (pull.draft) return 'draft';
  const protection = pull.repository.protections.get(pull.baseRef);
  const decision = reviewDecision(pull);
  const contexts = rollup(pull.repository, pull.headSha);
  const succeeded = (name: string, appId?: number) =>
    contexts.some((each) => each.name === name && (appId === undefined || each.appId === appId) && each.passes);
  const missing = protection?.checks.some(({ name, appId }) => !succeeded(name, appId)) ?? false;
  if (missing || (decision !== null && decision !== 'APPROVED')) return 'blocked';
  if (protection?.strict && (await isBehind(pull))) return 'behind';
  return contexts.every((each) => each.passes) ? 'clean' : 'unstable';
}
