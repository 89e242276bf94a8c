import type { Tx } from '../db/pool.js';
import type { PullRequest, Run, Trigger, Workspace } from '../db/schema.js';
import { CommitGone, type Mirror } from '../git/mirror.js';
import { enqueue, type SettingsProblem } from '../queue/outbox.js';
import { cancelRun } from '../runs/actions.js';
import { createRun } from '../runs/create.js';
import { plannedRunsOf, unfinishedRunsOf } from '../runs/store.js';
import { SETTINGS_FILE } from '../workspaces/settings-file.js';
import { affectedBy, type LoadedSettings, loadSettings, readSettings } from '../workspaces/sync.js';
import type { ChangedPaths } from '../workspaces/triggers.js';
import { compare, findBranch, messageOf } from './commits.js';
import type { RepositoryScope } from './handling.js';
import { takeSettings } from './settings.js';
import { shortSha } from './words.js';

/** What has to be asked of GitHub and git before a pull request's or merge group's head can be planned. */
export interface Head {
  sha: string;
  message: string;
  /** As of the default branch, never of the head itself. */
  settings: LoadedSettings;
  changed: ChangedPaths;
  /** What is wrong with the head's own settings file: it would be so on its base too, once it is merged. */
  problems: SettingsProblem[];
  /** The head changes that file. */
  editsSettings: boolean;
}

/** Looks at what a head changes since it left its base. Undefined where the head or the default branch is gone. */
export async function lookAtHead(
  scope: RepositoryScope,
  head: { base: string; sha: string },
): Promise<Head | undefined> {
  const { db, repository } = scope;
  const [branch, comparison, message] = await Promise.all([
    findBranch(scope, repository.default_branch),
    compare(scope, head.base, head.sha),
    messageOf(scope, head.sha),
  ]);
  if (!branch) return undefined;
  const mirror = scope.mirrors.of(repository);
  try {
    await mirror.fetch([head.sha]);
    const settings = await loadSettings(db, mirror, repository, branch.sha);
    const changed = comparison ? await changesSince(mirror, comparison.mergeBase, head.sha) : 'unknown';
    const editsSettings = changed !== 'unknown' && changed.includes(SETTINGS_FILE);
    const hasSettings = (await mirror.files(head.sha)).includes(SETTINGS_FILE);
    const problems = hasSettings ? (await readSettings(mirror, head.sha)).problems : [];
    return { sha: head.sha, message, settings, changed, problems, editsSettings };
  } catch (error) {
    if (!(error instanceof CommitGone)) throw error;
    scope.log.info({ commit: head.sha }, 'A commit is gone: nothing is planned');
    return undefined;
  }
}

async function changesSince(mirror: Mirror, from: string, to: string): Promise<ChangedPaths> {
  try {
    await mirror.fetch([from, to]);
    return await mirror.changedPaths(from, to);
  } catch (error) {
    if (error instanceof CommitGone) return 'unknown';
    throw error;
  }
}

export interface PlanRequest {
  trigger: Trigger;
  /** GitHub login of who caused it. */
  actor: string;
  /** Plan again what this head has a finished plan of. Otherwise only what it has none of. */
  again: boolean;
  /** Names of the workspaces that were asked for. Undefined: those that the head affects. */
  only?: readonly string[];
}

/**
 * Plans a pull request's head: a speculative run for each affected workspace. Unfinished runs of its earlier heads, and
 * of workspaces that it doesn't affect any more, end. A fork's head is planned only once somebody with write asked for
 * it; until then the reports say so.
 */
export async function planHead(tx: Tx, seen: PullRequest, head: Head, request: PlanRequest): Promise<Workspace[]> {
  const following = (await takeSettings(tx, head.settings)).filter((workspace) => workspace.branch === seen.base_ref);
  const affected = affectedBy(following, head.changed);
  const asked = request.only ? following.filter(({ name }) => request.only?.includes(name)) : affected;
  const shown = [...new Set([...affected, ...asked])];
  const pullRequest = await tx
    .updateTable('pull_requests')
    .set({ affected: shown.map(({ id }) => id), affected_sha: head.sha, settings_problems: head.problems.length })
    .where('repository_id', '=', seen.repository_id)
    .where('number', '=', seen.number)
    .returningAll()
    .executeTakeFirstOrThrow();
  await endObsoleteRuns(tx, pullRequest, shown);
  if (mayBePlanned(pullRequest)) {
    for (const workspace of asked) await planWorkspace(tx, pullRequest, workspace, head, request);
  }

  const { repository_id: repository, number } = pullRequest;
  // Plans of earlier heads lose their Apply button, those of this one get it.
  await enqueue(
    tx,
    ...(await plannedRunsOf(tx, repository, number)).map((run) => ({ kind: 'run_report' as const, run })),
    { kind: 'pull_request_report', repository, number },
    { kind: 'head_report', repository, sha: head.sha },
  );
  if (head.editsSettings) {
    await enqueue(tx, { kind: 'settings_report', repository, sha: head.sha, problems: head.problems });
  }
  return asked;
}

/** Pull requests of forks come from people who may not push: their code runs only when somebody who may says so. */
export function mayBePlanned(pullRequest: PullRequest): boolean {
  return !pullRequest.fork || pullRequest.allowed_sha === pullRequest.head_sha;
}

/** Ends what a run still does, except an apply under way: it is too late for that one. */
export async function endRun(tx: Tx, run: Run, reason: string): Promise<void> {
  if (run.state !== 'applying') await cancelRun(tx, run, reason);
}

async function planWorkspace(tx: Tx, pullRequest: PullRequest, workspace: Workspace, head: Head, request: PlanRequest) {
  const earlier = await tx
    .selectFrom('runs')
    .select('id')
    .where('workspace_id', '=', workspace.id)
    .where('pull_request', '=', pullRequest.number)
    .where('commit_sha', '=', head.sha)
    .where('speculative', '=', true)
    .where('cancel_requested_at', 'is', null)
    .where((eb) =>
      request.again
        ? eb('ended_at', 'is', null)
        : eb.or([eb('ended_at', 'is', null), eb('state', 'not in', ['discarded', 'canceled'])]),
    )
    .executeTakeFirst();
  if (earlier) return;
  await createRun(tx, {
    workspace,
    speculative: true,
    trigger: request.trigger,
    actor: request.actor,
    commitSha: head.sha,
    commitMessage: head.message,
    branch: pullRequest.head_ref,
    pullRequest: pullRequest.number,
  });
}

async function endObsoleteRuns(tx: Tx, pullRequest: PullRequest, affected: Workspace[]): Promise<void> {
  const { repository_id, number, head_sha } = pullRequest;
  const runs = await unfinishedRunsOf(tx, repository_id, number);
  for (const run of runs.reverse()) {
    if (run.commit_sha !== head_sha) {
      await endRun(tx, run, `The head of #${number} moved on to ${shortSha(head_sha)}.`);
    } else if (!affected.some(({ id }) => id === run.workspace_id)) {
      await endRun(tx, run, `#${number} doesn't affect this workspace any more.`);
    }
  }
}
