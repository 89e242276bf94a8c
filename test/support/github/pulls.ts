import type { Account } from './accounts.js';
import { isAncestor, mergeBase, writeMerge } from './commits.js';
import { HttpError, invalid, type Json } from './http.js';
import { timestamp } from './ids.js';
import { mergeState } from './merge-state.js';
import { pullJson } from './pull-json.js';
import type { RefChange } from './pushes.js';
import type { Repository } from './repository.js';

export interface Issue {
  id: number;
  number: number;
  title: string;
  body: string | null;
  user: Account;
  state: 'open' | 'closed';
  createdAt: string;
  updatedAt: string;
  closedAt: string | null;
  closedBy: Account | null;
  pull?: Pull;
}

export type ReviewState = 'APPROVED' | 'CHANGES_REQUESTED' | 'COMMENTED' | 'DISMISSED';

export interface Review {
  id: number;
  user: Account;
  state: ReviewState;
  body: string;
  commitId: string;
  submittedAt: string;
}

export interface Pull {
  id: number;
  issue: Issue;
  repository: Repository;
  draft: boolean;
  headRepository: Repository;
  headRef: string;
  headSha: string;
  baseRef: string;
  baseSha: string;
  merged: boolean;
  mergedAt: string | null;
  mergedBy: Account | null;
  mergeCommitSha: string | null;
  reviews: Review[];
  /** The outcome of the last test merge, and what it was made of. */
  test?: { of: string; mergeable: boolean };
}

export interface PullOptions {
  title?: string;
  body?: string;
  head: string;
  base?: string;
  draft?: boolean;
  /** Where the head branch is, when it is a fork. */
  headRepo?: Repository;
}

export function newIssue(repository: Repository, user: Account, title: string, body: string | null): Issue {
  const now = timestamp();
  const issue: Issue = {
    id: repository.github.ids.next(),
    number: Math.max(0, ...repository.issues.keys()) + 1,
    title,
    body,
    user,
    state: 'open',
    createdAt: now,
    updatedAt: now,
    closedAt: null,
    closedBy: null,
  };
  repository.issues.set(issue.number, issue);
  return issue;
}

export function openPull(repository: Repository, user: Account, options: PullOptions): Promise<Pull> {
  return repository.exclusively(async () => {
    const headRepository = options.headRepo ?? repository;
    const baseRef = options.base ?? repository.defaultBranch;
    const headSha = await headRepository.head(options.head);
    const baseSha = await repository.head(baseRef);
    if (!headSha) throw invalid('PullRequest', 'head', 'invalid');
    if (!baseSha) throw invalid('PullRequest', 'base', 'invalid');
    const same = (pull: Pull) =>
      pull.issue.state === 'open' &&
      pull.headRepository === headRepository &&
      pull.headRef === options.head &&
      pull.baseRef === baseRef;
    if (repository.pulls().some(same)) {
      const message = `A pull request already exists for ${headRepository.owner.login}:${options.head}.`;
      throw new HttpError(422, 'Validation Failed', { errors: [{ resource: 'PullRequest', code: 'custom', message }] });
    }
    await fetchObjects(repository, headRepository, headSha);
    if (await isAncestor(repository, headSha, baseSha)) {
      const message = `No commits between ${baseRef} and ${options.head}`;
      throw new HttpError(422, 'Validation Failed', { errors: [{ resource: 'PullRequest', code: 'custom', message }] });
    }
    const issue = newIssue(repository, user, options.title ?? options.head, options.body ?? null);
    const pull: Pull = {
      id: repository.github.ids.next(),
      issue,
      repository,
      draft: options.draft ?? false,
      headRepository,
      headRef: options.head,
      headSha,
      baseRef,
      baseSha,
      merged: false,
      mergedAt: null,
      mergedBy: null,
      mergeCommitSha: null,
      reviews: [],
    };
    issue.pull = pull;
    await keepHead(pull);
    await emitPull(pull, 'opened', user);
    return pull;
  });
}

/** A pull request's event; `changes` and the like are added to the payload. */
export async function emitPull(pull: Pull, action: string, sender: Account, more: Json = {}): Promise<void> {
  const { repository } = pull;
  const pull_request = await pullJson(pull, 'peek');
  const payload = { number: pull.issue.number, pull_request, ...more };
  repository.github.webhooks.emit({ event: 'pull_request', action, repository, sender, payload });
}

