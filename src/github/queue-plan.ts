import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Repository, Run, Workspace } from '../db/schema.js';
import { CommitGone } from '../git/mirror.js';
import { enqueue } from '../queue/outbox.js';
import { createRun } from '../runs/create.js';
import { lockQueue } from '../runs/next.js';
import { commitNoted } from '../runs/noted.js';
import { said } from '../runs/said.js';
import { type LoadedSettings, loadSettings } from '../workspaces/sync.js';
import { findHead } from './branches.js';
import { findBranch, messageOf } from './commits.js';
import { isNotFound } from './failures.js';
import type { RepositoryScope, Services } from './handling.js';
import { clearedHolds } from './hold.js';
import { pushWaits, recordLook } from './look.js';
import { mayWrite } from './permissions.js';
import { inRepository } from './repository-scope.js';
import { takeSettings } from './settings.js';
import { shortSha } from './words.js';

/** In characters. */
export const MAX_MESSAGE_LENGTH = 1_000;

export interface PlanWanted {
  workspace: number;
  /** GitHub login. */
  actor: string;
  /** May be empty. */
  message: string;
}

/** What became of it. `reason`: a sentence. */
export type QueuedPlan = { queued: true; run: Run } | { queued: false; reason: string };

/** A press within so many seconds of the same one is the same press. */
const DOUBLE_PRESS_SECONDS = 10;

/**
 * Queues a run by hand: of the present head of the workspace's branch, with the settings that the default branch has then, as
 * a push of it would. Asks GitHub and git, and throws what they throw while they are away. Throws SaidTooMuch.
 */
export async function queuePlan(services: Services, wanted: PlanWanted): Promise<QueuedPlan> {
  const message = said(wanted.message, MAX_MESSAGE_LENGTH);
  const workspace = await findWorkspace(services.db, wanted.workspace);
  return inRepository(services, workspace.repository_id, async (scope) => {
    const obstacle = await obstacleIn(scope, workspace, wanted.actor);
    if (obstacle !== undefined) return { queued: false, reason: obstacle };
    const head = await lookAtBranch(scope, workspace);
    if ('reason' in head) return { queued: false, reason: head.reason };
    try {
      return await commitNoted(services.db, services.log, (tx) =>
        queue(tx, scope, workspace, head, { ...wanted, message }),
      );
    } catch (error) {
      if (!(error instanceof BranchMoved)) throw error;
      // Nobody may have told of it. A push in line tells for itself: then this look does nothing.
      await recordLook(services.db, workspace.repository_id, { name: 'signalbox.branch', branch: error.branch });
      return { queued: false, reason: beingTakenUp(scope) };
    }
  });
}

/** The record and GitHub differ on where a branch is: whichever is behind, a run of this head could take a push back. */
class BranchMoved extends Error {
  override name = 'BranchMoved';

  constructor(readonly branch: string) {
    super(`${branch} has moved`);
  }
}

function beingTakenUp({ repository: { owner, name } }: RepositoryScope): string {
  return `A push to ${owner}/${name} is being taken up: queue the plan when its runs are there.`;
}

/** What can be told before anything is looked at, as a sentence. */
async function obstacleIn(scope: RepositoryScope, workspace: Workspace, actor: string): Promise<string | undefined> {
  const { db, repository, octokit } = scope;
  const name = `${repository.owner}/${repository.name}`;
  if (workspace.removed_at !== null) return `There is no workspace ${workspace.name} any more.`;
  if (repository.removed_at !== null) {
    return `${name} is archived, or isn't one of this App's repositories any more.`;
  }
  try {
    const { data } = await octokit.rest.repos.get({ owner: repository.owner, repo: repository.name });
    if (data.archived) return `${name} is archived.`;
  } catch (error) {
    if (isNotFound(error)) return `GitHub has no ${name} that this App may see.`;
    throw error;
  }
  if (!(await mayWrite(scope, actor))) return 'Only people with write access to this repository may queue a plan.';
  // Its own run would come after this one, and if there was another push since, take that back.
  if (await pushWaits(db, repository.id)) {
    return beingTakenUp(scope);
  }
  return undefined;
}

