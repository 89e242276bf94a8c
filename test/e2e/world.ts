import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, jest } from '@jest/globals';
import pg from 'pg';
import { Gate } from '../queue/support.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import {
  type CheckRun,
  type Comment,
  LocalGitHub,
  type Person,
  type PullHandle,
  type Repository,
} from '../support/github/index.js';
import { redisAvailable, startRedis, type TestRedis } from '../support/redis.js';
import { freePort, NO_APP, Signalbox } from '../support/signalbox.js';

/** A story takes seconds; on a machine that does something else too, it may take a minute. */
jest.setTimeout(120_000);
const PATIENCE_MS = 40_000;

/** How Signalbox is run: which queue, and how many processes. */
export interface Deployment {
  name: string;
  redis: boolean;
  /** 0: web and worker are one process. Else web is one, and each worker another with a DATA_DIR of its own. */
  workers: number;
}

export const onPostgres: Deployment = { name: 'on PostgreSQL, in one process', redis: false, workers: 0 };
export const apart: Deployment = { name: 'on PostgreSQL, web and worker apart', redis: false, workers: 1 };
export const onRedis: Deployment = { name: 'on Redis, web and two workers apart', redis: true, workers: 2 };

/** What the main stories run on. */
export const deployments: Deployment[] = redisAvailable ? [onPostgres, onRedis] : [onPostgres];
if (!redisAvailable)
  process.stderr.write('There is no redis-server on the PATH: the stories run on PostgreSQL only.\n');

export interface WorldOptions {
  /** Added to the environment of each process. */
  env?: Record<string, string>;
  /** Each worker reaches the database through a gate of its own, which can be closed: its host is cut off. */
  gates?: boolean;
}

interface Expected {
  name?: string;
  sha?: string;
  status?: CheckRun['status'];
  conclusion?: string | null;
  title?: string | RegExp;
  /** More than the above can say. */
  where?: (run: CheckRun) => boolean;
}

/** A Signalbox as it is installed, a GitHub, and its people: root owns acme, alice and carol write, bob and mallory read. */
export class World {
  /** Error lines of the log that a story brings about. */
  readonly expectedErrors: RegExp[] = [];
  readonly processes: Signalbox[] = [];
  #repositories = 0;
  #logOfKilled = '';
  /** By worker, where they were asked for. */
  readonly gates: Gate[] = [];

  private constructor(
    readonly deployment: Deployment,
    readonly options: WorldOptions,
    readonly directory: string,
    readonly github: LocalGitHub,
    readonly database: TestDatabase,
    private readonly redis: TestRedis | undefined,
    private readonly client: pg.Client,
    readonly port: number,
    readonly encryptionKey: string,
  ) {}

