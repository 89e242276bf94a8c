import type { Tx } from '../db/pool.js';
import type { PullRequest, Run } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { createRun } from '../runs/create.js';
import { readSettings } from '../workspaces/sync.js';
import { refuse, runOfCheck } from './check-run.js';
import { findBranch } from './commits.js';
import type { Received, RepositoryScope } from './handling.js';
import { lookAtHead, planHead } from './head.js';
import { mayWrite } from './permissions.js';
import { findPullRequest, openPullRequestsWith } from './pull-requests.js';
import { shortSha } from './words.js';

/** Something to plan again: GitHub was asked already, and it happens within a transaction. */
type Rerun = (tx: Tx) => Promise<unknown>;

const HEAD_CHECK = 'signalbox';
const SETTINGS_CHECK = 'signalbox/config';

/** 'Re-run' on one of our check runs. */
export async function rerunCheck(event: Received<'check_run.rerequested'>): Promise<void> {
  const { payload } = event;
  const { check_run: check, sender } = payload;
  if (check.app?.id !== event.appId) return;
  const run = await runOfCheck(event, check);
  if (!(await mayWrite(event, sender.login))) {
    if (run) await event.commit((tx) => refuse(tx, run, sender.login, 'Only people with write access may re-run.'));
    return;
  }
  const reruns = run
    ? await rerunsOf(event, [run], sender.login)
    : check.name === HEAD_CHECK
      ? await rerunsOfHead(event, check.head_sha, sender.login)
      : check.name === SETTINGS_CHECK
        ? [await validation(event, check.head_sha)]
        : [];
  await doAll(event, reruns);
}

/** 'Re-run all checks' of a commit. */
export async function rerunSuite(event: Received<'check_suite.rerequested'>): Promise<void> {
  const { payload, db, repository } = event;
  const { head_sha: sha, app } = payload.check_suite;
  if (app.id !== event.appId || !(await mayWrite(event, payload.sender.login))) return;
  const checks = await db
    .selectFrom('check_runs')
    .select(['name', 'run_id'])
    .where('repository_id', '=', repository.id)
    .where('head_sha', '=', sha)
    .execute();
  const pushed = await db
    .selectFrom('runs')
    .distinctOn('workspace_id')
    .selectAll()
    .where('repository_id', '=', repository.id)
    .where('commit_sha', '=', sha)
    .where('pull_request', 'is', null)
    .where('speculative', '=', false)
    .orderBy('workspace_id')
    .orderBy('sequence', 'desc')
    .execute();
  const reruns = await rerunsOf(event, pushed, payload.sender.login);
  reruns.push(...(await rerunsOfHead(event, sha, payload.sender.login)));
  if (checks.some(({ name }) => name === SETTINGS_CHECK)) reruns.push(await validation(event, sha));
  await doAll(event, reruns);
}

async function doAll(event: Pick<Received<'check_run'>, 'commit'>, reruns: Rerun[]): Promise<void> {
  if (reruns.length === 0) return;
  await event.commit(async (tx) => {
    for (const rerun of reruns) await rerun(tx);
  });
}

/** Everything that is summed up on a head: the pull requests that have it, and a merge group's runs. */
async function rerunsOfHead(scope: RepositoryScope, sha: string, actor: string): Promise<Rerun[]> {
  const reruns: Rerun[] = [];
  for (const pullRequest of await openPullRequestsWith(scope.db, scope.repository.id, sha)) {
    reruns.push(...(await planAgain(scope, pullRequest, actor)));
  }
  const ofGroup = await scope.db
    .selectFrom('runs')
    .distinctOn('workspace_id')
    .selectAll()
    .where('repository_id', '=', scope.repository.id)
    .where('commit_sha', '=', sha)
    .where('trigger', '=', 'merge_group')
    .orderBy('workspace_id')
    .orderBy('sequence', 'desc')
    .execute();
  return [...reruns, ...(await rerunsOf(scope, ofGroup, actor))];
}

