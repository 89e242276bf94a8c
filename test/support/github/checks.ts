import type { Account } from './accounts.js';
import type { App } from './app.js';
import { readCommit, simpleCommitJson } from './commits.js';
import { HttpError, invalid, type Json } from './http.js';
import { nodeId, timestamp } from './ids.js';
import { checkPullsJson } from './pull-json.js';
import type { RefChange } from './pushes.js';
import type { Repository } from './repository.js';

export interface CheckAction {
  label: string;
  description: string;
  identifier: string;
}

export interface Annotation {
  path: string;
  start_line: number;
  end_line: number;
  start_column?: number;
  end_column?: number;
  annotation_level: 'notice' | 'warning' | 'failure';
  message: string;
  title?: string;
  raw_details?: string;
}

export interface CheckSuite {
  id: number;
  app: App;
  repository: Repository;
  headSha: string;
  /** Null for a fork's commit. */
  headBranch: string | null;
  before: string | null;
  after: string | null;
  createdAt: string;
  updatedAt: string;
}

/** A check run, as a person sees it on GitHub. */
export interface CheckRun {
  id: number;
  repository: Repository;
  suite: CheckSuite;
  name: string;
  headSha: string;
  externalId: string;
  detailsUrl: string | null;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion: string | null;
  startedAt: string | null;
  completedAt: string | null;
  title: string | null;
  summary: string | null;
  text: string | null;
  annotations: Annotation[];
  actions: CheckAction[];
}

/** What a check run is created or updated with: REST's request body. */
export interface CheckReport {
  name?: string;
  head_sha?: string;
  external_id?: string;
  details_url?: string;
  status?: CheckRun['status'];
  conclusion?: string | null;
  started_at?: string;
  completed_at?: string;
  output?: { title?: string; summary?: string; text?: string; annotations?: Annotation[] };
  actions?: CheckAction[];
}

/** GitHub deletes the oldest of more check runs of one name in a suite. */
const MOST_RUNS_OF_A_NAME = 1000;

export async function createCheckRun(repository: Repository, app: App, report: CheckReport): Promise<CheckRun> {
  if (!report.name) throw invalid('CheckRun', 'name', 'missing_field');
  if (!report.head_sha) throw invalid('CheckRun', 'head_sha', 'missing_field');
  const sha = /^[0-9a-f]{40}$/.test(report.head_sha) ? await repository.resolve(report.head_sha) : undefined;
  if (!sha) throw new HttpError(422, `No commit found for SHA: ${report.head_sha}`);
  checkReport(report, undefined);
  const suite = await suiteFor(repository, app, sha);
  const run: CheckRun = {
    id: repository.github.ids.next(),
    repository,
    suite,
    name: report.name,
    headSha: sha,
    externalId: report.external_id ?? '',
    detailsUrl: report.details_url ?? repository.github.url,
    status: 'queued',
    conclusion: null,
    startedAt: report.started_at ?? timestamp(),
    completedAt: null,
    title: null,
    summary: null,
    text: null,
    annotations: [],
    actions: [],
  };
  const sameName = repository.checkRuns.filter((each) => each.suite === suite && each.name === run.name);
  const [oldest] = sameName;
  if (oldest && sameName.length >= MOST_RUNS_OF_A_NAME)
    repository.checkRuns.splice(repository.checkRuns.indexOf(oldest), 1);
  repository.checkRuns.push(run);
  apply(run, report);
  await emitRun(run, 'created', app.bot);
  if (run.status === 'completed') await emitCompleted(run);
  return run;
}

export async function updateCheckRun(run: CheckRun, report: CheckReport): Promise<void> {
  checkReport(report, run);
  const completed = run.status === 'completed';
  apply(run, report);
  if (completed && run.status !== 'completed') run.repository.github.reopened.push(run);
  if (!completed && run.status === 'completed') await emitCompleted(run);
}

function apply(run: CheckRun, report: CheckReport): void {
  if (report.name) run.name = report.name;
  if (report.external_id !== undefined) run.externalId = report.external_id;
  if (report.details_url !== undefined) run.detailsUrl = report.details_url;
  if (report.started_at) run.startedAt = report.started_at;
  if (report.status) run.status = report.status;
  if (report.conclusion) Object.assign(run, { status: 'completed', conclusion: report.conclusion });
  if (run.status === 'completed') run.completedAt = report.completed_at ?? run.completedAt ?? timestamp();
  else Object.assign(run, { conclusion: null, completedAt: null });
  const { output } = report;
  if (output) {
    run.title = output.title ?? run.title;
    run.summary = output.summary ?? run.summary;
    run.text = output.text ?? run.text;
    run.annotations.push(...(output.annotations ?? [])); // each request adds to them
  }
  if (report.actions) run.actions = report.actions;
  run.suite.updatedAt = timestamp();
}

