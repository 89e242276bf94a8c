import type { Account } from '../accounts.js';
import {
  type Comment,
  commentJson,
  createComment,
  deleteComment,
  editComment,
  react,
  reactionJson,
} from '../comments.js';
import { type Call, HttpError, invalid, notFound, type Route, route } from '../http.js';
import { issueJson } from '../pull-json.js';
import type { Issue } from '../pulls.js';
import { atLeast } from '../repository.js';

const reads = { needs: ['issues:read', 'pull_requests:read'] } as const;
const writes = { needs: ['issues:write', 'pull_requests:write'] } as const;

const REACTIONS = ['+1', '-1', 'laugh', 'confused', 'heart', 'hooray', 'rocket', 'eyes'];

export const commentRoutes: readonly Route[] = [
  route('GET /repos/{owner}/{repo}/issues/comments/{comment_id}', reads, (call) => {
    return { status: 200, body: commentJson(call.repo, commentOf(call, 'read')) };
  }),
  route('PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}', writes, (call) => {
    const comment = ownComment(call);
    editComment(call.repo, comment, writer(call), call.text('body') ?? '');
    return { status: 200, body: commentJson(call.repo, comment) };
  }),
  route('DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}', writes, (call) => {
    deleteComment(call.repo, ownComment(call), writer(call));
    return { status: 204 };
  }),
  route('GET /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions', reads, (call) => {
    const wanted = call.query.get('content');
    const reactions = commentOf(call, 'read').reactions.filter((each) => wanted === null || each.content === wanted);
    return call.page(reactions, (shown) => shown.map((each) => reactionJson(call.repo, each)));
  }),
  route('POST /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions', writes, (call) => {
    const content = call.text('content') ?? '';
    if (!REACTIONS.includes(content)) throw invalid('Reaction', 'content', 'invalid');
    const { reaction, fresh } = react(call.repo, commentOf(call, 'write'), writer(call), content);
    return { status: fresh ? 201 : 200, body: reactionJson(call.repo, reaction) };
  }),
  route('DELETE /repos/{owner}/{repo}/issues/comments/{comment_id}/reactions/{reaction_id}', writes, (call) => {
    const comment = commentOf(call, 'write');
    const index = comment.reactions.findIndex((each) => each.id === call.number('reaction_id'));
    if (index < 0) throw notFound();
    if (comment.reactions[index]?.user !== writer(call))
      throw new HttpError(403, 'You may delete your own reactions only.');
    comment.reactions.splice(index, 1);
    return { status: 204 };
  }),
  route('GET /repos/{owner}/{repo}/issues/{issue_number}', reads, (call) => {
    return { status: 200, body: issueJson(call.repo, issueOf(call, 'read')) };
  }),
  route('GET /repos/{owner}/{repo}/issues/{issue_number}/comments', reads, (call) => {
    const issue = issueOf(call, 'read');
    const since = call.query.get('since');
    const comments = [...call.repo.comments.values()]
      .filter((each) => each.issue === issue)
      .filter((each) => since === null || each.updatedAt >= since);
    return call.page(comments, (shown) => shown.map((each) => commentJson(call.repo, each)));
  }),
  route('POST /repos/{owner}/{repo}/issues/{issue_number}/comments', writes, (call) => {
    const { actor } = call;
    const app = actor.kind === 'installation' ? actor.app : null;
    const comment = createComment(call.repo, issueOf(call, 'write'), writer(call), call.text('body') ?? '', app);
    return {
      status: 201,
      body: commentJson(call.repo, comment),
      headers: { location: String(commentJson(call.repo, comment).url) },
    };
  }),
];

function issueOf(call: Call, level: 'read' | 'write'): Issue {
  const issue = call.repo.issues.get(call.number('issue_number'));
  if (!issue) throw notFound();
  mayTouch(call, issue, level);
  return issue;
}

function commentOf(call: Call, level: 'read' | 'write'): Comment {
  const comment = call.repo.comments.get(call.number('comment_id'));
  if (!comment) throw notFound();
  mayTouch(call, comment.issue, level);
  return comment;
}

/** For a pull request either permission will do; for an issue only that for issues. */
function mayTouch({ actor }: Call, issue: Issue, level: 'read' | 'write'): void {
  if (actor.kind !== 'installation' || issue.pull) return;
  if (!actor.token.permits(`issues:${level}`)) throw new HttpError(403, 'Resource not accessible by integration');
}

function ownComment(call: Call): Comment {
  const comment = commentOf(call, 'write');
  const account = writer(call);
  if (comment.user === account) return comment;
  const strong = call.actor.kind === 'installation' || atLeast(call.repo.roleOf(account.login), 'write');
  if (!strong) throw new HttpError(403, 'Must have admin rights to Repository.');
  return comment;
}

function writer({ actor }: Call): Account {
  if (actor.kind === 'user' || actor.kind === 'installation') return actor.account;
  throw new HttpError(401, 'Requires authentication');
}