  static async start(deployment: Deployment, options: WorldOptions = {}): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), 'signalbox-test-e2e-'));
    const port = await freePort();
    const webhook = { url: `http://127.0.0.1:${port}/api/github/webhooks`, secret: 'e2e-webhook-secret-6b1f' };
    const github = await LocalGitHub.start({ directory: join(directory, 'github'), webhook });
    for (const login of ['root', 'alice', 'bob', 'carol', 'mallory']) await github.createUser(login);
    await github.createOrganization('acme', { owners: ['root'] });
    const database = await createTestDatabase();
    const client = new pg.Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    const redis = deployment.redis ? await startRedis() : undefined;
    const key = randomBytes(32).toString('hex');
    const world = new World(deployment, options, directory, github, database, redis, client, port, key);
    if (options.gates) for (let n = 0; n < deployment.workers; n++) world.gates.push(await Gate.start(database.url));
    await world.startProcesses();
    return world;
  }

  /** Where its pages are. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get alice(): Person {
    return this.github.as('alice');
  }

  get carol(): Person {
    return this.github.as('carol');
  }

  get bob(): Person {
    return this.github.as('bob');
  }

  get mallory(): Person {
    return this.github.as('mallory');
  }

  get log(): string {
    return this.#logOfKilled + this.processes.map(({ log }) => log).join('');
  }

  /** Where each process that works on runs has its data. */
  get workerDirectories(): string[] {
    const { workers } = this.deployment;
    if (workers === 0) return [join(this.directory, 'web')];
    return Array.from({ length: workers }, (_, index) => join(this.directory, `worker-${index + 1}`));
  }

  get #environment(): Record<string, string> {
    return {
      DATABASE_URL: this.database.url,
      ENCRYPTION_KEY: this.encryptionKey,
      GITHUB_CONTENT_PER_MINUTE: '10000',
      GITHUB_CONTENT_PER_HOUR: '15000',
      // Stories have Terraform keep a journal in here. DATA_DIR is hidden from it all the same.
      SANDBOX_PATHS: `${this.directory}:rw`,
      ...(this.redis && { REDIS_URL: this.redis.url }),
      ...this.options.env,
    };
  }

  /** The processes of the deployment; also again, after they were stopped or killed. */
  async startProcesses(): Promise<void> {
    await this.startWeb();
    if (this.deployment.workers > 0) await this.startWorkers();
  }

  async startWeb(): Promise<void> {
    const { github, deployment, directory } = this;
    const env = this.#environment;
    const roles = deployment.workers === 0 ? 'web,worker' : 'web';
    const web = {
      ...{ github, dataDirectory: join(directory, 'web'), port: this.port },
      env: { PUBLIC_URL: this.url, ...env, ROLES: roles },
    };
    this.processes.unshift(await Signalbox.start(web));
  }

  async startWorkers(): Promise<void> {
    const { github } = this;
    const env = this.#environment;
    const starting = this.workerDirectories.map((dataDirectory, index) => {
      const own = { ROLES: 'worker', WORKER_NAME: `worker-${index + 1}` };
      const gate = this.gates[index];
      const cut = gate && { DATABASE_URL: gate.url(this.database.url) };
      return Signalbox.start({ github, dataDirectory, env: { ...env, ...NO_APP, ...own, ...cut } });
    });
    this.processes.push(...(await Promise.all(starting)));
  }

  /** SIGKILL to every process, or to some of them alone; what Terraform runs goes on. */
  async kill(which: 'all' | 'web' | 'workers'): Promise<void> {
    const killed = this.processes.splice(which === 'workers' ? 1 : 0, which === 'web' ? 1 : Number.POSITIVE_INFINITY);
    for (const each of killed) {
      this.#logOfKilled += each.log;
      await each.stop('SIGKILL');
    }
  }

  /** A repository of acme's that nobody has pushed to. Each story has one of its own. */
  async repository(options: { private?: boolean; install?: boolean; name?: string } = {}): Promise<Repository> {
    this.#repositories += 1;
    const { name = `infra-${this.#repositories}`, ...rest } = options;
    const repository = await this.github.createRepository({ owner: 'acme', name, private: true, ...rest });
    await repository.setPermission('alice', 'write');
    await repository.setPermission('carol', 'write');
    await repository.setPermission('bob', 'read');
    return repository;
  }

  /** A repository whose main branch is applied already: workspace `network`, and whatever else is given. */
  async appliedRepository(
    files: Record<string, string>,
    options: { private?: boolean; settings?: string } = {},
  ): Promise<Repository> {
    const { settings = workspace('network', 'auto-apply: true'), ...rest } = options;
    const repository = await this.repository(rest);
    const sha = await this.alice.push(repository, { files: { [SETTINGS]: settings, ...files } });
    await this.check(repository, { name: 'signalbox/network', sha, conclusion: 'success' });
    return repository;
  }

  /** Pushes a branch and opens its pull request. */
  async pullRequest(
    repository: Repository,
    files: Record<string, string | null>,
    options: { branch?: string; title?: string; message?: string } = {},
  ): Promise<PullHandle> {
    const { branch = 'feature', title = 'A change', message = 'Change' } = options;
    await this.alice.push(repository, { branch, from: repository.defaultBranch, files, message });
    return this.alice.openPullRequest(repository, { head: branch, title });
  }

  /** Waits until the newest check run of that name and commit is as described, and until Signalbox knows that it is shown. */
  async check(repository: Repository, expected: Expected, timeout = PATIENCE_MS): Promise<CheckRun> {
    const { name = 'signalbox/network', sha } = expected;
    const newest = () => this.github.checkRuns(repository, sha).findLast((run) => run.name === name);
    try {
      return await this.github.until(
        `check run ${name} ${JSON.stringify(expected)}`,
        async () => {
          const run = newest();
          if (!run || !matches(run, expected)) return undefined;
          return run.status !== 'completed' || (await this.isKnown(run)) ? run : undefined;
        },
        timeout,
      );
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.describe(repository)}`);
    }
  }

  /** The one comment that Signalbox keeps on a pull request. */
  async summary(repository: Repository, { number }: PullHandle, pattern: RegExp): Promise<Comment> {
    return this.until(repository, `a comment like ${pattern}`, () =>
      this.ownComments(repository, number).find(
        ({ body }) => body.includes('signalbox: summary') && pattern.test(body),
      ),
    );
  }

  /** Comments, and waits for what Signalbox makes of it: its last reaction, and its answer if there is one. */
  async command(
    repository: Repository,
    { number }: { number: number },
    body: string,
    options: { by?: Person; createdAt?: string } = {},
  ): Promise<{ reaction: string; answer: string }> {
    const before = this.ownComments(repository, number).length;
    const { by = this.alice, ...rest } = options;
    const comment = await by.comment(repository, number, body, rest);
    const reaction = await this.until(repository, `a reaction to \`${body}\``, () =>
      comment.reactions.map(({ content }) => content).find((content) => content !== 'eyes'),
    );
    if (reaction !== 'confused') return { reaction, answer: '' };
    const answer = await this.until(repository, `an answer to \`${body}\``, () =>
      this.ownComments(repository, number)
        .slice(before)
        .find(({ body }) => body.includes('signalbox: reply')),
    );
    return { reaction, answer: answer.body };
  }

  ownComments(repository: Repository, number: number): Comment[] {
    return this.github.comments(repository, number).filter(({ app }) => app === this.github.app);
  }

  /** Check runs of our own, as `signalbox/network: 1 added, 0 changed, 0 destroyed`: the newest of each commit and name. */
  shown(repository: Repository, sha?: string): string[] {
    const newest = new Map<string, CheckRun>();
    for (const run of this.github.checkRuns(repository, sha)) newest.set(`${run.headSha} ${run.name}`, run);
    return [...newest.values()].map(({ name, title }) => `${name}: ${title}`);
  }

  async until<T>(
    repository: Repository,
    what: string,
    probe: () => T | undefined | false | Promise<T | undefined | false>,
    timeout = PATIENCE_MS,
  ): Promise<T> {
    try {
      return await this.github.until(what, probe, timeout);
    } catch (error) {
      throw new Error(`${(error as Error).message}\n${this.describe(repository)}`);
    }
  }

  /** When nothing is under way any more: no run, no delivery, no effect. */
  async quiet(): Promise<void> {
    await this.github.settled();
    await this.github.until('quiet', async () => {
      const [row] = await this.query<{ open: number }>(
        `select (select count(*) from runs where state in ('planning', 'confirmed', 'applying'))
          + (select count(*) from deliveries where done_at is null) + (select count(*) from outbox) open`,
      );
      return Number(row?.open) === 0;
    });
  }

  /** What Terraform printed in a stage of the last run of a commit, as the record has it. */
  async outputOf(sha: string, stage: 'plan' | 'apply'): Promise<string> {
    const [row] = await this.query<{ text: string }>(
      `select string_agg(text, '' order by outputs.attempt, outputs.sequence) as text
        from outputs join runs on runs.id = run_id where commit_sha = $1 and stage = $2`,
      [sha, stage],
    );
    return row?.text ?? '';
  }

  async query<Row extends pg.QueryResultRow>(text: string, values: unknown[] = []): Promise<Row[]> {
    return (await this.client.query<Row>(text, values)).rows;
  }

  /** SIGTERM, in the order in which one would: workers first. Their exit codes. */
  async stop(): Promise<(number | null)[]> {
    const [web, ...workers] = this.processes;
    const codes = await Promise.all(workers.map((worker) => worker.stop()));
    return [...codes, ...(web ? [await web.stop()] : [])];
  }

  /** Ends everything, and looks at what must hold after every story. */
  async end(): Promise<void> {
    this.github.misbehaviours.stop();
    this.github.git.misbehaviours.stop();
    await this.quiet().catch(() => undefined);
    const impatience = setTimeout(() => {
      for (const { process } of this.processes) process.kill('SIGKILL');
    }, 15_000);
    const codes = await this.stop();
    for (const gate of this.gates) await gate.goAway();
    clearTimeout(impatience);
    const unexpected = this.errors().filter((line) => !this.expectedErrors.some((pattern) => pattern.test(line)));
    const { violations, reopened } = this.github;
    await this.github.close();
    await this.client.end();
    const left = await processesIn(this.directory);
    await this.redis?.stop();
    await this.database.drop();
    await rm(this.directory, { recursive: true, force: true });
    expect({ codes, unexpected, violations, reopened, left }).toEqual({
      codes: codes.map(() => 0),
      unexpected: [],
      violations: [],
      reopened: [],
      left: [],
    });
  }

  /** Whether the record has GitHub's answer to the report: only then does Signalbox know what a person saw. */
  private async isKnown(run: CheckRun): Promise<boolean> {
    const rows = await this.query('select 1 from check_runs where github_id = $1 and reported_at is not null', [
      run.id,
    ]);
    return rows.length > 0;
  }

  /** Lines that are no JSON are errors too: a stack trace that nobody caught. */
  private errors(): string[] {
    return this.log.split('\n').filter((line) => {
      if (line === '') return false;
      try {
        return ['error', 'fatal'].includes((JSON.parse(line) as { level: string }).level);
      } catch {
        return true;
      }
    });
  }

  private describe(repository: Repository): string {
    const checks = this.github
      .checkRuns(repository)
      .map(({ name, headSha, status, conclusion, title }) =>
        [' ', name, headSha.slice(0, 7), status, conclusion, '|', title].join(' '),
      );
    const comments = [...repository.comments.values()].map(
      ({ user, body, reactions }) =>
        `  ${user.login}: ${body.slice(0, 300).replaceAll('\n', '\n    ')} [${reactions.map(({ content }) => content).join(' ')}]`,
    );
    const log = this.log.split('\n').slice(-15);
    return ['Check runs:', ...checks, 'Comments:', ...comments, 'Log:', ...log].join('\n');
  }
}

