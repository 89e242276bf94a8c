import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { type Config, ConfigError, readConfig } from './config.js';
import { EmbeddedPostgresError } from './db/embedded.js';
import { openRecord, RecordUnavailable } from './db/record.js';
import { Mirrors } from './git/mirror.js';
import { createTokenSource } from './github/git-tokens.js';
import { MAX_WEBHOOK_BYTES } from './github/webhook.js';
import { choresOf } from './housekeeping/chores.js';
import { Housekeeper } from './housekeeping/housekeeper.js';
import { createLog, type Log } from './log.js';
import { EXPOSITION_TYPE } from './operating/exposition.js';
import { openOperatorView } from './operating/operator-view.js';
import { DataDirectoryInUse, lockDataDirectory } from './process-lock.js';
import { DispatchQueue } from './queue/dispatch-queue.js';
import { openBackend } from './queue/open-backend.js';
import { OutboxPump } from './queue/outbox-pump.js';
import { Reconciler } from './queue/reconciler.js';
import { WorkspaceQueues } from './queue/workspace-queues.js';
import { WorkerWatch } from './recovery/worker-watch.js';
import { startableStages } from './runs/startable.js';
import { SavedState } from './state/saved-state.js';
import { openEncryption, WrongEncryptionKey } from './variables/encryption-key.js';
import { version } from './version.js';
import { NotReady } from './web/readiness.js';
import { startWebServer, type WebServer } from './web/server.js';
import { loadCredentials, serveSetup } from './web/setup.js';
import { type Pages, startPages } from './web/start-pages.js';
import { signIn, startWebRole } from './web-role.js';
import { openConfinement, SandboxRequiredError } from './worker/confinement.js';
import { startWorkerRole, type WorkerRole } from './worker-role.js';

/** A stage that is startable for so long, in seconds, should have been claimed: its job is queued again. */
const OVERDUE_SECONDS = 20;

/** What users can mend, from the message alone. Everything else is a fault of ours, and shows where. */
const PLAIN_ERRORS = [
  EmbeddedPostgresError,
  RecordUnavailable,
  WrongEncryptionKey,
  DataDirectoryInUse,
  SandboxRequiredError,
];

/** A second signal so soon, in ms, is the same one. */
const ECHO_MS = 1_000;

type Stop = () => Promise<unknown>;

async function start(config: Config, log: Log): Promise<Stop> {
  await mkdir(config.dataDirectory, { recursive: true, mode: 0o700 });
  const stops: Stop[] = [];
  const state = { stopping: false };
  const stopAll = async () => {
    state.stopping = true;
    let first: { error: unknown } | undefined;
    // What can't be stopped is no reason to leave the rest running.
    for (const stop of stops.reverse()) {
      await stop().catch((error: unknown) => {
        first ??= { error };
      });
    }
    if (first) throw first.error;
  };
  try {
    stops.push(await lockDataDirectory(config.dataDirectory));
    await (config.app || !config.roles.includes('web')
      ? startRoles(config, log, stops, state)
      : startSetup(config, log, stops));
    return stopAll;
  } catch (error) {
    await stopAll().catch(() => undefined);
    throw error;
  }
}

async function startSetup(config: Config, log: Log, stops: Stop[]): Promise<void> {
  const setup = await serveSetup(config, log);
  stops.push(() => setup.stop());
}

