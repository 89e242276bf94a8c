import { diffFiles, mergeBase } from './commits.js';
import type { Json } from './http.js';
import { nodeId } from './ids.js';
import { mergeState } from './merge-state.js';
import { type Asking, association, type Issue, mergeability, type Pull } from './pulls.js';
import { type Repository, repositoryJson } from './repository.js';

/** As in lists and in check suites' answers: without what a single pull request adds. */
export function simplePullJson(pull: Pull): Json {
  const { repository, issue } = pull;
  const { github, fullName } = repository;
  const url = `${github.api}/repos/${fullName}/pulls/${issue.number}`;
  const issueUrl = `${github.api}/repos/${fullName}/issues/${issue.number}`;
  const html = `${github.url}/${fullName}/pull/${issue.number}`;
  const statuses = `${github.api}/repos/${fullName}/statuses/${pull.headSha}`;
  const side = (of: Repository, ref: string, sha: string) => ({
    label: `${of.owner.login}:${ref}`,
    ref,
    sha,
    user: github.accounts.json(of.owner),
    repo: repositoryJson(of),
  });
  return {
    url,
    id: pull.id,
    node_id: nodeId('PullRequest', pull.id),
    html_url: html,
    diff_url: `${html}.diff`,
    patch_url: `${html}.patch`,
    issue_url: issueUrl,
    number: issue.number,
    state: issue.state,
    locked: false,
    title: issue.title,
    user: github.accounts.json(issue.user),
    body: issue.body,
    created_at: issue.createdAt,
    updated_at: issue.updatedAt,
    closed_at: issue.closedAt,
    merged_at: pull.mergedAt,
    merge_commit_sha: pull.mergeCommitSha,
    assignee: null,
    assignees: [],
    requested_reviewers: [],
    requested_teams: [],
    labels: [],
    milestone: null,
    draft: pull.draft,
    commits_url: `${url}/commits`,
    review_comments_url: `${url}/comments`,
    review_comment_url: `${github.api}/repos/${fullName}/pulls/comments{/number}`,
    comments_url: `${issueUrl}/comments`,
    statuses_url: statuses,
    head: side(pull.headRepository, pull.headRef, pull.headSha),
    base: side(repository, pull.baseRef, pull.baseSha),
    _links: {
      self: { href: url },
      html: { href: html },
      issue: { href: issueUrl },
      comments: { href: `${issueUrl}/comments` },
      review_comments: { href: `${url}/comments` },
      review_comment: { href: `${github.api}/repos/${fullName}/pulls/comments{/number}` },
      commits: { href: `${url}/commits` },
      statuses: { href: statuses },
    },
    author_association: association(repository, issue.user),
    auto_merge: null,
    active_lock_reason: null,
  };
}

/** As in `GET /repos/…/pulls/<n>` and in webhooks. */
export async function pullJson(pull: Pull, asking: Asking = 'ask'): Promise<Json> {
  const { repository, issue } = pull;
  const open = issue.state === 'open';
  const mergeable = open ? await mergeability(pull, asking) : null;
  const state = await mergeState(pull, mergeable);
  const start = (await mergeBase(repository, pull.baseSha, pull.headSha)) ?? pull.baseSha;
  const files = await diffFiles(repository, start, pull.headSha);
  const sum = (name: string) => files.reduce((total, file) => total + Number(file[name]), 0);
  const count = await repository.git(['rev-list', '--count', `${start}..${pull.headSha}`]);
  return {
    ...simplePullJson(pull),
    merged: pull.merged,
    mergeable,
    rebaseable: mergeable,
    mergeable_state: state,
    merged_by: pull.mergedBy ? repository.github.accounts.json(pull.mergedBy) : null,
    comments: [...repository.comments.values()].filter((comment) => comment.issue === issue).length,
    review_comments: 0,
    maintainer_can_modify: false,
    commits: Number(count),
    additions: sum('additions'),
    deletions: sum('deletions'),
    changed_files: files.length,
  };
}

/** The short form that check runs and suites carry: branches of the same repository only, never a fork's. */
export function checkPullsJson(repository: Repository, sha: string, branch: string | null): Json[] {
  const { github } = repository;
  const reference = (of: Repository) => ({ id: of.id, url: `${github.api}/repos/${of.fullName}`, name: of.name });
  return repository
    .pulls()
    .filter((pull) => pull.issue.state === 'open' && pull.headRepository === repository && pull.headSha === sha)
    .filter((pull) => branch === null || pull.headRef === branch)
    .map((pull) => ({
      url: `${github.api}/repos/${repository.fullName}/pulls/${pull.issue.number}`,
      id: pull.id,
      number: pull.issue.number,
      head: { ref: pull.headRef, sha: pull.headSha, repo: reference(pull.headRepository) },
      base: { ref: pull.baseRef, sha: pull.baseSha, repo: reference(repository) },
    }));
}

export function issueJson(repository: Repository, issue: Issue): Json {
  const { github, fullName } = repository;
  const url = `${github.api}/repos/${fullName}/issues/${issue.number}`;
  const kind = issue.pull ? 'pull' : 'issues';
  const html = `${github.url}/${fullName}/${kind}/${issue.number}`;
  const pullUrl = `${github.api}/repos/${fullName}/pulls/${issue.number}`;
  const total = [...repository.comments.values()].filter((comment) => comment.issue === issue).length;
  return {
    url,
    repository_url: `${github.api}/repos/${fullName}`,
    labels_url: `${url}/labels{/name}`,
    comments_url: `${url}/comments`,
    events_url: `${url}/events`,
    html_url: html,
    id: issue.id,
    node_id: nodeId('Issue', issue.id),
    number: issue.number,
    title: issue.title,
    user: github.accounts.json(issue.user),
    labels: [],
    state: issue.state,
    locked: false,
    assignee: null,
    assignees: [],
    milestone: null,
    comments: total,
    created_at: issue.createdAt,
    updated_at: issue.updatedAt,
    closed_at: issue.closedAt,
    author_association: association(repository, issue.user),
    active_lock_reason: null,
    body: issue.body,
    closed_by: issue.closedBy ? github.accounts.json(issue.closedBy) : null,
    reactions: reactionsSummary(`${url}/reactions`, []),
    timeline_url: `${url}/timeline`,
    performed_via_github_app: null,
    state_reason: null,
    ...(issue.pull
      ? {
          draft: issue.pull.draft,
          pull_request: {
            url: pullUrl,
            html_url: html,
            diff_url: `${html}.diff`,
            patch_url: `${html}.patch`,
            merged_at: issue.pull.mergedAt,
          },
        }
      : {}),
  };
}

export function reactionsSummary(url: string, contents: readonly string[]): Json {
  const kinds = ['+1', '-1', 'laugh', 'hooray', 'confused', 'heart', 'rocket', 'eyes'];
  const counts = kinds.map((kind) => [kind, contents.filter((content) => content === kind).length]);
  return { url, total_count: contents.length, ...Object.fromEntries(counts) };
}
