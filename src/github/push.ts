import type { Tx } from '../db/pool.js';
import type { Repository } from '../db/schema.js';
import { CommitGone, type Mirror } from '../git/mirror.js';
import { enqueue } from '../queue/outbox.js';
import { discardRun } from '../runs/actions.js';
import { createRun } from '../runs/create.js';
import { affectedBy, loadSettings, workspacesOf } from '../workspaces/sync.js';
import type { ChangedPaths } from '../workspaces/triggers.js';
import { findBranch, ZERO_SHA } from './commits.js';
import type { Received } from './handling.js';
import { clearedHolds } from './hold.js';
import { takeSettings } from './settings.js';

/**
 * A push to a branch: one run for each workspace that follows the branch and is affected by what was pushed. Settings
 * are those of the pushed commit on the default branch, and of the default branch for every other one. Tags are ignored.
 */
export async function push(event: Received<'push'>): Promise<void> {
  const { payload, repository, db } = event;
  const branch = /^refs\/heads\/(.+)$/.exec(payload.ref)?.[1];
  if (branch === undefined) return;
  if (payload.deleted) return event.commit((tx) => discardPendingOf(tx, repository, branch));

  const isDefault = branch === repository.default_branch;
  const settingsSha = isDefault ? payload.after : (await findBranch(event, repository.default_branch))?.sha;
  if (settingsSha === undefined) return;
  if (settingsSha === repository.settings_sha && !(await isFollowed(event, branch))) return;
  const mirror = event.mirrors.of(repository);
  if (!(await hasCommit(mirror, payload.after))) {
    event.log.info({ commit: payload.after }, 'A pushed commit is gone: no runs');
    return;
  }
  const [settings, changed, cleared] = await Promise.all([
    loadSettings(db, mirror, repository, settingsSha),
    changedPaths(mirror, payload.before, payload.after),
    clearedHolds(event, branch, payload.after),
  ]);

  await event.commit(async (tx) => {
    const following = (await takeSettings(tx, settings)).filter((workspace) => workspace.branch === branch);
    for (const workspace of affectedBy(following, changed)) {
      await createRun(tx, {
        workspace,
        speculative: false,
        trigger: 'push',
        actor: payload.sender?.login ?? payload.pusher.name,
        commitSha: payload.after,
        commitMessage: payload.head_commit?.message ?? '',
        branch,
        clearsHold: cleared.has(workspace.id),
      });
    }
    if (isDefault && settings.problems.length > 0) {
      const { problems } = settings;
      await enqueue(tx, { kind: 'settings_report', repository: repository.id, sha: payload.after, problems });
    }
  });
}

/** Most pushes are to branches that no workspace follows: they cost no fetch. */
async function isFollowed({ db, repository }: Received<'push'>, branch: string): Promise<boolean> {
  return (await workspacesOf(db, repository.id)).some((workspace) => workspace.branch === branch);
}

/** What a branch's move changed. Unknown for a new branch, and for one that left commits which nobody has any more. */
async function changedPaths(mirror: Mirror, before: string, after: string): Promise<ChangedPaths> {
  if (before === ZERO_SHA || !(await hasCommit(mirror, before))) return 'unknown';
  return mirror.changedPaths(before, after);
}

async function hasCommit(mirror: Mirror, sha: string): Promise<boolean> {
  try {
    await mirror.fetch([sha]);
    return true;
  } catch (error) {
    if (error instanceof CommitGone) return false;
    throw error;
  }
}

/** Runs that wait in the queue end with their branch. One that waits for a person is left to that person. */
async function discardPendingOf(tx: Tx, repository: Repository, branch: string): Promise<void> {
  const runs = await tx
    .selectFrom('runs')
    .selectAll()
    .where('repository_id', '=', repository.id)
    .where('branch', '=', branch)
    .where('state', '=', 'pending')
    .where('speculative', '=', false)
    .where('pull_request', 'is', null)
    .orderBy('sequence', 'desc')
    .execute();
  for (const run of runs) await discardRun(tx, run, `Branch ${branch} was deleted.`);
}
