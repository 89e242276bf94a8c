import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pino } from 'pino';
import { readConfig } from '../../src/config.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { PullRequest, Run, Workspace } from '../../src/db/schema.js';
import { octokitClass } from '../../src/octokit.js';
import type { Limit } from '../../src/reports/budget.js';
import { createReports, type ReportHandlers, type Reports } from '../../src/reports/publisher.js';
import { createRun, type RunRequest } from '../../src/runs/create.js';
import type { FactsOf, RunEventType } from '../../src/runs/machine.js';
import { findRun } from '../../src/runs/store.js';
import { type Move, transition } from '../../src/runs/transition.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';
import { LocalGitHub, type Repository } from '../support/github/index.js';

/** A budget that no test comes near. */
export const PLENTY: Limit[] = [{ most: 10_000, ms: 60_000, progress: 1 }];

/** A record, a local GitHub, and the reports between them. */
export class World {
  constructor(
    readonly github: LocalGitHub,
    readonly repo: Repository,
    readonly database: TestDatabase,
    readonly db: Db,
    readonly workspace: Workspace,
    readonly installation: number,
    readonly reportsWith: (limits: Limit[]) => Reports,
  ) {
    this.handlers = reportsWith(PLENTY).handlers;
  }

  handlers: ReportHandlers;

  static async start(): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), 'reports-'));
    const github = await LocalGitHub.start({ directory, removeOnClose: true });
    await github.createUser('alice');
    await github.createOrganization('acme', { owners: ['alice'] });
    const repo = await github.createRepository({ owner: 'acme', name: 'infra' });
    const installation = github.installationOf('acme').id;

    const database = await createTestDatabase();
    const db = createDb(createPool({ connectionString: database.url, max: 4, onError: () => undefined }));
    await db
      .insertInto('repositories')
      .values({ id: repo.id, installation_id: installation, owner: 'acme', name: 'infra', default_branch: 'main' })
      .execute();
    const workspace = await createWorkspace(db, repo.id, 'network');

    const config = readConfig({
      GHE_HOST: github.host,
      GHE_PROTOCOL: 'http',
      ROLES: 'worker',
      DATABASE_URL: database.url,
      ENCRYPTION_KEY: '0'.repeat(64),
    });
    const Octokit = octokitClass(config);
    const log = pino({ level: 'silent' });
    const auth = { appId: github.app.id, privateKey: github.app.privateKey };
    const clients = new Map<number, InstanceType<typeof Octokit>>();
    const octokitFor = async (id: number) => {
      const octokit = clients.get(id) ?? new Octokit({ auth: { ...auth, installationId: id }, log });
      clients.set(id, octokit);
      return octokit;
    };
    const reportsWith = (limits: Limit[]) =>
      createReports({
        db,
        octokitFor,
        config: { ...config, publicUrl: 'https://signalbox.example' },
        log,
        botLogin: async () => 'signalbox[bot]',
        limits,
      });
    return new World(github, repo, database, db, workspace, installation, reportsWith);
  }

  async close(): Promise<void> {
    await this.db.destroy();
    await this.database.drop();
    await this.github.close();
  }

  /** A new commit on a branch. */
  push(branch = 'main'): Promise<string> {
    return this.github.as('alice').push(this.repo, { branch, files: { 'main.tf': `# ${counter++}` } });
  }

  async createRun(commitSha: string, request: Partial<RunRequest> = {}): Promise<Run> {
    const { run } = await this.db.transaction().execute((tx) =>
      createRun(tx, {
        workspace: this.workspace,
        speculative: false,
        trigger: 'push',
        actor: 'alice',
        commitSha,
        commitMessage: 'Change files',
        branch: 'main',
        ...request,
      }),
    );
    return run;
  }

  async move<E extends RunEventType>(run: Run, event: E, facts: FactsOf<E>, move: Move = {}): Promise<Run> {
    return this.db.transaction().execute(async (tx) => transition(tx, await findRun(tx, run.id), event, facts, move));
  }

  async createPullRequest(number: number, head: string, overrides: Partial<PullRequest> = {}): Promise<void> {
    const { affected, ...columns } = overrides;
    await this.db
      .insertInto('pull_requests')
      .values({
        repository_id: this.repo.id,
        number,
        title: 'A change',
        state: 'open',
        draft: false,
        fork: false,
        head_ref: 'change',
        head_sha: head,
        base_ref: 'main',
        base_sha: 'base',
        author: 'alice',
        affected: affected === undefined ? [this.workspace.id] : affected,
        affected_sha: head,
        ...columns,
      })
      .execute();
  }

  report(run: Run): Promise<void> {
    return this.handlers.run_report({ kind: 'run_report', run: run.id });
  }

  reportHead(sha: string): Promise<void> {
    return this.handlers.head_report({ kind: 'head_report', repository: this.repo.id, sha });
  }

  reportPullRequest(number: number): Promise<void> {
    return this.handlers.pull_request_report({ kind: 'pull_request_report', repository: this.repo.id, number });
  }

  /** What GitHub has on a commit, oldest first: name, external id, status or conclusion, title. */
  shown(sha: string): string[][] {
    return this.github
      .checkRuns(this.repo, sha)
      .map(({ name, externalId, status, conclusion, title }) => [name, externalId, conclusion ?? status, title ?? '']);
  }

  /** Requests that changed something, as `POST /repos/...`. */
  get writes(): string[] {
    return this.github.requests
      .filter(({ method, route }) => method !== 'GET' && !route.includes('access_tokens') && !route.startsWith('git'))
      .map(({ route }) => route);
  }
}

export async function createWorkspace(db: Db, repository: number, name: string): Promise<Workspace> {
  return db
    .insertInto('workspaces')
    .values({
      repository_id: repository,
      name,
      directory: name,
      branch: 'main',
      auto_apply: false,
      trigger_prefixes: [],
      trigger_patterns: [],
      apply_requirements: [],
      supersede_pending: false,
    })
    .returningAll()
    .executeTakeFirstOrThrow();
}

let counter = 0;
