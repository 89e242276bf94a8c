import { sql } from 'kysely';
import type { CheckRun, PullRequest, Repository, Run } from '../db/schema.js';
import { RANK } from '../queue/effect-order.js';
import { enqueue, rankAnew } from '../queue/outbox.js';
import { RetryLater } from '../queue/outbox-pump.js';
import { isFinal, isHolding } from '../runs/machine.js';
import { explainQueue } from '../runs/queue-explanation.js';
import { timelineOf } from '../runs/store.js';
import { reportsOf } from '../runs/transition.js';
import { checkRunName, runCheck } from './check-run.js';
import type { CheckRunContent, RunReport } from './check-run-content.js';
import { openCheckRun, sendCheckRun, settle } from './check-run-record.js';
import { findRepository, type ReportContext } from './context.js';
import { readMark } from './mark.js';
import { pauseBetweenReports } from './pacing.js';
import { readOutput } from './run-output.js';

/** Brings a run's check run to the run's present state. */
export async function reportRun(context: ReportContext, id: string): Promise<void> {
  const { db } = context;
  const run = await db.selectFrom('runs').selectAll().where('id', '=', id).executeTakeFirst();
  const repository = run && (await findRepository(context, run.repository_id));
  if (!run || !repository) return;

  const found = await lastCheckRun(context, run.id);
  const last = found && (await settle(context, repository, found));
  const newest = await newestRun(context, run);
  const overtaker = newest.id === run.id ? undefined : await lastCheckRun(context, newest.id);
  // What ended unseen behind a newer run of the same name would only hide it.
  if (last?.github_id == null && isFinal(run.state) && overtaker?.github_id != null) return;

  const row = last && canShow(last, run) ? last : await openCheckRun(context, nextCheckRun(run, last));
  await waitForPace(context, row, run);
  const content = await contentOf(context, repository, run, row);
  const sent = await sendCheckRun(context, repository, row, content, phaseOf(run), RANK.final);

  if (newest.id === run.id) await comeForward(context, repository, run, sent.row);
  else if (overtaker && (await isBehindAnother(context, overtaker)))
    await enqueue(db, { kind: 'run_report', run: newest.id });
  if (sent.done === 'created') {
    await linkFromComment(context, run);
    await linkFromSuperseded(context, run);
  }
  if (sent.done !== 'nothing' && isFinal(run.state)) await rankSums(context, run);
  if (sent.done !== 'nothing' && phaseOf(run) !== readMark(row.digest)?.phase) await tellWaiting(context, run);
}

/** A report of the same phase may be put off, one of another not. */
function phaseOf(run: Run): string {
  if (run.cancel_requested_at === null || isFinal(run.state)) return run.state;
  return `${run.state}-${run.force_cancel_requested_at === null ? 'canceling' : 'killing'}`;
}

