import type { App } from '../app.js';
import {
  type CheckReport,
  type CheckRun,
  checkRunJson,
  createCheckRun,
  latestRuns,
  suiteJson,
  updateCheckRun,
} from '../checks.js';
import { type Call, HttpError, notFound, type Reply, type Route, route } from '../http.js';
import { repositoryJson } from '../repository.js';
import { combinedState, createStatus, latestStatuses, type StatusState, statusJson } from '../statuses.js';

const reads = { needs: ['checks:read'] } as const;
const writes = { needs: ['checks:write'] } as const;

export const checkRoutes: readonly Route[] = [
  route('POST /repos/{owner}/{repo}/check-runs', writes, async (call) => {
    const run = await createCheckRun(call.repo, appOf(call), call.body as CheckReport);
    return { status: 201, body: checkRunJson(run) };
  }),
  route('GET /repos/{owner}/{repo}/check-runs/{check_run_id}', reads, (call) => {
    return { status: 200, body: checkRunJson(runOf(call)) };
  }),
  route('PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}', writes, async (call) => {
    const run = runOf(call);
    if (run.suite.app !== appOf(call))
      throw new HttpError(
        403,
        'Invalid app_id `' +
          `${appOf(call).id}` +
          '` - check run can only be modified by the GitHub App that created it.',
      );
    await updateCheckRun(run, call.body as CheckReport);
    return { status: 200, body: checkRunJson(run) };
  }),
  route('GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations', reads, (call) => {
    const { annotations, headSha } = runOf(call);
    const blob = (path: string) => `${call.github.url}/${call.repo.fullName}/blob/${headSha}/${path}`;
    return call.page(annotations, (shown) =>
      shown.map((each) => ({
        start_column: null,
        end_column: null,
        title: null,
        raw_details: null,
        ...each,
        blob_href: blob(each.path),
      })),
    );
  }),
  route('GET /repos/{owner}/{repo}/commits/{ref}/check-runs', reads, async (call) => {
    const sha = await shaOf(call);
    return listRuns(
      call,
      call.repo.checkRuns.filter((run) => run.headSha === sha),
    );
  }),
  route('GET /repos/{owner}/{repo}/check-suites/{check_suite_id}/check-runs', reads, (call) => {
    const id = call.number('check_suite_id');
    return listRuns(
      call,
      call.repo.checkRuns.filter((run) => run.suite.id === id),
    );
  }),
  route('GET /repos/{owner}/{repo}/check-suites/{check_suite_id}', reads, async (call) => {
    const suite = call.repo.suites.find((each) => each.id === call.number('check_suite_id'));
    if (!suite) throw notFound();
    return { status: 200, body: { ...(await suiteJson(suite)), repository: repositoryJson(call.repo) } };
  }),
  route('GET /repos/{owner}/{repo}/commits/{ref}/check-suites', reads, async (call) => {
    const sha = await shaOf(call);
    const appId = call.query.get('app_id');
    const suites = call.repo.suites
      .filter((suite) => suite.headSha === sha)
      .filter((suite) => appId === null || suite.app.id === Number(appId));
    const all = await Promise.all(
      suites.map(async (each) => ({ ...(await suiteJson(each)), repository: repositoryJson(call.repo) })),
    );
    return call.page(all, (check_suites) => ({ total_count: all.length, check_suites }));
  }),
  route('GET /repos/{owner}/{repo}/commits/{ref}/status', { needs: ['statuses:read'] }, async (call) => {
    const sha = await shaOf(call);
    const statuses = latestStatuses(call.repo, sha);
    const url = `${call.github.api}/repos/${call.repo.fullName}/commits/${sha}`;
    return call.page(statuses, (shown) => ({
      state: combinedState(statuses),
      statuses: shown.map((each) => statusJson(call.repo, each, false)),
      sha,
      total_count: statuses.length,
      repository: repositoryJson(call.repo),
      commit_url: url,
      url: `${url}/status`,
    }));
  }),
  route('GET /repos/{owner}/{repo}/commits/{ref}/statuses', { needs: ['statuses:read'] }, async (call) => {
    const sha = await shaOf(call);
    const statuses = call.repo.statuses.filter((each) => each.sha === sha).reverse();
    return call.page(statuses, (shown) => shown.map((each) => statusJson(call.repo, each)));
  }),
  route('POST /repos/{owner}/{repo}/statuses/{sha}', { needs: ['statuses:write'], role: 'write' }, async (call) => {
    const { actor } = call;
    const sha = await call.repo.resolve(call.param('sha'));
    if (!sha) throw new HttpError(422, `No commit found for SHA: ${call.param('sha')}`);
    if (actor.kind !== 'user' && actor.kind !== 'installation') throw notFound();
    const context = call.text('context');
    const status = createStatus(call.repo, actor.account, sha, {
      state: call.text('state') as StatusState,
      description: call.text('description') ?? null,
      targetUrl: call.text('target_url') ?? null,
      ...(context ? { context } : {}),
    });
    return { status: 201, body: statusJson(call.repo, status) };
  }),
];

/** Newest first. */
function listRuns(call: Call, runs: readonly CheckRun[]): Reply {
  const { query } = call;
  const wanted = (name: string) => query.get(name);
  const all = (wanted('filter') === 'all' ? [...runs] : latestRuns(runs))
    .filter((run) => wanted('check_name') === null || run.name === wanted('check_name'))
    .filter((run) => wanted('status') === null || run.status === wanted('status'))
    .filter((run) => wanted('app_id') === null || run.suite.app.id === Number(wanted('app_id')))
    .sort((one, other) => other.id - one.id);
  return call.page(all, (shown) => ({ total_count: all.length, check_runs: shown.map(checkRunJson) }));
}

function appOf({ actor }: Call): App {
  if (actor.kind !== 'installation') throw new HttpError(403, 'You must authenticate via a GitHub App.');
  return actor.app;
}

function runOf(call: Call): CheckRun {
  const run = call.repo.checkRuns.find((each) => each.id === call.number('check_run_id'));
  if (!run) throw notFound();
  return run;
}

async function shaOf(call: Call): Promise<string> {
  const sha = await call.repo.resolve(call.param('ref'));
  if (!sha) throw new HttpError(422, `No commit found for SHA: ${call.param('ref')}`);
  return sha;
}