/** What a moved branch does to pull requests: those it is the head of, and those it is the base of. */
export async function followPush(repository: Repository, actor: Account, change: RefChange): Promise<void> {
  const branch = change.ref.slice('refs/heads/'.length);
  const gone = /^0+$/.test(change.after);
  for (const candidate of repository.github.repositories.values()) {
    for (const pull of candidate.pulls()) {
      if (pull.issue.state === 'closed') continue;
      if (pull.headRepository === repository && pull.headRef === branch) {
        if (gone) await close(pull, actor);
        else await synchronize(pull, actor, change);
      } else if (pull.repository === repository && pull.baseRef === branch) {
        if (gone) await close(pull, actor);
        else if (await isAncestor(repository, pull.headSha, change.after)) await markMerged(pull, actor, change.after);
      }
    }
  }
}

async function synchronize(pull: Pull, actor: Account, change: RefChange): Promise<void> {
  await fetchObjects(pull.repository, pull.headRepository, change.after);
  pull.headSha = change.after;
  pull.baseSha = (await pull.repository.head(pull.baseRef)) ?? pull.baseSha;
  pull.issue.updatedAt = timestamp();
  await keepHead(pull);
  await emitPull(pull, 'synchronize', actor, { before: change.before, after: change.after });
}

async function close(pull: Pull, actor: Account): Promise<void> {
  const { issue } = pull;
  Object.assign(issue, { state: 'closed', closedAt: timestamp(), updatedAt: timestamp(), closedBy: actor });
  await emitPull(pull, 'closed', actor);
}

/** Closed with `merged`: by a merge, or because its commits reached the base by a push. */
export async function markMerged(pull: Pull, actor: Account, mergeCommit: string): Promise<void> {
  Object.assign(pull, { merged: true, mergedAt: timestamp(), mergedBy: actor, mergeCommitSha: mergeCommit });
  await close(pull, actor);
}

export function closePull(pull: Pull, actor: Account): Promise<void> {
  return pull.repository.exclusively(async () => {
    if (pull.issue.state === 'open') await close(pull, actor);
  });
}

export function reopenPull(pull: Pull, actor: Account): Promise<void> {
  return pull.repository.exclusively(async () => {
    const head = await pull.headRepository.head(pull.headRef);
    if (pull.merged || !head) throw invalid('PullRequest', 'state', 'invalid', 'state cannot be changed.');
    await fetchObjects(pull.repository, pull.headRepository, head);
    pull.headSha = head;
    await keepHead(pull);
    Object.assign(pull.issue, { state: 'open', closedAt: null, closedBy: null, updatedAt: timestamp() });
    await emitPull(pull, 'reopened', actor);
  });
}

export async function markReady(pull: Pull, actor: Account): Promise<void> {
  pull.draft = false;
  pull.issue.updatedAt = timestamp();
  await emitPull(pull, 'ready_for_review', actor);
}

export interface PullEdit {
  title?: string;
  body?: string;
  base?: string;
}

export function editPull(pull: Pull, actor: Account, edit: PullEdit): Promise<void> {
  return pull.repository.exclusively(async () => {
    const changes: Json = {};
    const { issue } = pull;
    if (edit.title !== undefined && edit.title !== issue.title) {
      changes.title = { from: issue.title };
      issue.title = edit.title;
    }
    if (edit.body !== undefined && edit.body !== issue.body) {
      changes.body = { from: issue.body };
      issue.body = edit.body;
    }
    if (edit.base !== undefined && edit.base !== pull.baseRef) {
      const sha = await pull.repository.head(edit.base);
      if (!sha) throw invalid('PullRequest', 'base', 'invalid');
      changes.base = { ref: { from: pull.baseRef }, sha: { from: pull.baseSha } };
      Object.assign(pull, { baseRef: edit.base, baseSha: sha });
    }
    if (Object.keys(changes).length === 0) return;
    issue.updatedAt = timestamp();
    await emitPull(pull, 'edited', actor, { changes });
  });
}