/** Starts the roles asked for, from the record outwards. `stops` gets what stops them, in the same order. */
async function startRoles(config: Config, log: Log, stops: Stop[], state: { stopping: boolean }): Promise<void> {
  // First of all: with SANDBOX=required nothing is touched where there is none.
  const confinement = config.roles.includes('worker')
    ? await openConfinement(config, process.env.PATH ?? '', log)
    : undefined;
  const record = await openRecord({ ...config, slots: config.workerSlots, log });
  stops.push(() => record.close());
  // Webhooks are taken, and cancels come through, until the last run has ended.
  let server: WebServer | undefined;
  let pages: Pages | undefined;
  stops.push(async () => {
    pages?.close();
    await server?.close();
  });
  const { db, notifications } = record;
  const encryption = await openEncryption(db, config.encryptionKey, config.dataDirectory);
  const backend = await openBackend({ redisUrl: config.redisUrl, databaseUrl: record.url, log });
  stops.push(() => backend.close());
  const workspaces = new WorkspaceQueues(backend);
  const dispatch = new DispatchQueue(backend, workspaces);

  const signedIn = config.app && (await signIn(config, config.app, record, log));
  const tokens = createTokenSource({ db, encryption, notifications, mint: signedIn?.mint });
  const mirrors = new Mirrors({
    directory: join(config.dataDirectory, 'mirrors'),
    githubUrl: config.githubUrl,
    tokenFor: tokens.tokenFor,
    forgetToken: tokens.forget,
    log,
  });
  const publicUrl = config.publicUrl ?? `http://localhost:${config.port}`;
  const web =
    config.app && signedIn
      ? await startWebRole({ config, app: config.app, signedIn, record, encryption, mirrors, publicUrl, log })
      : undefined;
  if (web) stops.push(() => web.stop());

  const pump = new OutboxPump({
    db,
    notifications,
    handlers: { ...web?.handlers, job: ({ job }) => dispatch.add(job) },
    gate: web?.gate,
    log,
  });
  pump.start();
  stops.push(() => pump.stop());
  const reconciler = new Reconciler({
    db,
    workspaces,
    dispatch,
    startable: () => startableStages(db, OVERDUE_SECONDS),
    log,
  });
  reconciler.start();
  stops.push(() => reconciler.stop());

  const { workerLostAfter: lostAfter } = config;
  const watch = new WorkerWatch({ db, lostAfter, savedState: new SavedState(encryption), log });
  watch.start();
  stops.push(() => watch.stop());

  const view = await openOperatorView({
    db,
    version: await version(),
    roles: config.roles,
    workRoot: join(config.dataDirectory, 'work'),
    githubBudget: web?.githubBudget,
  });
  let worker: WorkerRole | undefined;
  if (confinement) {
    const workerLog = log.child({ worker: config.workerName });
    const shared = { config, record, encryption, mirrors, backend, workspaces, dispatch, confinement };
    const role = await startWorkerRole({ ...shared, log: workerLog });
    stops.push(() => role.stop());
    worker = role;
  }
  const housekeeper = new Housekeeper({
    chores: choresOf({ config, db, mirrors, workDirectories: worker?.workDirectories, log }),
    log,
  });
  housekeeper.start();
  stops.push(() => housekeeper.stop());
  pages =
    web &&
    (await startPages({
      ...{ config, db, notifications, encryption, publicUrl, log },
      github: web.services,
      version: await version(),
    }));
  if (pages && !config.client) {
    log.warn('GITHUB_CLIENT_ID is not set: nobody can sign in, and the pages show nothing');
  }
  server = await startWebServer({
    host: config.host,
    port: config.port,
    checks: {
      record: () => record.ping(),
      queue: () => backend.ping(),
      process: async () => {
        if (state.stopping) throw new NotReady('stops when its runs have ended');
      },
    },
    waiting: () => view.waiting(),
    metrics: { text: () => view.metrics(), contentType: EXPOSITION_TYPE, token: config.metricsToken },
    receiveWebhook: web?.receiveWebhook,
    pages: pages?.app,
    maxBodyBytes: MAX_WEBHOOK_BYTES,
    onError: (error) => log.error({ err: error }, 'A request failed'),
  });
  web?.lookForMissed();
  if (config.planEnv.length === 0 && config.runEnv.length > 0) {
    log.warn('PLAN_ENV is not set: speculative plans run without the variables that RUN_ENV lets in');
  }
  log.info(
    { queue: backend.kind, roles: config.roles, version: await version() },
    `Signalbox listens on port ${server.port}, for ${config.githubUrl}`,
  );
}

async function main(): Promise<void> {
  loadCredentials(resolve(process.env.DATA_DIR || 'data'));
  const config = readConfig(process.env);
  const log = createLog({ level: config.logLevel, format: config.logFormat });
  const starting = start(config, log);

  let stoppingSince: number | undefined;
  const end = (signal: NodeJS.Signals) => {
    if (stoppingSince !== undefined) {
      // Ctrl-C under npm arrives twice: from the terminal and from npm.
      if (Date.now() - stoppingSince < ECHO_MS) return;
      log.warn(`${signal} again: not waiting for what still runs`);
      process.exit(1);
    }
    stoppingSince = Date.now();
    log.info(`${signal}: no new work is taken; what runs is waited for`);
    // Also while it starts: what is half started can't be stopped in order, what has started can.
    starting
      .then((stop) => stop())
      .then(
        () => process.exit(0),
        (error) => {
          log.error({ err: error }, 'Signalbox could not stop in order');
          process.exit(1);
        },
      );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  await starting;
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error)}\n`);
  process.exit(1);
});

function explain(error: unknown): string {
  if (error instanceof ConfigError) return error.lines.join('\n');
  if (PLAIN_ERRORS.some((plain) => error instanceof plain)) return (error as Error).message;
  const { code } = error as NodeJS.ErrnoException;
  if (code === 'EADDRINUSE') return 'PORT is taken by another program: choose another one.';
  if (code === 'EACCES' || code === 'EROFS') return `DATA_DIR can't be written: ${(error as Error).message}`;
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
