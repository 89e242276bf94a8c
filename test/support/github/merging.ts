import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import type { Account } from './accounts.js';
import { identity, mergeBase, readCommit, readCommits, simpleCommitJson, writeMerge } from './commits.js';
import { tryGit } from './git.js';
import { HttpError } from './http.js';
import { timestamp } from './ids.js';
import { mergeState } from './merge-state.js';
import { emitPull, mergeability, type Pull } from './pulls.js';
import { updateRefs, ZERO } from './pushes.js';
import { atLeast } from './repository.js';

export type MergeMethod = 'merge' | 'squash' | 'rebase';

export interface MergeOptions {
  /** The head that is meant; another one is refused. */
  sha?: string;
  title?: string;
  message?: string;
}

/** Merges as the button does: the push to the base comes first, then `pull_request.closed`. Answers the merge's commit. */
export function mergePull(
  pull: Pull,
  actor: Account,
  method: MergeMethod = 'merge',
  options: MergeOptions = {},
): Promise<string> {
  const { repository } = pull;
  return repository.exclusively(async () => {
    if (options.sha !== undefined && options.sha !== pull.headSha) {
      throw new HttpError(409, 'Head branch was modified. Review and try the merge again.');
    }
    const state = await mergeState(pull, await mergeability(pull, 'insist'));
    const admin = atLeast(repository.roleOf(actor.login), 'admin');
    if (pull.issue.state === 'closed' || state === 'dirty' || state === 'draft' || (state === 'blocked' && !admin)) {
      throw new HttpError(405, 'Pull Request is not mergeable');
    }
    const commit = await writeMergeCommit(pull, actor, method, options);
    const before = (await repository.head(pull.baseRef)) ?? ZERO;
    const now = timestamp();
    Object.assign(pull, { merged: true, mergedAt: now, mergedBy: actor, mergeCommitSha: commit });
    Object.assign(pull.issue, { state: 'closed', closedAt: now, updatedAt: now, closedBy: actor });
    await updateRefs(repository, actor, [{ ref: `refs/heads/${pull.baseRef}`, before, after: commit }]);
    await emitPull(pull, 'closed', actor);
    return commit;
  });
}

async function writeMergeCommit(
  pull: Pull,
  actor: Account,
  method: MergeMethod,
  options: MergeOptions,
): Promise<string> {
  const { repository, issue } = pull;
  const base = (await repository.head(pull.baseRef)) ?? ZERO;
  const author = { name: actor.login, email: repository.github.accounts.email(actor) };
  if (method === 'rebase') return rebase(pull, base);
  const source = `${pull.headRepository.owner.login}/${pull.headRef}`;
  const title =
    method === 'merge' ? `Merge pull request #${issue.number} from ${source}` : `${issue.title} (#${issue.number})`;
  const message = `${options.title ?? title}\n\n${options.message ?? issue.title}\n`;
  const parents = method === 'merge' ? [base, pull.headSha] : [base];
  const commit = await writeMerge(repository, base, pull.headSha, { message, author, parents });
  if (!commit) throw new HttpError(405, 'Pull Request is not mergeable');
  return commit;
}

async function rebase(pull: Pull, base: string): Promise<string> {
  const { repository } = pull;
  const start = await mergeBase(repository, base, pull.headSha);
  const commits = await readCommits(repository, [
    '--reverse',
    '--no-merges',
    pull.headSha,
    ...(start ? [`^${start}`] : []),
  ]);
  const tree = join(repository.github.directory, `rebase-${randomUUID()}`);
  await repository.git(['worktree', 'add', '--quiet', '--detach', tree, base]);
  try {
    for (const commit of commits) {
      const env = identity({ name: 'GitHub', email: 'noreply@github.com' }); // the author stays
      const picked = await tryGit(tree, ['cherry-pick', '--allow-empty', commit.sha], { env });
      if (picked.code !== 0) throw new HttpError(405, 'This branch can’t be rebased');
    }
    const head = await tryGit(tree, ['rev-parse', 'HEAD']);
    return head.stdout.toString().trim();
  } finally {
    await repository.git(['worktree', 'remove', '--force', tree]);
  }
}

/** One entry of a merge queue. */
export interface MergeGroup {
  headRef: string;
  headSha: string;
  baseRef: string;
  baseSha: string;
  /** What GitHub does when the group's checks have succeeded: the base moves to the group's head. */
  complete(): Promise<void>;
}

export function queueMerge(pull: Pull, actor: Account): Promise<MergeGroup> {
  const { repository, issue, baseRef } = pull;
  return repository.exclusively(async () => {
    const baseSha = (await repository.head(baseRef)) ?? ZERO;
    const headSha = await writeMergeCommit(pull, actor, 'merge', {});
    const headRef = `refs/heads/gh-readonly-queue/${baseRef}/pr-${issue.number}-${baseSha}`;
    await updateRefs(repository, actor, [{ ref: headRef, before: ZERO, after: headSha }]);
    const head_commit = simpleCommitJson(await readCommit(repository, headSha));
    const merge_group = {
      head_sha: headSha,
      head_ref: headRef,
      base_sha: baseSha,
      base_ref: `refs/heads/${baseRef}`,
      head_commit,
    };
    const emit = (action: string, more = {}) =>
      repository.github.webhooks.emit({
        event: 'merge_group',
        action,
        repository,
        sender: actor,
        payload: { ...more, merge_group },
      });
    emit('checks_requested');
    const complete = () =>
      repository.exclusively(async () => {
        const changes = [
          { ref: `refs/heads/${baseRef}`, before: baseSha, after: headSha },
          { ref: headRef, before: headSha, after: ZERO },
        ];
        await updateRefs(repository, actor, changes);
        emit('destroyed', { reason: 'merged' });
      });
    return { headRef, headSha, baseRef: `refs/heads/${baseRef}`, baseSha, complete };
  });
}