export const SETTINGS = '.github/signalbox.yml';

/** The settings file with one workspace, in the directory of its name. */
export function workspace(name: string, ...lines: string[]): string {
  return workspaces([name], ...lines);
}

/** The settings file with several workspaces, all alike. */
export function workspaces(names: string[], ...lines: string[]): string {
  const entry = (name: string) => [
    `  - name: ${name}`,
    `    directory: ${name}`,
    ...lines.map((line) => `    ${line}`),
  ];
  return ['workspaces:', ...names.flatMap(entry), ''].join('\n');
}

/** A resource that needs no provider. */
export function resource(name: string, input: string): string {
  return `resource "terraform_data" "${name}" {\n  input = ${hcl(input)}\n}\n`;
}

/** A resource that runs a shell command whenever it is created, which it is whenever `trigger` changes. */
export function command(name: string, script: string, trigger = ''): string {
  return `resource "terraform_data" "${name}" {
  triggers_replace = ${hcl(trigger)}
  provisioner "local-exec" {
    command = ${hcl(script)}
  }
}
`;
}

/** A string as HCL writes it. */
export function hcl(text: string): string {
  return JSON.stringify(text).replaceAll(/[$%](?=\{)/g, '$&$&');
}

export async function lines(file: string): Promise<string[]> {
  if (!existsSync(file)) return [];
  return (await readFile(file, 'utf8')).split('\n').filter(Boolean);
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}

/** Command lines of the processes that work below a directory or name it. */
export async function processesIn(directory: string): Promise<string[]> {
  const found: string[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry) || Number(entry) === process.pid) continue;
    const commandLine = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    const cwd = await readlink(`/proc/${entry}/cwd`).catch(() => '');
    if (commandLine.includes(directory) || cwd.startsWith(directory)) found.push(commandLine.replaceAll('\0', ' '));
  }
  return found;
}

function matches(run: CheckRun, { status, conclusion, title, where }: Expected): boolean {
  if (status !== undefined && run.status !== status) return false;
  if (conclusion !== undefined && run.conclusion !== conclusion) return false;
  if (typeof title === 'string' && run.title !== title) return false;
  if (title instanceof RegExp && !title.test(run.title ?? '')) return false;
  return where?.(run) ?? true;
}