interface Head {
  sha: string;
  message: string;
  settings: LoadedSettings;
  settingsSha: string;
  cleared: ReadonlySet<number>;
}

/** Of the branch that the workspace follows as of the default branch's present head, which may be another one than before. */
async function lookAtBranch(scope: RepositoryScope, workspace: Workspace): Promise<Head | { reason: string }> {
  const { db, repository } = scope;
  const defaultHead = await findBranch(scope, repository.default_branch);
  if (!defaultHead) return { reason: `Branch ${repository.default_branch} is gone.` };
  const branch = workspace.branch;
  const head = branch === repository.default_branch ? defaultHead : await findBranch(scope, branch);
  if (!head) return { reason: `Branch ${branch} is gone.` };
  const mirror = scope.mirrors.of(repository);
  try {
    await mirror.fetch([head.sha]);
    const [settings, message, cleared] = await Promise.all([
      loadSettings(db, mirror, repository, defaultHead.sha),
      messageOf(scope, head.sha),
      clearedHolds(scope, branch, head.sha),
    ]);
    return { sha: head.sha, message, settings, settingsSha: defaultHead.sha, cleared };
  } catch (error) {
    if (error instanceof CommitGone) return { reason: `Branch ${branch} is moving: queue the plan again.` };
    throw error;
  }
}

async function queue(
  tx: Tx,
  { repository }: RepositoryScope,
  seen: Workspace,
  head: Head,
  { actor, message }: PlanWanted,
): Promise<QueuedPlan> {
  const { problems } = head.settings;
  const workspace = (await takeSettings(tx, head.settings)).find(({ id }) => id === seen.id);
  if (problems.length > 0) {
    await enqueue(tx, { kind: 'settings_report', repository: repository.id, sha: head.settingsSha, problems });
  }
  if (!workspace) {
    const reason =
      problems.length > 0
        ? `.github/signalbox.yml has problems at ${shortSha(head.settingsSha)}, and ${seen.name} isn't to be had from it: see its check run signalbox/config.`
        : `There is no workspace ${seen.name} any more.`;
    return { queued: false, reason };
  }
  if (workspace.branch !== seen.branch) {
    return { queued: false, reason: `${seen.name} follows ${workspace.branch} now: queue the plan again.` };
  }
  await lockQueue(tx, workspace.id);
  await throwIfMoved(tx, repository, workspace.branch, head);
  const pressed = await samePress(tx, workspace, head.sha, actor, message);
  if (pressed) return { queued: true, run: pressed };
  const { run } = await createRun(tx, {
    workspace,
    speculative: false,
    trigger: 'page',
    actor,
    commitSha: head.sha,
    commitMessage: head.message,
    branch: workspace.branch,
    clearsHold: head.cleared.has(workspace.id),
    message: message === '' ? undefined : message,
  });
  return { queued: true, run };
}

/**
 * Runs of pushes that come from now on wait for the queue, and have a place behind ours; those that came since the branch
 * was looked at show in the record. Throws BranchMoved, which takes back the settings too.
 */
async function throwIfMoved(tx: Tx, repository: Repository, branch: string, head: Head): Promise<void> {
  const looked = new Map([
    [repository.default_branch, head.settingsSha],
    [branch, head.sha],
  ]);
  for (const [name, sha] of looked) {
    const known = await findHead(tx, repository.id, name);
    if (known && known.head_sha !== sha) throw new BranchMoved(name);
  }
  if (await pushWaits(tx, repository.id)) throw new BranchMoved(branch);
}

/** A button that was pressed twice queues one plan. */
async function samePress(tx: Tx, workspace: Workspace, sha: string, actor: string, message: string) {
  return tx
    .selectFrom('runs')
    .selectAll()
    .where('workspace_id', '=', workspace.id)
    .where('trigger', '=', 'page')
    .where('actor', '=', actor)
    .where('commit_sha', '=', sha)
    .where('message', 'is not distinct from', message === '' ? null : message)
    .where('created_at', '>', sql<Date>`clock_timestamp() - make_interval(secs => ${DOUBLE_PRESS_SECONDS})`)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
}

function findWorkspace(db: Db, id: number): Promise<Workspace> {
  return db.selectFrom('workspaces').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
}