/** GitHub's limits; lengths are counted in characters. */
function checkReport(report: CheckReport, existing: CheckRun | undefined): void {
  const conclusion = report.conclusion ?? (existing?.status === 'completed' ? existing.conclusion : null);
  if (report.status === 'completed' && !conclusion) throw invalid('CheckRun', 'conclusion', 'missing_field');
  const { output, actions = [] } = report;
  if (output) {
    if (output.title === undefined && !existing) throw invalid('CheckRun', 'output.title', 'missing_field');
    if (output.summary === undefined) throw invalid('CheckRun', 'output.summary', 'missing_field');
    limit('summary', output.summary, 65_535);
    limit('text', output.text ?? '', 65_535);
    const annotations = output.annotations ?? [];
    if (annotations.length > 50)
      throw invalid('CheckRun', 'annotations', 'too_long', 'annotations exceeds a maximum quantity of 50');
    for (const annotation of annotations) checkAnnotation(annotation);
  }
  if (actions.length > 3) throw invalid('CheckRun', 'actions', 'too_long', 'Only 3 actions are allowed');
  for (const action of actions) {
    limit('action label', action.label, 20);
    limit('action description', action.description, 40);
    limit('action identifier', action.identifier, 20);
  }
}

function checkAnnotation(annotation: Annotation): void {
  const { start_line: start, end_line: end, start_column, end_column } = annotation;
  if (end < start) throw invalid('CheckAnnotation', 'end_line', 'invalid');
  if (start !== end && (start_column !== undefined || end_column !== undefined)) {
    throw invalid(
      'CheckAnnotation',
      'start_column',
      'invalid',
      'columns are allowed on annotations of a single line only',
    );
  }
  if (Buffer.byteLength(annotation.message) > 65_536) throw invalid('CheckAnnotation', 'message', 'too_long');
  if ([...(annotation.title ?? '')].length > 255) throw invalid('CheckAnnotation', 'title', 'too_long');
}

function limit(field: string, text: string, most: number): void {
  if (typeof text !== 'string') throw invalid('CheckRun', field, 'invalid');
  if ([...text].length > most)
    throw invalid('CheckRun', field, 'too_long', `${field} exceeds a maximum of ${most} characters`);
}

/** The newest run of each name in each suite: what GitHub's pages and `filter=latest` show. */
export function latestRuns(runs: readonly CheckRun[]): CheckRun[] {
  const latest = new Map<string, CheckRun>();
  for (const run of runs) latest.set(`${run.suite.id} ${run.name}`, run);
  return [...latest.values()];
}

/** A push gives every App that may write checks a suite on the new head, and tells it so. */
export async function openSuites(repository: Repository, actor: Account, change: RefChange): Promise<void> {
  const headBranch = change.ref.slice('refs/heads/'.length);
  for (const installation of repository.github.installationsOf(repository)) {
    if (installation.permissions.checks !== 'write') continue;
    const { app } = installation;
    const existing = repository.suites.some((suite) => suite.app === app && suite.headSha === change.after);
    const suite = await suiteFor(repository, app, change.after, {
      headBranch,
      before: change.before,
      after: change.after,
    });
    if (!existing) await emitSuite(suite, 'requested', actor);
  }
}

async function suiteFor(
  repository: Repository,
  app: App,
  headSha: string,
  from?: { headBranch: string; before: string; after: string },
): Promise<CheckSuite> {
  const existing = repository.suites.find((suite) => suite.app === app && suite.headSha === headSha);
  if (existing) return existing;
  const branches = from
    ? []
    : await repository.git(['for-each-ref', '--points-at', headSha, '--format=%(refname:short)', 'refs/heads']);
  const branch = typeof branches === 'string' ? branches.split('\n')[0] || null : null;
  const now = timestamp();
  const suite: CheckSuite = {
    id: repository.github.ids.next(),
    app,
    repository,
    headSha,
    headBranch: from?.headBranch ?? branch,
    before: from?.before ?? null,
    after: from?.after ?? null,
    createdAt: now,
    updatedAt: now,
  };
  repository.suites.push(suite);
  return suite;
}

/** Presses a button. GitHub shows buttons on completed check runs only. */
export async function pressAction(run: CheckRun, sender: Account, identifier: string): Promise<void> {
  if (run.status !== 'completed') throw new Error(`${run.name} is ${run.status}: GitHub shows no buttons on it`);
  if (!run.actions.some((action) => action.identifier === identifier)) {
    const offered = run.actions.map((action) => action.identifier).join(', ') || 'none';
    throw new Error(`${run.name} has no button ${identifier}: it has ${offered}`);
  }
  await emitRun(run, 'requested_action', sender, { requested_action: { identifier } }, run.suite.app);
}

