import { sql } from 'kysely';
import { createDb, createPool, type Db, type Tx } from '../../src/db/pool.js';
import type { Run, Trigger, Workspace } from '../../src/db/schema.js';
import { confirmRun } from '../../src/runs/actions.js';
import { claimStage } from '../../src/runs/claim.js';
import { createRun, type RunRequest } from '../../src/runs/create.js';
import { type FinishedPlan, finishPlan } from '../../src/runs/outcome.js';
import { findRun, timelineOf } from '../../src/runs/store.js';
import { createTestDatabase } from '../support/database.js';
import { registeredWorker } from '../support/workers.js';

/** A record with one repository, and what happens to its runs. */
export class RunsWorld {
  #count = 0;

  private constructor(
    readonly db: Db,
    readonly url: string,
    readonly close: () => Promise<void>,
  ) {}

  static async open(): Promise<RunsWorld> {
    const database = await createTestDatabase();
    const db = createDb(createPool({ connectionString: database.url, max: 8, onError: () => undefined }));
    await db
      .insertInto('repositories')
      .values({ id: 1, installation_id: 1, owner: 'acme', name: 'infra', default_branch: 'main' })
      .execute();
    return new RunsWorld(db, database.url, async () => {
      await db.destroy();
      await database.drop();
    });
  }

  /** A workspace of its own for each test. */
  workspace(
    settings: { auto_apply?: boolean; supersede_pending?: boolean; directory?: string } = {},
  ): Promise<Workspace> {
    return this.db
      .insertInto('workspaces')
      .values({
        repository_id: 1,
        name: `w${++this.#count}`,
        directory: `d${this.#count}`,
        branch: 'main',
        auto_apply: false,
        trigger_prefixes: [],
        trigger_patterns: [],
        apply_requirements: ['mergeable'],
        supersede_pending: false,
        ...settings,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  }

  async push(workspace: Workspace, commitSha = `c${++this.#count}`, trigger: Trigger = 'push'): Promise<Run> {
    return (await this.create({ ...this.request(workspace), commitSha, trigger })).run;
  }

  async speculative(workspace: Workspace, pullRequest = 5): Promise<Run> {
    const request = { ...this.request(workspace), trigger: 'pull_request' as const, speculative: true, pullRequest };
    return (await this.create(request)).run;
  }

  /** A run that was asked for on a pull request, after `reviewed` was. */
  async approved(workspace: Workspace, reviewed: Run, by = 'alice'): Promise<Run> {
    const approval = { trigger: 'comment' as const, pullRequest: 5, reviewedRun: reviewed.id, approvedBy: by };
    return (await this.create({ ...this.request(workspace), ...approval })).run;
  }

  request(workspace: Workspace): RunRequest {
    return {
      workspace,
      speculative: false,
      trigger: 'push',
      actor: 'alice',
      commitSha: `c${++this.#count}`,
      commitMessage: 'Change something',
      branch: 'main',
    };
  }

  create(request: RunRequest): Promise<{ run: Run; created: boolean }> {
    return this.inTransaction((tx) => createRun(tx, request));
  }

  inTransaction<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.db.transaction().execute(work);
  }

  async claim(run: Run, stage: 'plan' | 'apply' = 'plan', name = 'w1'): Promise<Run | undefined> {
    const { id, workspace_id, speculative, attempt } = run;
    const worker = await registeredWorker(this.db, name);
    return claimStage(this.db, { run: id, workspace: workspace_id, speculative, stage, attempt }, worker);
  }

  async begin(run: Run, stage: 'plan' | 'apply' = 'plan'): Promise<Run> {
    const claimed = await this.claim(run, stage);
    if (!claimed) throw new Error(`${run.id} can't be claimed`);
    return claimed;
  }

  /** A worker plans it. */
  async plan(run: Run, plan: Partial<FinishedPlan> = {}): Promise<Run> {
    return finishPlan(this.db, run.state === 'pending' ? await this.begin(run) : run, { ...finished, ...plan });
  }

  async confirm(run: Run, actor = 'alice'): Promise<Run> {
    const result = await this.inTransaction((tx) => confirmRun(tx, run, actor));
    if (!result.done) throw new Error(result.reason);
    return result.run;
  }

  /** A run in the wanted state, in a workspace of its own. */
  async in(state: 'pending' | 'planning' | 'needs_confirmation' | 'confirmed' | 'applying'): Promise<Run> {
    const run = await this.push(await this.workspace());
    if (state === 'pending') return run;
    const planning = await this.begin(run);
    if (state === 'planning') return planning;
    const planned = await this.plan(planning);
    if (state === 'needs_confirmation') return planned;
    const confirmed = await this.confirm(planned);
    return state === 'confirmed' ? confirmed : this.begin(confirmed, 'apply');
  }

  now(run: Run): Promise<Run> {
    return findRun(this.db, run.id);
  }

  /** `state: type, actor, detail`, oldest first. */
  async timeline(run: Run): Promise<string[]> {
    const events = await timelineOf(this.db, run.id);
    return events.map(({ state, type, actor, detail }) =>
      [`${state}: ${type}`, actor, detail].filter(Boolean).join(', '),
    );
  }

  /** Kind and subject of everything in the outbox, in order. */
  async effects(): Promise<string[]> {
    const rows = await this.db.selectFrom('outbox').select(['kind', 'subject']).orderBy('id').execute();
    return rows.map(({ kind, subject }) => `${kind} ${subject}`);
  }

  async delivered(): Promise<void> {
    await sql`delete from outbox`.execute(this.db);
  }
}

export const finished: FinishedPlan = {
  summary: { add: 1, change: 0, destroy: 0, replace: 0, import: 0, move: 0, forget: 0, outputs: 0 },
  diagnostics: [],
  changes: true,
  identity: 'signalbox:d',
  stateLeftOut: false,
  planFile: Buffer.from('plan'),
  workFiles: Buffer.from('files'),
  planJson: Buffer.from('json'),
  reviewedDigest: 'd1',
  reviewedParts: { of: 'd1' },
  differencesFrom: () => [],
};
