import { sql } from 'kysely';
import type { PullRequest, Repository, Run } from '../db/schema.js';
import { RANK, type Rank } from '../queue/effect-order.js';
import { RetryLater } from '../queue/outbox-pump.js';
import { isFinal } from '../runs/machine.js';
import { lockOf } from '../runs/queue-explanation.js';
import { checkRunIds } from './check-run-lookup.js';
import { createComment, findComment } from './comments.js';
import { findRepository, type ReportContext } from './context.js';
import { mayHaveHappened, Refused } from './github-calls.js';
import { digestOf } from './mark.js';
import { COMMENT_MARKER, type CommentRow, pullRequestComment } from './pull-request-comment.js';

/** How far apart two edits are while something is under way, in ms. */
const PAUSE_MS = 5_000;

/** Brings the one comment on a pull request up to date. It is made when there is a workspace to tell of. */
export async function reportPullRequest(context: ReportContext, repositoryId: number, number: number): Promise<void> {
  const repository = await findRepository(context, repositoryId);
  const found = repository && (await find(context, repositoryId, number));
  if (!repository || !found) return;
  const pullRequest = await settle(context, repository, found);
  const rows = await rowsOf(context, pullRequest);
  const worthOne = rows !== undefined && rows.length > 0 && pullRequest.state === 'open';
  if (pullRequest.comment_id === null && !worthOne) return;

  const body = pullRequestComment({ pullRequest, repository, addresses: context.addresses, rows });
  const digest = digestOf(body);
  if (pullRequest.comment_id !== null && pullRequest.comment_digest === digest) return;
  const final = rows?.every(({ run }) => run && (isFinal(run.state) || run.state === 'needs_confirmation')) ?? false;
  if (!final && pullRequest.comment_digest !== null) await waitForPace(context, pullRequest);
  await send(context, repository, pullRequest, body, digest, final ? RANK.summary : RANK.progress);
}

async function send(
  context: ReportContext,
  repository: Repository,
  pullRequest: PullRequest,
  body: string,
  digest: string,
  rank: Rank,
): Promise<void> {
  const { comment_id: id, comment_tried_at: triedAt, number } = pullRequest;
  const before = async () => {
    await update(context, pullRequest, { comment_tried_at: sql`now()` });
  };
  if (id !== null) {
    try {
      await context.calls.write(repository.installation_id, { rank, before }, (octokit, options) =>
        octokit.rest.issues.updateComment({
          owner: repository.owner,
          repo: repository.name,
          comment_id: id,
          body,
          ...options,
        }),
      );
      await update(context, pullRequest, { comment_digest: digest });
      return;
    } catch (error) {
      if (!(error instanceof Refused) || error.status !== 404) throw error;
      // Somebody deleted it. Whether the pull request is still there shows when the next one is made.
    }
  }
  try {
    const comment = await createComment(context, repository, number, body, { rank, before });
    await update(context, pullRequest, { comment_id: comment, comment_digest: digest });
  } catch (error) {
    if (id === null && !mayHaveHappened(error)) await update(context, pullRequest, { comment_tried_at: triedAt });
    throw error;
  }
}

/** A comment whose making was never answered is looked for before another is made. */
async function settle(context: ReportContext, repository: Repository, pullRequest: PullRequest): Promise<PullRequest> {
  const { comment_id: id, comment_tried_at: triedAt, number } = pullRequest;
  if (id !== null || triedAt === null) return pullRequest;
  const found = await findComment(context, repository, number, COMMENT_MARKER, triedAt);
  return update(context, pullRequest, found === undefined ? { comment_tried_at: null } : { comment_id: found });
}

function find({ db }: ReportContext, repository: number, number: number): Promise<PullRequest | undefined> {
  return db
    .selectFrom('pull_requests')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('number', '=', number)
    .executeTakeFirst();
}

/** What is known of each workspace that the comment is about. Undefined: which those are isn't known yet. */
async function rowsOf(context: ReportContext, pullRequest: PullRequest): Promise<CommentRow[] | undefined> {
  const { db } = context;
  const { repository_id, number, head_sha, affected, affected_sha } = pullRequest;
  if (affected === null || affected_sha !== head_sha) return undefined;
  const runs = await db
    .selectFrom('runs')
    .distinctOn(['workspace_id', 'speculative'])
    .selectAll()
    .where('repository_id', '=', repository_id)
    .where('pull_request', '=', number)
    .where((eb) => eb.or([eb('speculative', '=', false), eb('commit_sha', '=', head_sha)]))
    .orderBy('workspace_id')
    .orderBy('speculative')
    .orderBy('sequence', 'desc')
    .execute();
  const workspaces = await db
    .selectFrom('workspaces')
    .selectAll()
    .where('repository_id', '=', repository_id)
    .orderBy('name')
    .execute();

  const rows = workspaces.flatMap((workspace) => {
    const held = workspace.held_pull_request === number;
    const plan = runs.find((run) => run.workspace_id === workspace.id && run.speculative);
    const apply = runs.find((run) => run.workspace_id === workspace.id && !run.speculative);
    const run = runToShow(plan, apply, head_sha, held);
    const concerned = affected.includes(workspace.id) || held || (apply !== undefined && !isFinal(apply.state));
    if (!concerned || (workspace.removed_at !== null && !run)) return [];
    return [{ workspace: workspace.name, run, held, lock: lockOf(workspace) }];
  });
  const ids = await checkRunIds(
    context,
    rows.flatMap(({ run }) => run ?? []),
  );
  return rows.map((row) => ({ ...row, checkRunId: row.run && ids.get(row.run.id) }));
}

/** What is under way comes first, then what was asked for last. An older commit's apply counts only while it holds. */
function runToShow(plan: Run | undefined, apply: Run | undefined, head: string, held: boolean): Run | undefined {
  if (!apply) return plan;
  if (!isFinal(apply.state)) return apply;
  if (apply.commit_sha !== head) return plan ?? (held ? apply : undefined);
  return plan && plan.sequence > apply.sequence ? plan : apply;
}

async function waitForPace({ db }: ReportContext, { repository_id, number }: PullRequest): Promise<void> {
  const { rows } = await sql<{ since: number | null }>`
    select extract(epoch from now() - comment_tried_at)::float8 * 1000 since from pull_requests
    where repository_id = ${repository_id} and number = ${number}`.execute(db);
  const since = rows[0]?.since;
  if (since != null && since < PAUSE_MS) throw new RetryLater(PAUSE_MS - since, 'the comment was edited a moment ago');
}

type Columns = Partial<{
  comment_id: number;
  comment_tried_at: Date | null | ReturnType<typeof sql>;
  comment_digest: string;
}>;

function update({ db }: ReportContext, pullRequest: PullRequest, columns: Columns): Promise<PullRequest> {
  return db
    .updateTable('pull_requests')
    .set(columns as object)
    .where('repository_id', '=', pullRequest.repository_id)
    .where('number', '=', pullRequest.number)
    .returningAll()
    .executeTakeFirstOrThrow();
}
