import { mkdtemp } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Probot } from 'probot';
import { createApp, webhookEvents } from '../../src/app.js';
import { readConfig } from '../../src/config.js';
import { Notifications } from '../../src/db/notifications.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { Run } from '../../src/db/schema.js';
import { Mirrors } from '../../src/git/mirror.js';
import { DeliveryProcessor } from '../../src/github/deliveries.js';
import { createMint, createTokenSource } from '../../src/github/git-tokens.js';
import type { Services } from '../../src/github/handling.js';
import { receiver } from '../../src/github/looks.js';
import { MissedWebhooks } from '../../src/github/missed-webhooks.js';
import { answerWebhook } from '../../src/github/webhook.js';
import { createLog, type Log } from '../../src/log.js';
import { type OctokitFor, octokitClass } from '../../src/octokit.js';
import { Complaints } from '../../src/queue/complaints.js';
import type { Effect, EffectKind } from '../../src/queue/outbox.js';
import { claimStage } from '../../src/runs/claim.js';
import { failPlan, finishApply, finishPlan } from '../../src/runs/outcome.js';
import { findRun } from '../../src/runs/store.js';
import { Encryption } from '../../src/variables/encryption.js';
import { createTestDatabase } from '../support/database.js';
import { type CheckRun, type Delivery, LocalGitHub, type Repository } from '../support/github/index.js';
import { registeredWorker } from '../support/workers.js';

const SECRET = 'it is a secret';

export const SETTINGS = `workspaces:
  - name: network
    directory: network
  - name: app
    directory: app
`;

/**
 * The way in of Signalbox, on real parts: a local GitHub, its webhooks over HTTP, the record, Probot, the handlers. What
 * workers and reports do to a run is done by hand.
 */
export class World {
  readonly #server: Server;
  readonly #redelivered = new Set<bigint>();

  private constructor(
    readonly github: LocalGitHub,
    readonly repo: Repository,
    readonly db: Db,
    readonly services: Services,
    readonly processor: DeliveryProcessor,
    readonly databaseUrl: string,
    server: Server,
    private readonly end: () => Promise<void>,
  ) {
    this.#server = server;
  }

