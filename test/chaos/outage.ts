import { randomBytes } from 'node:crypto';
import { type Database, inLaboratory } from '../bench/laboratory.js';
import type { LocalGitHub, LoggedRequest, Repository } from '../support/github/index.js';

export interface OutageOptions {
  backend: 'redis' | 'postgres';
  /** How long GitHub rejects everything; longer if the runs take longer. */
  seconds: number;
  workspaces: number;
  /** Pushes that touch every workspace, before GitHub goes away. */
  pushes: number;
}

export interface OutageFigures {
  runs: number;
  /** Runs that had ended when GitHub came back. All should have. */
  endedWhileAway: number;
  secondsAway: number;
  /** Requests while it was away. */
  askedWhileAway: number;
  /** From its return until every check run was right, in seconds. */
  secondsToCatchUp: number;
  checkRuns: number;
  /** Requests about check runs since its return. */
  calls: number;
  /** Most writes for one check run since its return. */
  mostForOne: number;
  /** Most writes in any 60 s and any 3,600 s of all of it. */
  busiestMinute: number;
  busiestHour: number;
  /** Check runs that don't show what the record says. */
  wrong: string[];
}

/** What may be taken before it is a failure, in ms. */
const WORK_MS = 600_000;
const CATCH_UP_MS = 150_000;

/** GitHub goes away while runs are under way in two workers, and comes back when they have ended and the time is up. */
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
    // Webhooks go to whichever is started last.
    for (const [name, ROLES] of [
      ['worker-1', 'worker'],
      ['worker-2', 'worker'],
      ['web', 'web'],
    ] as const) {
      await laboratory.startSignalbox({ name, github, database, redisUrl, env: { ...env, ROLES, WORKER_NAME: name } });
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
  { seconds, workspaces, pushes }: OutageOptions,
): Promise<OutageFigures> {
  const runs = workspaces * pushes;
  const count = async (where: string) => {
    const [row] = await database.query<{ n: string }>(`select count(*) n from runs where ${where}`);
    return Number(row?.n);
  };
  for (let push = 0; push < pushes; push++) {
    await github.as('alice').push(repository, { files: filesOf(workspaces, push) });
  }
  await github.until('runs', async () => (await count('true')) === runs, WORK_MS);

  const left = performance.now();
  const away = [github.misbehave({ how: { status: 503 } }), github.git.misbehave({ how: { status: 503 } })];
  await github.until('the runs to end', async () => (await count('ended_at is not null')) === runs, WORK_MS);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, seconds * 1000 - (performance.now() - left))));
  const endedWhileAway = await count('ended_at is not null');
  for (const each of away) each.stop();

  const back = performance.now();
  const first = github.requests.length;
  const wrong = async () => differences(github, repository, database);
  await github
    .until('every check run to be right', async () => (await wrong()).length === 0, CATCH_UP_MS)
    .catch(() => undefined);
  const caughtUp = performance.now();
  const since = github.requests.slice(first).filter(isAboutChecks);
  const writes = github.requests.filter((request) => isAboutChecks(request) && request.method !== 'GET');
  return {
    runs,
    endedWhileAway,
    secondsAway: (back - left) / 1000,
    askedWhileAway: away[0]?.met ?? 0,
    secondsToCatchUp: (caughtUp - back) / 1000,
    checkRuns: github.checkRuns(repository).length,
    calls: since.length,
    mostForOne: mostForOne(github, repository, since),
    busiestMinute: busiest(writes, 60_000),
    busiestHour: busiest(writes, 3_600_000),
    wrong: await wrong(),
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
    const right = shown?.externalId.startsWith(`${id}/`) && shown.conclusion === CONCLUSIONS[state];
    const pending = github.checkRuns(repository, sha).some((run) => run.name === name && run.status !== 'completed');
    return right && !pending ? [] : [`${id} is ${state}, shown is ${shown?.conclusion ?? shown?.status ?? 'nothing'}`];
  });
}

function isAboutChecks({ route }: LoggedRequest): boolean {
  return route.includes('/check-runs');
}

function mostForOne(github: LocalGitHub, repository: Repository, requests: LoggedRequest[]): number {
  const writes = new Map<string, number>();
  for (const { method, path, body } of requests) {
    if (method === 'GET') continue;
    const id = Number(path.split('/').at(-1));
    const key = github.checkRuns(repository).find((run) => run.id === id)?.externalId ?? String(body.external_id);
    writes.set(key, (writes.get(key) ?? 0) + 1);
  }
  return Math.max(0, ...writes.values());
}

function busiest(requests: LoggedRequest[], ms: number): number {
  const times = requests.map(({ at }) => Date.parse(at));
  return Math.max(0, ...times.map((at) => times.filter((other) => other > at - ms && other <= at).length));
}
