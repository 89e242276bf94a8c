import type { ApplyRequirement, PullRequest } from '../db/schema.js';
import { compare, findBranch } from './commits.js';
import type { RepositoryScope } from './handling.js';
import { code, enumerate } from './words.js';

/** Each requirement that doesn't hold, with what is missing: the rest of a sentence that begins with 'because'. */
export type Unmet = ReadonlyMap<ApplyRequirement, string[]>;

/** How often GitHub is asked whether there are conflicts while it still works that out, a second apart. */
const MERGEABLE_ATTEMPTS = 5;

/** Asks GitHub which of the requirements a pull request doesn't meet. Our own checks never count. */
export async function unmetRequirements(
  scope: RepositoryScope,
  pullRequest: PullRequest,
  requirements: ReadonlySet<ApplyRequirement>,
): Promise<Unmet> {
  const unmet = new Map<ApplyRequirement, string[]>();
  const undiverged = requirements.has('undiverged')
    ? compare(scope, pullRequest.base_ref, pullRequest.head_sha)
    : undefined;
  if (requirements.has('mergeable') || requirements.has('approved')) {
    const merge = await mergeStateOf(scope, pullRequest.number);
    if (requirements.has('mergeable')) unmet.set('mergeable', await notMergeable(scope, pullRequest, merge));
    if (requirements.has('approved')) unmet.set('approved', isApproved(merge) ? [] : ['nobody with write approved it']);
  }
  if (undiverged) unmet.set('undiverged', diverged(pullRequest, (await undiverged)?.behindBy));
  return unmet;
}

/** What is missing for one workspace's requirements. */
export function missing(unmet: Unmet, requirements: readonly ApplyRequirement[]): string[] {
  return [...new Set(requirements.flatMap((requirement) => unmet.get(requirement) ?? []))];
}

function diverged({ base_ref, head_ref }: PullRequest, behindBy: number | undefined): string[] {
  if (behindBy === 0) return [];
  if (behindBy === undefined) return [`it has no common history with ${code(base_ref)}`];
  const commits = behindBy === 1 ? '1 commit' : `${behindBy} commits`;
  return [`${code(head_ref)} is ${commits} behind ${code(base_ref)}: update the branch`];
}

async function notMergeable(scope: RepositoryScope, pullRequest: PullRequest, merge: MergeState): Promise<string[]> {
  const reasons: string[] = [];
  const base = code(pullRequest.base_ref);
  if (merge.isDraft) reasons.push('it is a draft');
  if (merge.mergeable === 'CONFLICTING') reasons.push(`it conflicts with ${base}`);
  if (merge.mergeable === 'UNKNOWN') {
    reasons.push(`GitHub hasn't worked out yet whether it conflicts with ${base}: try again in a minute`);
  }
  if (merge.reviewDecision === 'REVIEW_REQUIRED') reasons.push('a required review is missing');
  if (merge.reviewDecision === 'CHANGES_REQUESTED') reasons.push('a review asked for changes');
  const failing = await failingChecks(scope, pullRequest, merge);
  if (failing.length === 1) reasons.push(`the required check ${failing[0]} isn't successful`);
  if (failing.length > 1) reasons.push(`the required checks ${enumerate(failing)} aren't successful`);
  return reasons;
}

/** Required checks of others that failed, still run, or haven't begun. */
async function failingChecks(scope: RepositoryScope, pullRequest: PullRequest, merge: MergeState): Promise<string[]> {
  const own = new Set(merge.checks.filter((check) => check.own).map((check) => check.name));
  const others = merge.checks.filter((check) => !check.own);
  const failing = others.filter((check) => check.isRequired && !check.passes).map((check) => check.name);
  // A check that nobody has begun is in no list of GitHub's, only in the protection of the branch.
  const required = (await findBranch(scope, pullRequest.base_ref))?.requiredChecks ?? [];
  const begun = new Set(others.map((check) => check.name));
  const absent = required.filter((name) => !begun.has(name) && !own.has(name) && !isOurs(name));
  return [...new Set([...failing, ...absent])].map((name) => code(name));
}

/** Names that only we report, also before we have. */
function isOurs(name: string): boolean {
  return name === 'signalbox' || name.startsWith('signalbox/');
}

