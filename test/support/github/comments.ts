import type { Account } from './accounts.js';
import type { App } from './app.js';
import { invalid, type Json } from './http.js';
import { nodeId, timestamp } from './ids.js';
import { issueJson, reactionsSummary } from './pull-json.js';
import { association, type Issue } from './pulls.js';
import type { Repository } from './repository.js';

export interface Reaction {
  id: number;
  content: string;
  user: Account;
  createdAt: string;
}

export interface Comment {
  id: number;
  issue: Issue;
  user: Account;
  /** The App that wrote it, if one did. */
  app: App | null;
  body: string;
  createdAt: string;
  updatedAt: string;
  reactions: Reaction[];
}

/** GitHub's limit for a comment. */
const LONGEST_BODY = 65_536;

export function createComment(
  repository: Repository,
  issue: Issue,
  user: Account,
  body: string,
  app: App | null,
  createdAt?: string,
): Comment {
  checkBody(body);
  const now = createdAt ?? timestamp();
  const { github } = repository;
  const comment: Comment = {
    id: github.ids.next(),
    issue,
    user,
    app,
    body,
    createdAt: now,
    updatedAt: now,
    reactions: [],
  };
  repository.comments.set(comment.id, comment);
  issue.updatedAt = now;
  emitComment(repository, comment, 'created', user);
  return comment;
}

export function editComment(repository: Repository, comment: Comment, sender: Account, body: string): void {
  checkBody(body);
  const changes = { body: { from: comment.body } };
  comment.body = body;
  comment.updatedAt = timestamp();
  emitComment(repository, comment, 'edited', sender, { changes });
}

export function deleteComment(repository: Repository, comment: Comment, sender: Account): void {
  repository.comments.delete(comment.id);
  emitComment(repository, comment, 'deleted', sender);
}

/** The same person's same reaction is one: `fresh` says whether it is new. */
export function react(
  repository: Repository,
  comment: Comment,
  user: Account,
  content: string,
): { reaction: Reaction; fresh: boolean } {
  const same = comment.reactions.find((reaction) => reaction.user === user && reaction.content === content);
  if (same) return { reaction: same, fresh: false };
  const reaction: Reaction = { id: repository.github.ids.next(), content, user, createdAt: timestamp() };
  comment.reactions.push(reaction);
  return { reaction, fresh: true };
}

function emitComment(repository: Repository, comment: Comment, action: string, sender: Account, more: Json = {}): void {
  const payload = { issue: issueJson(repository, comment.issue), comment: commentJson(repository, comment), ...more };
  repository.github.webhooks.emit({ event: 'issue_comment', action, repository, sender, payload });
}

function checkBody(body: string): void {
  if (body.trim() === '') throw invalid('IssueComment', 'body', 'missing_field', "Body can't be blank");
  if ([...body].length > LONGEST_BODY) {
    throw invalid('IssueComment', 'body', 'custom', 'Body is too long (maximum is 65536 characters)');
  }
}

export function commentJson(repository: Repository, comment: Comment): Json {
  const { github, fullName } = repository;
  const url = `${github.api}/repos/${fullName}/issues/comments/${comment.id}`;
  const kind = comment.issue.pull ? 'pull' : 'issues';
  const contents = comment.reactions.map((reaction) => reaction.content);
  return {
    url,
    html_url: `${github.url}/${fullName}/${kind}/${comment.issue.number}#issuecomment-${comment.id}`,
    issue_url: `${github.api}/repos/${fullName}/issues/${comment.issue.number}`,
    id: comment.id,
    node_id: nodeId('IssueComment', comment.id),
    user: github.accounts.json(comment.user),
    created_at: comment.createdAt,
    updated_at: comment.updatedAt,
    author_association: association(repository, comment.user),
    body: comment.body,
    reactions: reactionsSummary(`${url}/reactions`, contents),
    performed_via_github_app: comment.app ? github.appJson(comment.app) : null,
  };
}

export function reactionJson(repository: Repository, reaction: Reaction): Json {
  return {
    id: reaction.id,
    node_id: nodeId('Reaction', reaction.id),
    user: repository.github.accounts.json(reaction.user),
    content: reaction.content,
    created_at: reaction.createdAt,
  };
}
