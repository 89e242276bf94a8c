import type { Tx } from '../db/pool.js';
import type { Repository } from '../db/schema.js';
import { CommitGone, type Mirror } from '../git/mirror.js';
import { enqueue } from '../queue/outbox.js';
import { discardRun } from '../runs/actions.js';
import { createRun } from '../runs/create.js';
import { affectedBy, loadSettings, workspacesOf } from '../workspaces/sync.js';
import type { ChangedPaths } from '../workspaces/triggers.js';
import { findHead, judge, type Move, takeHead } from './branches.js';
import { findBranch, ZERO_SHA } from './commits.js';
import type { Received, RepositoryDelivery } from './handling.js';
import { clearedHolds } from './hold.js';
import { takeSettings } from './settings.js';

/**
 * A push to a branch: one run for each workspace that follows the branch and is affected by what was pushed. Settings
 * are those of the pushed commit on the default branch, and of the default branch for every other one. Tags are ignored.
 */
export async function push(event: Received<'push'>): Promise<void> {
  const { payload } = event;
  const branch = /^refs\/heads\/(.+)$/.exec(payload.ref)?.[1];
  if (branch === undefined) return;
  const { before, after } = payload;
  await followBranch(event, {
    branch,
    before,
    after: payload.deleted ? ZERO_SHA : after,
    pushedAt: timeOf(payload.repository.pushed_at),
    actor: payload.sender?.login ?? payload.pusher.name,
    message: payload.head_commit?.message ?? '',
  });
}

/** A move, with what its runs say of it. */
export interface AttributedMove extends Move {
  /** GitHub login. */
  actor: string;
  /** Of the commit. */
  message: string;
}

/** Queues what a branch's move brought, unless the record knows better. */
export async function followBranch(event: RepositoryDelivery, move: AttributedMove): Promise<void> {
  const { repository, db } = event;
  const { branch, after } = move;
  const isDefault = branch === repository.default_branch;
  if (after === ZERO_SHA) return followDeletion(event, move);
  const settingsSha = isDefault ? after : (await findBranch(event, repository.default_branch))?.sha;
  if (settingsSha === undefined) return;
  if (settingsSha === repository.settings_sha && !(await isFollowed(event, branch))) return;
  const verdict = await judge(event, await findHead(db, repository.id, branch), move);
  if (verdict.kind === 'overtaken') {
    event.log.info({ branch, commit: after }, 'A push that was overtaken: no runs');
    return;
  }
  if (verdict.kind === 'done') return event.commit((tx) => takeHead(tx, repository.id, move));
  await queueRuns(event, move, verdict.since, settingsSha);
}

async function followDeletion(event: RepositoryDelivery, move: Move): Promise<void> {
  const { repository, db } = event;
  const known = await findHead(db, repository.id, move.branch);
  if ((await judge(event, known, move)).kind !== 'next') return;
  await event.commit(async (tx) => {
    await discardPendingOf(tx, repository, move.branch);
    if (known) await takeHead(tx, repository.id, move);
  });
}

async function queueRuns(
  event: RepositoryDelivery,
  move: AttributedMove,
  since: readonly string[],
  settingsSha: string,
): Promise<void> {
  const { repository, db } = event;
  const { branch, after } = move;
  const mirror = event.mirrors.of(repository);
  if (!(await hasCommit(mirror, after))) {
    event.log.info({ commit: after }, 'A pushed commit is gone: no runs');
    return;
  }
  const [settings, changed, cleared] = await Promise.all([
    loadSettings(db, mirror, repository, settingsSha),
    changedSince(mirror, since, after),
    clearedHolds(event, branch, after),
  ]);

  await event.commit(async (tx) => {
    const following = (await takeSettings(tx, settings)).filter((workspace) => workspace.branch === branch);
    for (const workspace of affectedBy(following, changed)) {
      await createRun(tx, {
        workspace,
        speculative: false,
        trigger: 'push',
        actor: move.actor,
        commitSha: after,
        commitMessage: move.message,
        branch,
        clearsHold: cleared.has(workspace.id),
        branchIsBack: since.includes(ZERO_SHA),
      });
    }
    await takeHead(tx, repository.id, move);
    if (branch === repository.default_branch && settings.problems.length > 0) {
      const { problems } = settings;
      await enqueue(tx, { kind: 'settings_report', repository: repository.id, sha: after, problems });
    }
  });
}

/** In a push GitHub's `pushed_at` is a number of seconds, elsewhere it is a text. */
function timeOf(pushedAt: string | number | null | undefined): Date | undefined {
  const time = new Date(typeof pushedAt === 'number' ? pushedAt * 1_000 : (pushedAt ?? ''));
  return Number.isNaN(time.getTime()) ? undefined : time;
}

/** Most pushes are to branches that no workspace follows: they cost no fetch. */
async function isFollowed({ db, repository }: RepositoryDelivery, branch: string): Promise<boolean> {
  return (await workspacesOf(db, repository.id)).some((workspace) => workspace.branch === branch);
}

/** What has changed since any of these heads. Unknown for a new branch, and since commits that nobody has any more. */
async function changedSince(mirror: Mirror, heads: readonly string[], after: string): Promise<ChangedPaths> {
  const paths = new Set<string>();
  for (const head of heads) {
    if (head === ZERO_SHA || !(await hasCommit(mirror, head))) return 'unknown';
    for (const path of await mirror.changedPaths(head, after)) paths.add(path);
  }
  return [...paths];
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