export async function rerequestRun(run: CheckRun, sender: Account): Promise<void> {
  if (run.status !== 'completed')
    throw new Error(`${run.name} is ${run.status}: only completed check runs can be re-run`);
  await emitRun(run, 'rerequested', sender, {}, run.suite.app);
}

export async function emitSuite(
  suite: CheckSuite,
  action: 'requested' | 'rerequested' | 'completed',
  sender: Account,
): Promise<void> {
  const { repository, app } = suite;
  const check_suite = await suiteJson(suite);
  repository.github.webhooks.emit({
    event: 'check_suite',
    action,
    repository,
    sender,
    payload: { check_suite },
    ...(action === 'completed' ? {} : { onlyTo: app }),
  });
}

async function emitCompleted(run: CheckRun): Promise<void> {
  await emitRun(run, 'completed', run.suite.app.bot);
  const { repository, suite } = run;
  const runs = repository.checkRuns.filter((each) => each.suite === suite);
  if (runs.every((each) => each.status === 'completed')) await emitSuite(suite, 'completed', suite.app.bot);
}

async function emitRun(run: CheckRun, action: string, sender: Account, more: Json = {}, onlyTo?: App): Promise<void> {
  const { repository } = run;
  const check_run = { ...checkRunJson(run), check_suite: await suiteJson(run.suite, false) };
  const payload = { check_run, ...more };
  repository.github.webhooks.emit({
    event: 'check_run',
    action,
    repository,
    sender,
    payload,
    ...(onlyTo ? { onlyTo } : {}),
  });
}

export function checkRunJson(run: CheckRun): Json {
  const { github, fullName } = run.repository;
  const url = `${github.api}/repos/${fullName}/check-runs/${run.id}`;
  return {
    id: run.id,
    name: run.name,
    node_id: nodeId('CheckRun', run.id),
    head_sha: run.headSha,
    external_id: run.externalId,
    url,
    html_url: `${github.url}/${fullName}/runs/${run.id}`,
    details_url: run.detailsUrl,
    status: run.status,
    conclusion: run.conclusion,
    started_at: run.startedAt,
    completed_at: run.completedAt,
    output: {
      title: run.title,
      summary: run.summary,
      text: run.text,
      annotations_count: run.annotations.length,
      annotations_url: `${url}/annotations`,
    },
    check_suite: { id: run.suite.id },
    app: github.appJson(run.suite.app),
    pull_requests: checkPullsJson(run.repository, run.headSha, run.suite.headBranch),
  };
}

/** A suite's state is that of its latest runs. */
function suiteState(suite: CheckSuite): { status: string; conclusion: string | null } {
  const runs = latestRuns(suite.repository.checkRuns.filter((run) => run.suite === suite));
  if (runs.length === 0) return { status: 'queued', conclusion: null };
  if (runs.some((run) => run.status !== 'completed')) {
    return { status: runs.every((run) => run.status === 'queued') ? 'queued' : 'in_progress', conclusion: null };
  }
  const order = ['failure', 'timed_out', 'cancelled', 'action_required', 'stale', 'success', 'neutral', 'skipped'];
  const conclusion = order.find((each) => runs.some((run) => run.conclusion === each)) ?? null;
  return { status: 'completed', conclusion };
}

export async function suiteJson(suite: CheckSuite, full = true): Promise<Json> {
  const { repository } = suite;
  const { github, fullName } = repository;
  const url = `${github.api}/repos/${fullName}/check-suites/${suite.id}`;
  const json: Json = {
    id: suite.id,
    node_id: nodeId('CheckSuite', suite.id),
    head_branch: suite.headBranch,
    head_sha: suite.headSha,
    ...suiteState(suite),
    url,
    before: suite.before,
    after: suite.after,
    pull_requests: checkPullsJson(repository, suite.headSha, suite.headBranch),
    app: github.appJson(suite.app),
    created_at: suite.createdAt,
    updated_at: suite.updatedAt,
  };
  if (!full) return json;
  return {
    ...json,
    rerequestable: true,
    runs_rerequestable: true,
    latest_check_runs_count: latestRuns(repository.checkRuns.filter((run) => run.suite === suite)).length,
    check_runs_url: `${url}/check-runs`,
    head_commit: simpleCommitJson(await readCommit(repository, suite.headSha)),
  };
}
