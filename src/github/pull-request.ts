import type { PullRequest } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { plannedRunsOf, unfinishedRunsOf } from '../runs/store.js';
import type { Received, RepositoryDelivery } from './handling.js';
import { endRun, lookAtHead, planHead } from './head.js';
import { lookAtHolds, resolveHolds } from './hold.js';
import { type PullRequestPayload, recordPullRequest } from './pull-requests.js';

/**
 * A pull request: opened, reopened, new commits, ready for review, another base, closed. Drafts are planned like
 * others: their authors want to see what they would change; what a draft can't be is applied while `mergeable` is asked
 * for. `ready_for_review` plans only what its head has no plan of.
 */
export async function pullRequest(event: Received<'pull_request'>): Promise<void> {
  const { payload } = event;
  if (payload.action === 'edited' && !('base' in payload.changes)) return;
  const actor = payload.sender?.login ?? 'ghost';
  await followPullRequest(event, payload.pull_request, { actor, again: payload.action === 'reopened' });
}

/** Does what a pull request's state asks for. `again`: also plan workspaces that its head has a plan of. */
export async function followPullRequest(
  event: RepositoryDelivery,
  payload: PullRequestPayload,
  { actor, again }: { actor: string; again: boolean },
): Promise<void> {
  const { db, repository } = event;
  const recorded = await recordPullRequest(db, repository.id, payload);
  if (recorded.stale) {
    event.log.info({ number: payload.number }, 'A later state of the pull request is on record already');
  } else if (recorded.pullRequest.state === 'open') {
    await plan(event, recorded.pullRequest, actor, again);
  } else {
    await close(event, recorded.pullRequest, actor);
  }
}

async function plan(event: RepositoryDelivery, pullRequest: PullRequest, actor: string, again: boolean): Promise<void> {
  const head = await lookAtHead(event, { base: pullRequest.base_sha, sha: pullRequest.head_sha });
  if (!head) return;
  await event.commit((tx) => planHead(tx, pullRequest, head, { trigger: 'pull_request', actor, again }));
}

/** What its runs were for is gone, or goes on as a run of the merge. An apply under way goes on to its end. */
async function close(event: RepositoryDelivery, pullRequest: PullRequest, actor: string): Promise<void> {
  const end = await lookAtHolds(event, pullRequest);
  const { repository_id: repository, number, state } = pullRequest;
  await event.commit(async (tx) => {
    for (const run of (await unfinishedRunsOf(tx, repository, number)).reverse()) {
      await endRun(tx, run, `#${number} was ${state}.`);
    }
    await resolveHolds(tx, pullRequest, actor, end);
    await enqueue(
      tx,
      ...(await plannedRunsOf(tx, repository, number)).map((run) => ({ kind: 'run_report' as const, run })),
      { kind: 'pull_request_report', repository, number },
      { kind: 'head_report', repository, sha: pullRequest.head_sha },
    );
  });
}
