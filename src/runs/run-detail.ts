import type { Db } from '../db/pool.js';
import type { PullRequest, Repository, Run, RunEvent, Workspace } from '../db/schema.js';
import { explainQueue, type QueueExplanation } from './queue-explanation.js';
import { timelineOf } from './store.js';

/** What a run's page shows beside its output and its plan. */
export interface RunDetail {
  run: Run;
  workspace: Workspace;
  repository: Repository;
  pullRequest: PullRequest | undefined;
  timeline: RunEvent[];
  /** Of a pending run. */
  explanation: QueueExplanation | undefined;
  /** GitHub's id of its newest check run. */
  githubCheckRun: number | undefined;
  /** The newest run in which the plan of this speculative one was to be applied. */
  appliedAs: string | undefined;
  /** The workspace's newest run; of a speculative one, the pull request's newest plan of the workspace. */
  newest: string;
}

/** Undefined where there is no such run. A constant number of queries. */
export async function findRunDetail(db: Db, id: string): Promise<RunDetail | undefined> {
  if (!/^run-\w+$/.test(id)) return undefined;
  const run = await db.selectFrom('runs').selectAll().where('id', '=', id).executeTakeFirst();
  if (!run) return undefined;
  const [workspace, repository, pullRequest, timeline, explanation, githubCheckRun, appliedAs, newest] =
    await Promise.all([
      db.selectFrom('workspaces').selectAll().where('id', '=', run.workspace_id).executeTakeFirstOrThrow(),
      db.selectFrom('repositories').selectAll().where('id', '=', run.repository_id).executeTakeFirstOrThrow(),
      pullRequestOf(db, run),
      timelineOf(db, run.id),
      run.state === 'pending' ? explainQueue(db, run) : undefined,
      newestCheckRun(db, run),
      run.speculative ? applicationOf(db, run) : undefined,
      newestOf(db, run),
    ]);
  return {
    run,
    workspace,
    repository,
    pullRequest,
    timeline,
    explanation,
    githubCheckRun,
    appliedAs,
    newest,
  };
}

async function pullRequestOf(db: Db, run: Run): Promise<PullRequest | undefined> {
  if (run.pull_request === null) return undefined;
  return db
    .selectFrom('pull_requests')
    .selectAll()
    .where('repository_id', '=', run.repository_id)
    .where('number', '=', run.pull_request)
    .executeTakeFirst();
}

async function newestCheckRun(db: Db, run: Run): Promise<number | undefined> {
  const shown = await db
    .selectFrom('check_runs')
    .select('github_id')
    .where('run_id', '=', run.id)
    .where('github_id', 'is not', null)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  return shown?.github_id ?? undefined;
}

async function applicationOf(db: Db, run: Run): Promise<string | undefined> {
  const application = await db
    .selectFrom('runs')
    .select('id')
    .where('repository_id', '=', run.repository_id)
    .where('commit_sha', '=', run.commit_sha)
    .where('reviewed_run', '=', run.id)
    .orderBy('sequence', 'desc')
    .limit(1)
    .executeTakeFirst();
  return application?.id;
}

async function newestOf(db: Db, run: Run): Promise<string> {
  let query = db
    .selectFrom('runs')
    .select('id')
    .where('workspace_id', '=', run.workspace_id)
    .where('speculative', '=', run.speculative)
    .where('sequence', '>=', run.sequence);
  if (run.speculative) query = query.where('pull_request', 'is not distinct from', run.pull_request);
  return (await query.orderBy('sequence', 'desc').limit(1).executeTakeFirstOrThrow()).id;
}