async function rerunsOf(scope: RepositoryScope, runs: readonly Run[], actor: string): Promise<Rerun[]> {
  const reruns: Rerun[] = [];
  for (const run of runs) {
    if (run.pull_request !== null) reruns.push(...(await rerunOfPullRequest(scope, run, run.pull_request, actor)));
    else if (run.speculative) reruns.push((tx) => repeat(tx, run, actor, 'merge_group'));
    else reruns.push(await rerunOfPush(scope, run, actor));
  }
  return reruns;
}

async function rerunOfPullRequest(scope: RepositoryScope, run: Run, number: number, actor: string): Promise<Rerun[]> {
  const pullRequest = await findPullRequest(scope.db, scope.repository.id, number);
  const { state, head_sha } = pullRequest;
  if (state === 'open' && head_sha === run.commit_sha) return planAgain(scope, pullRequest, actor, [run.settings.name]);
  const reason =
    state === 'open'
      ? `The head of #${number} moved on from ${shortSha(run.commit_sha)} to ${shortSha(head_sha)}: only that is planned.`
      : `#${number} is ${state}: it isn't planned any more.`;
  return [(tx) => refuse(tx, run, actor, reason)];
}

async function planAgain(
  scope: RepositoryScope,
  pullRequest: PullRequest,
  actor: string,
  only?: string[],
): Promise<Rerun[]> {
  const head = await lookAtHead(scope, { base: pullRequest.base_sha, sha: pullRequest.head_sha });
  if (!head) return [];
  const request = { trigger: 'rerun' as const, actor, again: true, ...(only ? { only } : {}) };
  return [(tx) => planHead(tx, pullRequest, head, request)];
}

/** An older commit isn't planned again: applying it would take back what came after it. */
async function rerunOfPush(scope: RepositoryScope, run: Run, actor: string): Promise<Rerun> {
  const head = await findBranch(scope, run.branch);
  if (head?.sha === run.commit_sha) return (tx) => repeat(tx, run, actor, 'rerun');
  const reason = head
    ? `${shortSha(run.commit_sha)} is no longer the head of ${run.branch}, so a run of it would roll back: push or re-run ${shortSha(head.sha)}.`
    : `Branch ${run.branch} is gone.`;
  return (tx) => refuse(tx, run, actor, reason);
}

async function repeat(tx: Tx, run: Run, actor: string, trigger: 'rerun' | 'merge_group'): Promise<void> {
  const workspace = await tx
    .selectFrom('workspaces')
    .selectAll()
    .where('id', '=', run.workspace_id)
    .where('removed_at', 'is', null)
    .executeTakeFirst();
  if (!workspace) return refuse(tx, run, actor, `There is no workspace ${run.settings.name} any more.`);
  if (!run.speculative && workspace.branch !== run.branch) {
    return refuse(tx, run, actor, `${workspace.name} follows ${workspace.branch} now.`);
  }
  const unfinished = await tx
    .selectFrom('runs')
    .select('id')
    .where('workspace_id', '=', workspace.id)
    .where('commit_sha', '=', run.commit_sha)
    .where('speculative', '=', run.speculative)
    .where('pull_request', 'is', null)
    .where('ended_at', 'is', null)
    .executeTakeFirst();
  if (unfinished)
    return refuse(
      tx,
      run,
      actor,
      `${unfinished.id} of this commit is under way already: wait for its end, or discard it first.`,
    );
  const { speculative, commit_sha: commitSha, commit_message: commitMessage, branch, clears_hold: clearsHold } = run;
  await createRun(tx, { workspace, speculative, trigger, actor, commitSha, commitMessage, branch, clearsHold });
}

async function validation({ mirrors, repository }: RepositoryScope, sha: string): Promise<Rerun> {
  const { problems } = await readSettings(mirrors.of(repository), sha);
  return (tx) => enqueue(tx, { kind: 'settings_report', repository: repository.id, sha, problems });
}