/** GitHub decides where the base requires reviews; elsewhere one approval of somebody with write, and no objection. */
function isApproved({ reviewDecision, reviews }: MergeState): boolean {
  if (reviewDecision !== null) return reviewDecision === 'APPROVED';
  return reviews.includes('APPROVED') && !reviews.includes('CHANGES_REQUESTED');
}

interface MergeState {
  isDraft: boolean;
  mergeable: 'MERGEABLE' | 'CONFLICTING' | 'UNKNOWN';
  reviewDecision: 'APPROVED' | 'CHANGES_REQUESTED' | 'REVIEW_REQUIRED' | null;
  /** The last decision of each reviewer with write. */
  reviews: string[];
  checks: { name: string; own: boolean; isRequired: boolean; passes: boolean }[];
}

interface PullRequestNode {
  isDraft: boolean;
  mergeable: MergeState['mergeable'];
  reviewDecision: MergeState['reviewDecision'];
  latestOpinionatedReviews: { nodes: { state: string }[] } | null;
  statusCheckRollup: {
    contexts: { pageInfo: { hasNextPage: boolean; endCursor: string }; nodes: ContextNode[] };
  } | null;
}

type ContextNode =
  | {
      __typename: 'CheckRun';
      name: string;
      conclusion: string | null;
      isRequired: boolean;
      checkSuite: { app: { databaseId: number } | null };
    }
  | { __typename: 'StatusContext'; context: string; state: string; isRequired: boolean };

const QUERY = `
  query ($owner: String!, $name: String!, $number: Int!, $after: String) {
    repository(owner: $owner, name: $name) {
      pullRequest(number: $number) {
        isDraft
        mergeable
        reviewDecision
        latestOpinionatedReviews(first: 100, writersOnly: true) { nodes { state } }
        statusCheckRollup {
          contexts(first: 100, after: $after) {
            pageInfo { hasNextPage endCursor }
            nodes {
              __typename
              ... on CheckRun {
                name
                conclusion
                isRequired(pullRequestNumber: $number)
                checkSuite { app { databaseId } }
              }
              ... on StatusContext { context state isRequired(pullRequestNumber: $number) }
            }
          }
        }
      }
    }
  }`;

async function mergeStateOf(scope: RepositoryScope, number: number): Promise<MergeState> {
  for (let attempt = 1; ; attempt++) {
    const state = await askMergeState(scope, number);
    if (state.mergeable !== 'UNKNOWN' || attempt === MERGEABLE_ATTEMPTS) return state;
    await new Promise((resolve) => setTimeout(resolve, 1_000));
  }
}

async function askMergeState({ octokit, repository, appId }: RepositoryScope, number: number): Promise<MergeState> {
  const checks: MergeState['checks'] = [];
  for (let after: string | undefined; ; ) {
    const { repository: found } = await octokit.graphql<{ repository: { pullRequest: PullRequestNode } }>(QUERY, {
      owner: repository.owner,
      name: repository.name,
      number,
      ...(after === undefined ? {} : { after }),
    });
    const node = found.pullRequest;
    const contexts = node.statusCheckRollup?.contexts;
    checks.push(...(contexts?.nodes ?? []).map((context) => toCheck(context, appId)));
    if (contexts?.pageInfo.hasNextPage) {
      after = contexts.pageInfo.endCursor;
      continue;
    }
    const { isDraft, mergeable, reviewDecision } = node;
    const reviews = node.latestOpinionatedReviews?.nodes.map((review) => review.state) ?? [];
    return { isDraft, mergeable, reviewDecision, reviews, checks };
  }
}

function toCheck(context: ContextNode, appId: number): MergeState['checks'][number] {
  if (context.__typename === 'StatusContext') {
    const { context: name, state, isRequired } = context;
    return { name, own: false, isRequired, passes: state === 'SUCCESS' };
  }
  const { name, conclusion, isRequired, checkSuite } = context;
  const passes = conclusion !== null && ['SUCCESS', 'NEUTRAL', 'SKIPPED'].includes(conclusion);
  return { name, own: checkSuite.app?.databaseId === appId, isRequired, passes };
}
