import { randomBytes } from 'node:crypto';
import { type Database, inLaboratory } from '../bench/laboratory.js';
import type { CheckRun, LocalGitHub, LoggedRequest, Repository } from '../support/github/index.js';

export interface OutageOptions {
  backend: 'redis' | 'postgres';
  /** Beside the web; 0: one process is both. */
  workers: number;
  /** How long GitHub rejects everything; with one process, which has the commits already, until the runs have ended. */
  seconds: number;
  workspaces: number;
  /** Pushes that touch every workspace, before GitHub goes away. */
  pushes: number;
}

export interface OutageFigures {
  runs: number;
  /** Runs that had ended when GitHub came back. Workers of their own wait for the commits that they don't have. */
  endedWhileAway: number;
  secondsAway: number;
  /** Requests while it was away. */
  askedWhileAway: number;
  /** From its return until every check run was right, in seconds. */
  secondsToCatchUp: number;
  /** Check runs of runs that had ended while it was away. */
  checkRuns: number;
  /** Requests about those since its return. */
  calls: number;
  /** Most writes for one of those since its return. */
  mostForOne: number;
  /** Most writes in any 60 s and any 3,600 s of all of it. */
  busiestMinute: number;
  busiestHour: number;
  /** Runs that never ended, and check runs that don't show what the record says. */
  wrong: string[];
}

/** What may be taken before it is a failure, in ms. */
const WORK_MS = 600_000;
const CATCH_UP_MS = 150_000;

/** GitHub goes away while runs are under way, and comes back when its time is up. */
export async function outage(options: OutageOptions): Promise<OutageFigures> {
  let figures: OutageFigures | undefined;
  await inLaboratory(async (laboratory) => {
    const github = await laboratory.startGitHub('github');
    const database = await laboratory.createDatabase('outage');
    const redisUrl = options.backend === 'redis' ? laboratory.redisUrl(0) : undefined;
    if (options.backend === 'redis' && !redisUrl) throw new Error('There is no redis-server on this machine.');
    const env = {
      ENCRYPTION_KEY: randomBytes(32).toString('hex'),
      GITHUB_CONTENT_PER_MINUTE: '80',
      GITHUB_CONTENT_PER_HOUR: '500',
    };
    const workers = Array.from({ length: options.workers }, (_, index) => `worker-${index + 1}`);
    for (const name of [...workers, 'web']) {
      // Webhooks go to whichever is started last.
      const roles = workers.length === 0 ? 'web,worker' : name.replace(/-.*/, '');
      const own = { ...env, ROLES: roles, WORKER_NAME: name };
      await laboratory.startSignalbox({ name, github, database, redisUrl, env: own });
    }
    await github.createUser('alice');
    await github.createOrganization('acme', { owners: ['alice'] });
    const repository = await github.createRepository({ owner: 'acme', name: 'infra' });
    figures = await story(github, repository, database, options);
  });
  if (!figures) throw new Error('The story has no end.');
  return figures;
}

