import { sql } from 'kysely';
import type { CheckRun, Repository } from '../db/schema.js';
import type { InstallationOctokit } from '../octokit.js';
import { RANK, type Rank } from '../queue/effect-order.js';
import type { CheckRunContent } from './check-run-content.js';
import type { ReportContext } from './context.js';
import { mayHaveHappened, type RequestOptions } from './github-calls.js';
import { digestOf, type Mark, readMark, writeMark } from './mark.js';

/** What is learned from GitHub about a check run. */
interface OnGitHub {
  id: number;
  status: string;
  completed_at: string | null;
}

interface Answer {
  data: OnGitHub;
  headers: { date?: string };
}

/** A check run that is about to exist: on record before it is on GitHub, so that a lost answer can be made good. */
export async function openCheckRun(
  { db }: ReportContext,
  row: { repository_id: number; head_sha: string; name: string; external_id: string; run_id: string | null },
): Promise<CheckRun> {
  await db
    .insertInto('check_runs')
    .values(row)
    .onConflict((conflict) => conflict.columns(['repository_id', 'name', 'external_id']).doNothing())
    .execute();
  return db
    .selectFrom('check_runs')
    .selectAll()
    .where('repository_id', '=', row.repository_id)
    .where('name', '=', row.name)
    .where('external_id', '=', row.external_id)
    .executeTakeFirstOrThrow();
}

/**
 * Finds out what became of a request whose answer never came: whether the check run was made, whether it was completed.
 * Only after that is it known whether it may still be changed or has to be followed by another.
 */
export async function settle(context: ReportContext, repository: Repository, row: CheckRun): Promise<CheckRun> {
  const mark = readMark(row.digest);
  if (row.github_id === null) {
    if (row.tried_at === null) return row;
    const found = await findOnGitHub(context, repository, row);
    if (!found) return update(context, row, { tried_at: null, digest: null });
    return update(context, row, { ...learned(found), digest: mark ? writeMark({ ...mark, sure: true }) : null });
  }
  if (!mark || mark.sure || mark.status !== 'completed' || row.completed) return row;
  const { data } = await context.calls.read(repository.installation_id, (octokit, options) =>
    octokit.rest.checks.get({ ...nameOf(repository), check_run_id: row.github_id ?? 0, ...options }),
  );
  if (data.status !== 'completed') return update(context, row, { digest: null });
  return update(context, row, { ...learned(data), digest: writeMark({ ...mark, sure: true }) });
}

/**
 * Brings a check run on GitHub to `content`, unless that is what it shows. The row has to be settled.
 *
 * @param urgency of its completion; before that it is progress
 * @returns the row as it is now, and what was done
 */
export async function sendCheckRun(
  context: ReportContext,
  repository: Repository,
  row: CheckRun,
  content: CheckRunContent,
  phase: string,
  urgency: Rank,
): Promise<{ row: CheckRun; done: 'nothing' | 'created' | 'updated' }> {
  const mark: Mark = { status: content.status, phase, hash: digestOf(withoutAnnotations(content)), sure: true };
  if (row.github_id !== null && row.digest === writeMark(mark)) return { row, done: 'nothing' };
  const before = async () => {
    await update(context, row, { tried_at: sql`now()`, digest: writeMark({ ...mark, sure: false }) });
  };
  try {
    const rank = content.status === 'completed' ? urgency : RANK.progress;
    const { data, headers } = await context.calls.write(
      repository.installation_id,
      { rank, before },
      (octokit, options) => send(octokit, repository, row, content, options),
    );
    const answer = { ...data, completed_at: data.completed_at ?? answeredAt(headers.date) };
    const now = await update(context, row, { ...learned(answer, row), digest: writeMark(mark) });
    return { row: now, done: row.github_id === null ? 'created' : 'updated' };
  } catch (error) {
    if (!mayHaveHappened(error)) await update(context, row, { tried_at: row.tried_at, digest: row.digest });
    throw error;
  }
}

/**
 * Annotations are added at each request that has some, never replaced: they go out once, with the completion. A change
 * to what is complete keeps its time, by which an approval is judged and GitHub may order check runs.
 */
async function send(
  octokit: InstallationOctokit,
  repository: Repository,
  row: CheckRun,
  content: CheckRunContent,
  options: RequestOptions,
): Promise<Answer> {
  const completing = content.status === 'completed' && !row.completed;
  const shown = completing ? content : withoutAnnotations(content);
  if (row.github_id === null) {
    return octokit.rest.checks.create({ ...nameOf(repository), ...shown, head_sha: row.head_sha, ...options });
  }
  const { name: _, external_id: __, ...changes } = shown;
  return octokit.rest.checks.update({
    ...nameOf(repository),
    check_run_id: row.github_id,
    ...changes,
    ...(row.completed && row.completed_at && { completed_at: row.completed_at.toISOString() }),
    ...options,
  });
}

function withoutAnnotations({ output, ...content }: CheckRunContent) {
  const { annotations: _, ...shown } = output;
  return { ...content, output: shown };
}

async function findOnGitHub(
  { calls, botLogin }: ReportContext,
  repository: Repository,
  row: CheckRun,
): Promise<OnGitHub | undefined> {
  return calls.read(repository.installation_id, async (octokit, options) => {
    const bot = await botLogin();
    const pages = octokit.paginate.iterator(octokit.rest.checks.listForRef, {
      ...nameOf(repository),
      ref: row.head_sha,
      check_name: row.name,
      filter: 'all',
      per_page: 100,
      ...options,
    });
    for await (const { data } of pages) {
      const found = data.find(({ external_id, app }) => {
        return external_id === row.external_id && (app?.slug === undefined || `${app.slug}[bot]` === bot);
      });
      if (found) return found;
    }
    return undefined;
  });
}

/** What GitHub's answer tells: the first completion counts, by its clock, and when we heard of it, by ours. */
function learned(found: OnGitHub, before?: CheckRun) {
  if (found.status !== 'completed') return { github_id: found.id };
  if (before?.completed) return { github_id: found.id, completed: true };
  const completedAt = found.completed_at ? new Date(found.completed_at) : null;
  return { github_id: found.id, completed: true, completed_at: completedAt, reported_at: sql<Date>`now()` };
}

function answeredAt(date: string | undefined): string | null {
  const at = Date.parse(date ?? '');
  return Number.isNaN(at) ? null : new Date(at).toISOString();
}

type Columns = Partial<{
  github_id: number;
  tried_at: Date | null | ReturnType<typeof sql>;
  completed: boolean;
  completed_at: Date | null;
  reported_at: ReturnType<typeof sql<Date>>;
  digest: string | null;
}>;

function update({ db }: ReportContext, row: CheckRun, columns: Columns): Promise<CheckRun> {
  return db
    .updateTable('check_runs')
    .set(columns as object)
    .where('id', '=', row.id)
    .returningAll()
    .executeTakeFirstOrThrow();
}

function nameOf({ owner, name }: Repository) {
  return { owner, repo: name };
}
