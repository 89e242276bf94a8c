import { sql } from 'kysely';
import type { Run } from '../db/schema.js';
import { RANK } from '../queue/effect-order.js';
import { RetryLater } from '../queue/outbox-pump.js';
import { checkRunIds, lastCheckRunOfName } from './check-run-lookup.js';
import { openCheckRun, sendCheckRun, settle } from './check-run-record.js';
import { findRepository, type ReportContext } from './context.js';
import { HEAD_CHECK_NAME, headCheck } from './head-check.js';
import { readMark } from './mark.js';

/** How far apart two reports of a head that is still being planned are, in ms. */
const PAUSE_MS = 10_000;

/** Brings the check run `signalbox` of a commit up to date: the sum over every pull request and merge group it heads. */
export async function reportHead(context: ReportContext, repositoryId: number, sha: string): Promise<void> {
  const { db, addresses } = context;
  const repository = await findRepository(context, repositoryId);
  if (!repository) return;
  const pullRequests = await db
    .selectFrom('pull_requests')
    .selectAll()
    .where('repository_id', '=', repositoryId)
    .where('head_sha', '=', sha)
    .where('state', '=', 'open')
    .execute();
  const group = await db
    .selectFrom('merge_groups')
    .select('affected')
    .where('repository_id', '=', repositoryId)
    .where('head_sha', '=', sha)
    .executeTakeFirst();

  const found = await lastCheckRunOfName(context, repositoryId, sha, HEAD_CHECK_NAME);
  const wanted = pullRequests.length > 0 || group !== undefined;
  if (!wanted && (!found || (found.completed && readMark(found.digest)?.sure))) return;
  const last = found && (await settle(context, repository, found));
  if (!wanted && (last?.github_id == null || last.completed)) return;

  const affected = new Set([
    ...(group?.affected ?? []),
    ...pullRequests.flatMap((each) => (each.affected_sha === sha ? (each.affected ?? []) : [])),
  ]);
  const runs = await newestPlans(context, repositoryId, sha);
  const ids = await checkRunIds(context, [...runs.values()]);
  const workspaces =
    affected.size === 0
      ? []
      : await db
          .selectFrom('workspaces')
          .select(['id', 'name', 'removed_at'])
          .where('id', 'in', [...affected])
          .orderBy('name')
          .execute();

  const make = (externalId: string) =>
    headCheck({
      externalId,
      addresses,
      repository,
      pullRequests,
      mergeGroup: group !== undefined,
      workspaces: workspaces
        .filter(({ id, removed_at }) => removed_at === null || runs.has(id))
        .map(({ id, name }) => {
          const run = runs.get(id);
          return { name, run, checkRunId: run && ids.get(run.id) };
        }),
    });
  const reopened = last?.completed === true && make('').status !== 'completed';
  const row =
    last && !reopened
      ? last
      : await openCheckRun(context, {
          repository_id: repositoryId,
          head_sha: sha,
          name: HEAD_CHECK_NAME,
          external_id: `head/${sha}/${Number(last?.external_id.split('/').at(-1) ?? 0) + 1}`,
          run_id: null,
        });
  const content = make(row.external_id);
  if (content.status !== 'completed' && row.github_id !== null) await waitForPace(context, row.id);
  await sendCheckRun(context, repository, row, content, content.conclusion ?? 'planning', RANK.verdict);
}

/** By workspace: the newest speculative run of the commit. */
async function newestPlans({ db }: ReportContext, repository: number, sha: string): Promise<Map<number, Run>> {
  const runs = await db
    .selectFrom('runs')
    .distinctOn('workspace_id')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('commit_sha', '=', sha)
    .where('speculative', '=', true)
    .orderBy('workspace_id')
    .orderBy('sequence', 'desc')
    .execute();
  return new Map(runs.map((run) => [run.workspace_id, run]));
}

async function waitForPace({ db }: ReportContext, row: number): Promise<void> {
  const { rows } = await sql<{ since: number | null }>`
    select extract(epoch from now() - tried_at)::float8 * 1000 since from check_runs where id = ${row}`.execute(db);
  const since = rows[0]?.since;
  if (since != null && since < PAUSE_MS) throw new RetryLater(PAUSE_MS - since, 'the head was reported a moment ago');
}