async function story(
  github: LocalGitHub,
  repository: Repository,
  database: Database,
  { workers, seconds, workspaces, pushes }: OutageOptions,
): Promise<OutageFigures> {
  const runs = workspaces * pushes;
  const idsWhere = async (where: string) =>
    (await database.query<{ id: string }>(`select id from runs where ${where}`)).map(({ id }) => id);
  const haveEnded = async () => (await idsWhere('ended_at is not null')).length === runs;
  for (let push = 0; push < pushes; push++) {
    await github.as('alice').push(repository, { files: filesOf(workspaces, push) });
  }
  await github.until('runs', async () => (await idsWhere('true')).length === runs, WORK_MS);

  const left = performance.now();
  const away = [github.misbehave({ how: { status: 503 } }), github.git.misbehave({ how: { status: 503 } })];
  if (workers === 0) await github.until('the runs to end', haveEnded, WORK_MS);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, seconds * 1000 - (performance.now() - left))));
  const ended = await idsWhere('ended_at is not null');
  for (const each of away) each.stop();

  const back = performance.now();
  const first = github.requests.length;
  const wrong = async () => differences(github, repository, database);
  await github
    .until('every check run to be right', async () => (await wrong()).length === 0, CATCH_UP_MS)
    .catch(() => undefined);
  const caughtUp = performance.now();
  await github
    .until(
      'the runs to end, as everybody can see',
      async () => (await haveEnded()) && (await wrong()).length === 0,
      WORK_MS,
    )
    .catch(() => undefined);
  const unended = (await idsWhere('ended_at is null')).map((id) => `${id} has not ended`);
  const checkRuns = github
    .checkRuns(repository)
    .filter(({ externalId }) => ended.includes(externalId.split('/')[0] ?? ''));
  const since = github.requests.slice(first).filter((request) => checkRuns.some((run) => isAbout(run, request)));
  const writes = github.requests.filter((request) => request.route.includes('/check-runs') && isWrite(request));
  return {
    runs,
    endedWhileAway: ended.length,
    secondsAway: (back - left) / 1000,
    askedWhileAway: away[0]?.met ?? 0,
    secondsToCatchUp: (caughtUp - back) / 1000,
    checkRuns: checkRuns.length,
    calls: since.length,
    mostForOne: Math.max(
      0,
      ...checkRuns.map((run) => since.filter((request) => isWrite(request) && isAbout(run, request)).length),
    ),
    busiestMinute: busiest(writes, 60_000),
    busiestHour: busiest(writes, 3_600_000),
    wrong: [...unended, ...(await wrong())],
  };
}

function filesOf(workspaces: number, push: number): Record<string, string> {
  const names = Array.from({ length: workspaces }, (_, index) => `w${index}`);
  const settings = names.flatMap((name) => [`  - name: ${name}`, `    directory: ${name}`, '    auto-apply: true']);
  return {
    '.github/signalbox.yml': ['workspaces:', ...settings, ''].join('\n'),
    ...Object.fromEntries(
      names.map((name) => [`${name}/main.tf`, `resource "terraform_data" "a" {\n  input = "${push}"\n}\n`]),
    ),
  };
}

const CONCLUSIONS: Record<string, string> = {
  applied: 'success',
  no_changes: 'success',
  plan_errored: 'failure',
  apply_errored: 'failure',
  canceled: 'cancelled',
  discarded: 'cancelled',
};

/** Where GitHub doesn't show the state in which a run is, by the record. */
async function differences(github: LocalGitHub, repository: Repository, database: Database): Promise<string[]> {
  const runs = await database.query<{ id: string; name: string; sha: string; state: string }>(
    `select runs.id, 'signalbox/' || workspaces.name as name, commit_sha sha, state
     from runs join workspaces on workspaces.id = workspace_id`,
  );
  return runs.flatMap(({ id, name, sha, state }) => {
    const shown = github.checkRuns(repository, sha).findLast((run) => run.name === name);
    const expected = CONCLUSIONS[state];
    const right = shown?.externalId.startsWith(`${id}/`) && shown.conclusion === (expected ?? shown.conclusion);
    const pending = github.checkRuns(repository, sha).some((run) => run.name === name && run.status !== 'completed');
    return right && pending === (expected === undefined)
      ? []
      : [`${id} is ${state}, shown is ${shown?.conclusion ?? shown?.status ?? 'nothing'}`];
  });
}

/** Makes it, changes it, or looks for it among those of its commit. */
function isAbout({ id, externalId, headSha }: CheckRun, { route, path, body }: LoggedRequest): boolean {
  if (!route.includes('/check-runs')) return false;
  return path.endsWith(`/check-runs/${id}`) || body?.external_id === externalId || path.includes(`/${headSha}/`);
}

function isWrite({ method }: LoggedRequest): boolean {
  return method !== 'GET';
}

function busiest(requests: LoggedRequest[], ms: number): number {
  const times = requests.map(({ at }) => Date.parse(at));
  return Math.max(0, ...times.map((at) => times.filter((other) => other > at - ms && other <= at).length));
}
