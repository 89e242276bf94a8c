import type { Tx } from '../db/pool.js';
import type { PullRequest } from '../db/schema.js';
import { applyWorkspace, type Outcome } from './apply.js';
import type { Answer, CommandRequest } from './command-request.js';
import type { RepositoryScope } from './handling.js';
import { lookAtHead, planHead } from './head.js';
import { lockWorkspaces, unlockWorkspaces } from './lock.js';
import { mayAdminister } from './permissions.js';
import { unmetRequirements } from './requirements.js';
import { nothingToStop, type StopVerb, stopped, stopRuns } from './stop.js';
import { shortSha } from './words.js';

/** Asks GitHub what has to be known for a command; what is yielded then follows it within a transaction. */
export async function prepareCommand(
  scope: RepositoryScope,
  request: CommandRequest,
): Promise<(tx: Tx) => Promise<Answer>> {
  const { verb, pullRequest, actor } = request;
  if (verb === 'discard' || verb === 'cancel' || verb === 'force-cancel') return (tx) => stop(tx, verb, request);
  if (verb === 'lock') return (tx) => lockWorkspaces(tx, request);
  if (verb === 'unlock') {
    const isAdmin = await mayAdminister(scope, actor);
    return (tx) => unlockWorkspaces(tx, request, isAdmin);
  }
  const refused = whyNotOpen(verb, pullRequest) ?? (await whyHeadMoved(scope, request));
  if (refused) return async () => ({ refused });
  return verb === 'plan' ? preparePlan(scope, request) : prepareApply(scope, request);
}

function whyNotOpen(verb: string, { number, state, merge_commit_sha }: PullRequest): string | undefined {
  if (state === 'open') return undefined;
  if (state === 'closed') return `#${number} is closed: reopen it to \`${verb}\`.`;
  const where = verb === 'apply' ? 'Apply is now on the checks of' : 'What follows is planned as';
  return `#${number} is merged. ${where} its merge commit ${shortSha(merge_commit_sha ?? '')}.`;
}

/** Whoever wrote the command can't have meant a head that came after it. */
async function whyHeadMoved(
  { db }: RepositoryScope,
  { verb, pullRequest, askedAt }: CommandRequest,
): Promise<string | undefined> {
  const { repository_id, head_at, head_sha, number } = pullRequest;
  if (head_at === null || head_at <= askedAt) return undefined;
  const earlier = await db
    .selectFrom('runs')
    .select('commit_sha')
    .where('repository_id', '=', repository_id)
    .where('pull_request', '=', number)
    .where('commit_sha', '<>', head_sha)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  const from = earlier ? ` from ${shortSha(earlier.commit_sha)}` : '';
  return `The head of #${number} moved${from} to ${shortSha(head_sha)} after this was written, so nothing was done: look at the new commits, then \`${verb}\` again.`;
}

async function preparePlan(scope: RepositoryScope, request: CommandRequest): Promise<(tx: Tx) => Promise<Answer>> {
  const { pullRequest, actor, named } = request;
  const head = await lookAtHead(scope, { base: pullRequest.base_sha, sha: pullRequest.head_sha });
  if (!head) return async () => ({ refused: `Commit ${shortSha(pullRequest.head_sha)} is gone: push again.` });
  const names = request.workspaces.map(({ name }) => name);
  return async (tx) => {
    if (pullRequest.fork) await allowHead(tx, pullRequest);
    const planned = await planHead(tx, pullRequest, head, {
      trigger: 'comment',
      actor,
      again: true,
      ...(named ? { only: names } : {}),
    });
    if (!named && planned.length === 0) return { refused: `#${pullRequest.number} affects no workspace.` };
    const outcome = (workspace: string): Outcome =>
      planned.some(({ name }) => name === workspace)
        ? { workspace, done: true }
        : { workspace, done: false, reason: "doesn't follow the base branch of this pull request" };
    return { outcomes: (named ? names : planned.map(({ name }) => name)).map(outcome), named };
  };
}

async function allowHead(tx: Tx, { repository_id, number, head_sha }: PullRequest): Promise<void> {
  await tx
    .updateTable('pull_requests')
    .set({ allowed_sha: head_sha })
    .where('repository_id', '=', repository_id)
    .where('number', '=', number)
    .execute();
}

async function prepareApply(scope: RepositoryScope, request: CommandRequest): Promise<(tx: Tx) => Promise<Answer>> {
  const { pullRequest, named, actor, askedAt, receivedAt } = request;
  const { number, head_sha, affected_sha } = pullRequest;
  if (affected_sha !== head_sha) {
    const refused = `The head of #${number} is ${shortSha(head_sha)}${affected_sha ? `, and what was planned is ${shortSha(affected_sha)}` : ''}: wait for its plan, then \`apply\` again.`;
    return async () => ({ refused });
  }
  const affected = request.workspaces.filter(({ id }) => named || pullRequest.affected?.includes(id));
  if (affected.length === 0) return async () => ({ refused: `#${number} affects no workspace.` });
  const unmet = await unmetRequirements(
    scope,
    pullRequest,
    new Set(affected.flatMap((workspace) => workspace.apply_requirements)),
  );
  return async (tx) => {
    const outcomes: Outcome[] = [];
    for (const workspace of affected) {
      const apply = { pullRequest, trigger: 'comment' as const, actor, askedAt, receivedAt, unmet };
      outcomes.push(await applyWorkspace(tx, apply, workspace));
    }
    return { outcomes, named };
  };
}

async function stop(tx: Tx, verb: StopVerb, request: CommandRequest): Promise<Answer> {
  const { pullRequest, workspaces, named, actor } = request;
  const outcomes: Outcome[] = [];
  for (const workspace of workspaces) {
    const outcome = await stopRuns(tx, verb, pullRequest, workspace, actor);
    if (outcome) outcomes.push(outcome);
    else if (named) outcomes.push(await nothingToStop(tx, verb, pullRequest, workspace));
  }
  if (outcomes.length > 0) return { outcomes, named };
  return {
    refused: `#${pullRequest.number} has no unfinished run that could be ${stopped(verb)}.`,
  };
}