export async function review(pull: Pull, user: Account, state: ReviewState, body = ''): Promise<Review> {
  if (pull.issue.user === user && state !== 'COMMENTED') {
    const word = state === 'APPROVED' ? 'approve' : 'request changes on';
    throw new HttpError(422, 'Unprocessable Entity', { errors: [`Review Can not ${word} your own pull request`] });
  }
  const { repository } = pull;
  const { github } = repository;
  const made: Review = { id: github.ids.next(), user, state, body, commitId: pull.headSha, submittedAt: timestamp() };
  pull.reviews.push(made);
  const payload = {
    review: { ...reviewJson(pull, made), state: state.toLowerCase() },
    pull_request: await pullJson(pull, 'peek'),
  };
  github.webhooks.emit({ event: 'pull_request_review', action: 'submitted', repository, sender: user, payload });
  return made;
}

export function reviewJson(pull: Pull, made: Review): Json {
  const { github, fullName } = pull.repository;
  const url = `${github.api}/repos/${fullName}/pulls/${pull.issue.number}`;
  const html = `${github.url}/${fullName}/pull/${pull.issue.number}#pullrequestreview-${made.id}`;
  return {
    id: made.id,
    node_id: `PRR_${made.id}`,
    user: github.accounts.json(made.user),
    body: made.body,
    state: made.state,
    html_url: html,
    pull_request_url: url,
    author_association: association(pull.repository, made.user),
    _links: { html: { href: html }, pull_request: { href: url } },
    submitted_at: made.submittedAt,
    commit_id: made.commitId,
  };
}

export function association(repository: Repository, user: Account): string {
  const login = user.login.toLowerCase();
  if (repository.owner.login.toLowerCase() === login) return 'OWNER';
  if (repository.owner.members.has(login)) return 'MEMBER';
  return repository.roles.has(login) ? 'COLLABORATOR' : 'NONE';
}

/** How mergeability is found out: by a reader who may be told 'not yet', from what is known already, or for certain. */
export type Asking = 'ask' | 'peek' | 'insist';

/**
 * GitHub's `mergeable`: null while it isn't known. Webhooks tell what is known when they are sent, which is nothing for a
 * new head. With {@link LocalGitHub.slowMergeability} the first reader after a change is told null too.
 */
export async function mergeability(pull: Pull, asking: Asking): Promise<boolean | null> {
  const base = await pull.repository.head(pull.baseRef);
  const known = pull.test?.of === `${base}..${pull.headSha}`;
  if (asking === 'peek') return known ? (pull.test?.mergeable ?? null) : null;
  const mergeable = await isMergeable(pull);
  return asking === 'ask' && !known && pull.repository.github.slowMergeability ? null : mergeable;
}

/** The test merge, made when it is asked for, and kept as `refs/pull/<n>/merge`. */
async function isMergeable(pull: Pull): Promise<boolean> {
  const base = await pull.repository.head(pull.baseRef);
  if (!base || pull.issue.state === 'closed') return false;
  const of = `${base}..${pull.headSha}`;
  if (pull.test?.of === of) return pull.test.mergeable;
  const author = { name: 'GitHub', email: 'noreply@github.com' };
  const message = `Merge ${pull.headSha} into ${base}`;
  const merge = await writeMerge(pull.repository, base, pull.headSha, { message, author });
  if (merge) await pull.repository.git(['update-ref', `refs/pull/${pull.issue.number}/merge`, merge]);
  pull.mergeCommitSha = merge ?? pull.mergeCommitSha;
  pull.test = { of, mergeable: merge !== undefined };
  return pull.test.mergeable;
}

/** How far the base is from the pull request's head. */
export async function isBehind(pull: Pull): Promise<boolean> {
  const base = await pull.repository.head(pull.baseRef);
  return base !== undefined && (await mergeBase(pull.repository, base, pull.headSha)) !== base;
}

async function keepHead(pull: Pull): Promise<void> {
  await pull.repository.git(['update-ref', `refs/pull/${pull.issue.number}/head`, pull.headSha]);
}

/** Makes a fork's commits known to the repository, as GitHub's shared storage does. */
export async function fetchObjects(repository: Repository, from: Repository, sha: string): Promise<void> {
  if (from === repository) return;
  await repository.git(['fetch', '--quiet', '--no-tags', '--no-write-fetch-head', from.directory, sha]);
}

export { mergeState };