  /** acme/infra, private; root owns acme, alice and carol write, bob reads. */
  static async start(options: { settings?: string | null } = {}): Promise<World> {
    const directory = await mkdtemp(join(tmpdir(), 'signalbox-test-github-'));
    const github = await LocalGitHub.start({ directory, removeOnClose: true });
    for (const login of ['root', 'alice', 'bob', 'carol']) await github.createUser(login);
    await github.createOrganization('acme', { owners: ['root'] });
    const repo = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
    await repo.setPermission('alice', 'write');
    await repo.setPermission('carol', 'write');
    await repo.setPermission('bob', 'read');

    const database = await createTestDatabase();
    const db = createDb(createPool({ connectionString: database.url, max: 8, onError: () => undefined }));
    const notifications = new Notifications(database.url, () => undefined);
    await notifications.start();
    const config = readConfig({
      APP_ID: String(github.app.id),
      PRIVATE_KEY: github.app.privateKey,
      WEBHOOK_SECRET: SECRET,
      GHE_HOST: github.host,
      GHE_PROTOCOL: 'http',
    });
    const log: Log = createLog({ level: process.env.LOG_LEVEL ?? 'silent', format: 'json' });
    const probot = new Probot({
      appId: github.app.id,
      privateKey: github.app.privateKey,
      secret: SECRET,
      log,
      Octokit: octokitClass(config),
      baseUrl: config.githubApiUrl,
    });
    const octokitFor: OctokitFor = (installation) => probot.auth(installation);
    const app = await probot.auth();
    const mint = createMint(db, app);
    const { tokenFor } = createTokenSource({ db, encryption: new Encryption(Buffer.alloc(32)), notifications, mint });
    const mirrors = new Mirrors({ directory: join(directory, 'mirrors'), githubUrl: config.githubUrl, tokenFor, log });
    const services = { db, mirrors, appId: github.app.id, app, log, octokitFor };
    await probot.load(createApp(services), { cwd: '', addHandler: () => undefined });
    const processor = new DeliveryProcessor({
      db,
      notifications,
      receive: receiver(services, (event) => probot.receive(event)),
      log,
      concurrency: 4,
      retryMs: 20,
    });
    processor.start();

    const verify = (body: string, signature: string) => probot.webhooks.verify(body, signature);
    const server = createServer((request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', async () => {
        const header = (name: string) => request.headers[name]?.toString();
        const body = Buffer.concat(chunks);
        const answer = await answerWebhook(
          { db, verify, events: webhookEvents, log, complaints: new Complaints(log) },
          { header, body },
        );
        response.writeHead(answer.status).end(answer.text);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    github.setWebhook({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`, secret: SECRET });

    const end = async () => {
      await processor.stop();
      await notifications.close();
      await db.destroy();
      await database.drop();
    };
    const world = new World(github, repo, db, services, processor, database.url, server, end);
    const settings = options.settings === undefined ? SETTINGS : options.settings;
    await github.as('alice').push(repo, {
      message: 'Begin',
      files: {
        ...(settings === null ? {} : { '.github/signalbox.yml': settings }),
        'network/main.tf': 'resource "terraform_data" "n" {}\n',
        'app/main.tf': 'resource "terraform_data" "a" {}\n',
        'README.md': 'infra\n',
      },
    });
    await world.settle();
    return world;
  }

  async close(): Promise<void> {
    await this.github.close();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    await this.end();
  }

  /** Until every webhook has arrived and is done. */
  async settle(): Promise<void> {
    const deadline = Date.now() + 20_000;
    for (;;) {
      await this.github.settled();
      this.#redeliverTimedOut();
      await this.github.settled();
      const undone = await this.db
        .selectFrom('deliveries')
        .select(['event', 'error'])
        .where('done_at', 'is', null)
        .execute();
      if (undone.length === 0) return;
      if (Date.now() > deadline) throw new Error(`deliveries are stuck: ${JSON.stringify(undone)}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  /** GitHub waits ten seconds for an answer. On a machine that stalls for so long a webhook would be missing. */
  #redeliverTimedOut(): void {
    for (const delivery of this.github.deliveries.filter(({ status }) => status === 'timed out')) {
      if (this.#redelivered.has(delivery.id)) continue;
      this.#redelivered.add(delivery.id);
      this.github.webhooks.redeliver(delivery);
    }
  }

  /** Looks for what webhooks didn't tell until there is no more, and waits for what comes of it. */
  async lookForMissed(): Promise<void> {
    const options = { services: this.services, notifications: { on: () => () => undefined }, events: webhookEvents };
    const missed = new MissedWebhooks({ ...options, everyMs: 0, soonMs: 0 });
    for (let round = 0; round < 10; round++) {
      const more = await missed.look();
      await this.settle();
      if (!more) return;
    }
    throw new Error('there is always more to look for');
  }

  /** Does something while Signalbox is away. Yields the deliveries that it didn't get. */
  async away(doing: () => Promise<unknown>, options: { recorded: boolean }): Promise<Delivery[]> {
    const lost: Delivery[] = [];
    const loss = this.github.loseDeliveries((delivery) => lost.push(delivery) > 0, options);
    await doing();
    loss.stop();
    await this.settle();
    return lost;
  }

  /** Errors of deliveries that were given up. */
  async givenUp(): Promise<(string | null)[]> {
    const rows = await this.db.selectFrom('deliveries').select('error').where('error', 'is not', null).execute();
    return rows.map((row) => row.error);
  }

  /** All runs, oldest first. */
  runs(): Promise<Run[]> {
    return this.db.selectFrom('runs').selectAll().orderBy('sequence').execute();
  }

  /** The newest run of a workspace. */
  async run(workspace: string, kind: 'standard' | 'speculative' = 'standard'): Promise<Run> {
    const runs = await this.runs();
    const found = runs.findLast((run) => run.settings.name === workspace && run.speculative === (kind !== 'standard'));
    if (!found) throw new Error(`${workspace} has no ${kind} run`);
    return found;
  }

  /** `network: push pending`, oldest first. */
  async list(): Promise<string[]> {
    return (await this.runs()).map(
      (run) => `${run.settings.name}: ${run.speculative ? 'speculative ' : ''}${run.trigger} ${run.state}`,
    );
  }

  async forgetRuns(): Promise<void> {
    // Not `truncate … cascade`: workspaces refer to runs, and would be emptied with them.
    const free = { held_pull_request: null, held_head_sha: null };
    const unlocked = { locked_at: null, locked_by: null, lock_reason: null, lock_run: null };
    await this.db
      .updateTable('workspaces')
      .set({ ...free, ...unlocked })
      .execute();
    for (const table of ['outbox', 'check_runs', 'state_versions', 'runs'] as const) {
      await this.db.deleteFrom(table).execute();
    }
  }

  async effects<K extends EffectKind>(kind: K): Promise<Extract<Effect, { kind: K }>[]> {
    const rows = await this.db.selectFrom('outbox').select('payload').where('kind', '=', kind).orderBy('id').execute();
    return rows.map((row) => row.payload as Extract<Effect, { kind: K }>);
  }

  /** What a comment was answered with. */
  async answersTo(comment: number): Promise<{ reactions: string[]; reply: string | undefined }> {
    const reactions = (await this.effects('reaction')).filter((effect) => effect.comment === comment);
    const reply = (await this.effects('reply')).find((effect) => effect.key === String(comment));
    return { reactions: reactions.map(({ content }) => content), reply: reply?.body };
  }

  #worker() {
    return registeredWorker(this.db, 'worker');
  }

  /** A worker plans the run. */
  async plan(
    run: Run,
    outcome: 'changes' | 'no changes' | 'error' | 'unfinished' = 'changes',
    digest = 'd1',
  ): Promise<Run> {
    const job = { run: run.id, workspace: run.workspace_id, speculative: run.speculative };
    const claimed = await claimStage(this.db, { ...job, stage: 'plan', attempt: run.attempt }, await this.#worker());
    if (!claimed) throw new Error(`${run.id} could not be claimed`);
    if (outcome === 'unfinished') return claimed;
    if (outcome === 'error') return failPlan(this.db, claimed, 'It failed.', []);
    const bytes = Buffer.from('sealed');
    return finishPlan(this.db, claimed, {
      summary: { add: 1, change: 0, destroy: 0, replace: 0, import: 0, move: 0, forget: 0, outputs: 0 },
      diagnostics: [],
      changes: outcome === 'changes',
      identity: 'i',
      stateLeftOut: false,
      planFile: bytes,
      workFiles: bytes,
      planJson: bytes,
      reviewedDigest: digest,
      reviewedParts: {},
      differencesFrom: () => [],
    });
  }

  /** A worker begins to apply the run. */
  async beginApply(run: Run): Promise<Run> {
    const job = { run: run.id, workspace: run.workspace_id, speculative: false };
    const claimed = await claimStage(this.db, { ...job, stage: 'apply', attempt: run.attempt }, await this.#worker());
    if (!claimed) throw new Error(`${run.id} could not be claimed`);
    return claimed;
  }

  async apply(run: Run): Promise<Run> {
    return finishApply(this.db, await this.beginApply(run), 'i', { diagnostics: [] });
  }

  /** Reports do their work: GitHub has the run's check run, completed, with its buttons. */
  async report(run: Run): Promise<CheckRun> {
    const octokit = await this.services.octokitFor(this.github.installationOf('acme').id);
    const external_id = `${run.id}/plan/${run.attempt}`;
    const name = `signalbox/${run.settings.name}${run.speculative ? ' (plan)' : ''}`;
    const { data } = await octokit.rest.checks.create({
      owner: this.repo.owner.login,
      repo: this.repo.name,
      name,
      head_sha: run.commit_sha,
      external_id,
      status: 'completed',
      conclusion: 'success',
      output: { title: 'Planned', summary: 'Planned' },
      actions: ['apply', 'discard'].map((identifier) => ({ label: identifier, description: identifier, identifier })),
    });
    await this.db
      .insertInto('check_runs')
      .values({
        repository_id: run.repository_id,
        head_sha: run.commit_sha,
        name,
        external_id,
        github_id: data.id,
        completed: true,
        completed_at: new Date(data.completed_at ?? 0),
        reported_at: new Date(),
        run_id: run.id,
      })
      .execute();
    const check = this.github.checkRuns(this.repo).find(({ id }) => id === data.id);
    if (!check) throw new Error('the check run was not made');
    return check;
  }

  /** A worker plans the newest speculative run of a workspace, and GitHub shows it. */
  async showPlan(workspace: string): Promise<CheckRun> {
    return this.report(await this.plan(await this.run(workspace, 'speculative')));
  }

  present(run: Run): Promise<Run> {
    return findRun(this.db, run.id);
  }

  /** Opens a pull request by alice that changes `network`, or the given files. */
  async open(branch: string, files: Record<string, string> = { 'network/main.tf': `# ${branch}\n` }) {
    const alice = this.github.as('alice');
    await alice.push(this.repo, { branch, from: 'main', files, message: `Work on ${branch}` });
    const pull = await alice.openPullRequest(this.repo, { title: `PR ${branch}`, head: branch, base: 'main' });
    await this.settle();
    return pull;
  }

  /** Comments, and waits until the command was followed. */
  async say(login: string, number: number, body: string, options: { createdAt?: string } = {}) {
    const comment = await this.github.as(login).comment(this.repo, number, body, options);
    await this.settle();
    return this.answersTo(comment.id);
  }

  /** GitHub's times have whole seconds: what follows has a later one. */
  async nextSecond(): Promise<void> {
    await new Promise((resolve) => setTimeout(resolve, 1_010 - (Date.now() % 1_000)));
  }
}