async function lastCheckRun({ db }: ReportContext, run: string): Promise<CheckRun | undefined> {
  return db
    .selectFrom('check_runs')
    .selectAll()
    .where('run_id', '=', run)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** The run that GitHub has to show of those with one name on one commit. */
async function newestRun({ db }: ReportContext, run: Run): Promise<Pick<Run, 'id'>> {
  return db
    .selectFrom('runs')
    .select('id')
    .where('repository_id', '=', run.repository_id)
    .where('commit_sha', '=', run.commit_sha)
    .where('workspace_id', '=', run.workspace_id)
    .where('speculative', '=', run.speculative)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirstOrThrow();
}

/** A check run that is complete is never opened again: it may only be amended, or say that its plan was discarded. */
function canShow(row: CheckRun, run: Run): boolean {
  if (!row.completed) return true;
  if (run.state === 'needs_confirmation' || run.state === 'discarded') return true;
  return isFinal(run.state) && readMark(row.digest)?.phase === run.state;
}

/** The check run after `last`: the first is the plan's, one after a completed plan the apply's. */
function nextCheckRun(run: Run, last: CheckRun | undefined) {
  const applying = run.confirmed_by !== null && last !== undefined;
  const stage = applying ? 'apply' : 'plan';
  const [, lastStage, lastAttempt] = last?.external_id.split('/') ?? [];
  const attempt = Math.max(run.attempt, 1, lastStage === stage ? Number(lastAttempt) + 1 : 1);
  return {
    repository_id: run.repository_id,
    head_sha: run.commit_sha,
    name: checkRunName(run),
    external_id: `${run.id}/${stage}/${attempt}`,
    run_id: run.id,
  };
}

/** Progress isn't reported more often than it can be read, less and less often as time goes by. */
async function waitForPace({ db }: ReportContext, row: CheckRun, run: Run): Promise<void> {
  if (row.github_id === null || row.completed || readMark(row.digest)?.phase !== phaseOf(run)) return;
  const { rows } = await sql<{ since: number | null; elapsed: number }>`
    select extract(epoch from now() - tried_at)::float8 * 1000 since, extract(epoch from now() - coalesce(
      (select max(at) from run_events where run_id = ${run.id} and type in ('created', 'plan_started', 'apply_started')),
      now()))::float8 * 1000 elapsed
    from check_runs where id = ${row.id}`.execute(db);
  const timing = rows[0];
  if (!timing || timing.since === null) return;
  const wait = pauseBetweenReports(timing.elapsed) - timing.since;
  if (wait > 0) throw new RetryLater(wait, 'progress was reported a moment ago');
}

async function contentOf(
  { db, addresses }: ReportContext,
  repository: Repository,
  run: Run,
  row: CheckRun,
): Promise<CheckRunContent> {
  const [timeline, planOutput, applyOutput, queue, pullRequest, conversation, successor] = await Promise.all([
    timelineOf(db, run.id),
    readOutput(db, run.id, 'plan'),
    readOutput(db, run.id, 'apply'),
    run.state === 'pending' ? explainQueue(db, run) : undefined,
    run.pull_request === null ? undefined : findPullRequest(db, run.repository_id, run.pull_request),
    run.pull_request ?? mergedAs(db, run),
    run.superseded_by === null ? undefined : checkRunOf(db, run.superseded_by),
  ]);
  return runCheck(run, {
    externalId: row.external_id,
    addresses,
    repository,
    pullRequest,
    timeline,
    planOutput,
    applyOutput,
    queue,
    conversation,
    successor,
  });
}

/** The pull request that was merged as the commit of a push's run: its comments reach that. */
async function mergedAs(db: ReportContext['db'], run: Run): Promise<number | undefined> {
  if (run.speculative) return undefined;
  const merged = await db
    .selectFrom('pull_requests')
    .select('number')
    .where('repository_id', '=', run.repository_id)
    .where('merge_commit_sha', '=', run.commit_sha)
    .where('state', '=', 'merged')
    .orderBy('number')
    .limit(1)
    .executeTakeFirst();
  return merged?.number;
}

async function checkRunOf(db: ReportContext['db'], run: string): Promise<RunReport['successor']> {
  const shown = await db
    .selectFrom('check_runs')
    .select('github_id')
    .where('run_id', '=', run)
    .where('github_id', 'is not', null)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return { run, githubId: shown?.github_id ?? undefined };
}

function findPullRequest(
  db: ReportContext['db'],
  repository: number,
  number: number,
): Promise<PullRequest | undefined> {
  return db
    .selectFrom('pull_requests')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('number', '=', number)
    .executeTakeFirst();
}

/** When an older run's report came after this one's, this one is reported once more, after it. */
async function comeForward(context: ReportContext, repository: Repository, run: Run, row: CheckRun): Promise<void> {
  if (!(await isBehindAnother(context, row))) return;
  const next = await openCheckRun(context, nextCheckRun(run, row));
  await sendCheckRun(
    context,
    repository,
    next,
    await contentOf(context, repository, run, next),
    phaseOf(run),
    RANK.final,
  );
}

/** Whether another run's check run of this name was made or completed after this one was completed. */
async function isBehindAnother({ db }: ReportContext, row: CheckRun): Promise<boolean> {
  if (!row.completed || row.github_id === null || row.reported_at === null) return false;
  const { github_id: id, reported_at: at } = row;
  const other = await db
    .selectFrom('check_runs')
    .select('id')
    .where('repository_id', '=', row.repository_id)
    .where('head_sha', '=', row.head_sha)
    .where('name', '=', row.name)
    .where('run_id', '<>', row.run_id)
    .where('completed', '=', true)
    .where((eb) => eb.or([eb('github_id', '>', id), eb('reported_at', '>', at)]))
    .limit(1)
    .executeTakeFirst();
  return other !== undefined;
}

/** What sums it up with others is more urgent once all of them have ended. */
async function rankSums({ db }: ReportContext, run: Run): Promise<void> {
  for (const effect of reportsOf(run)) if (effect.kind !== 'run_report') await rankAnew(db, effect);
}

/** The comment on its pull request links to the newest check run. */
async function linkFromComment({ db }: ReportContext, run: Run): Promise<void> {
  if (run.pull_request === null) return;
  const pullRequest = await findPullRequest(db, run.repository_id, run.pull_request);
  if (pullRequest?.comment_id == null) return;
  await enqueue(db, { kind: 'pull_request_report', repository: run.repository_id, number: run.pull_request });
}

const SUPERSEDED_TOLD = 20;

/** Runs in whose place this one came link to its check run, as soon as there is one. */
async function linkFromSuperseded({ db }: ReportContext, run: Run): Promise<void> {
  const superseded = await db
    .selectFrom('runs')
    .select('id')
    .where('workspace_id', '=', run.workspace_id)
    .where('superseded_by', '=', run.id)
    .orderBy('sequence', 'desc')
    .limit(SUPERSEDED_TOLD)
    .execute();
  await enqueue(db, ...superseded.map(({ id }) => ({ kind: 'run_report' as const, run: id })));
}

const WAITING_TOLD = 20;

/** Runs that wait for this one say so with its state. */
async function tellWaiting({ db }: ReportContext, run: Run): Promise<void> {
  if (run.speculative || !(isHolding(run.state) || isFinal(run.state))) return;
  const waiting = await db
    .selectFrom('runs')
    .select('id')
    .where('workspace_id', '=', run.workspace_id)
    .where('state', '=', 'pending')
    .where('speculative', '=', false)
    .orderBy('sequence')
    .limit(WAITING_TOLD)
    .execute();
  await enqueue(db, ...waiting.map(({ id }) => ({ kind: 'run_report' as const, run: id })));
}
