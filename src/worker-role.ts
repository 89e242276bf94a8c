import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Config } from './config.js';
import type { OpenRecord } from './db/record.js';
import type { Run } from './db/schema.js';
import type { Mirrors } from './git/mirror.js';
import type { Log } from './log.js';
import type { QueueBackend } from './queue/backend.js';
import type { DispatchQueue } from './queue/dispatch-queue.js';
import { Dispatcher } from './queue/dispatcher.js';
import type { WorkspaceQueues } from './queue/workspace-queues.js';
import { PortTaken } from './state/listeners.js';
import { SavedState } from './state/saved-state.js';
import { StateServer } from './state/state-server.js';
import { findTerraform, type Terraform } from './terraform/install.js';
import type { Encryption } from './variables/encryption.js';
import type { Confinement } from './worker/confinement.js';
import type { WorkerContext } from './worker/context.js';
import { Patience } from './worker/patience.js';
import { Registration } from './worker/registration.js';
import { untilRecorded } from './worker/until-recorded.js';
import { WorkDirectories } from './worker/work-directory.js';
import { Worker } from './worker/worker.js';

export interface WorkerRole {
  readonly workDirectories: WorkDirectories;
  /** Takes no more work, waits for the Terraforms that run, and lets go of everything. */
  stop(): Promise<void>;
}

/** Starts what works on runs in this process. */
export async function startWorkerRole(options: {
  config: Config;
  record: OpenRecord;
  encryption: Encryption;
  mirrors: Mirrors;
  backend: QueueBackend;
  workspaces: WorkspaceQueues;
  dispatch: DispatchQueue;
  confinement: Confinement;
  log: Log;
}): Promise<WorkerRole> {
  const { config, record, encryption, mirrors, backend, workspaces, dispatch, confinement, log } = options;
  const workRoot = join(config.dataDirectory, 'work');
  await mkdir(workRoot, { recursive: true, mode: 0o700 });
  const stateServer = await StateServer.start({ db: record.db, encryption, log });
  const registration = await Registration.open({
    db: record.db,
    dataDirectory: config.dataDirectory,
    name: config.workerName,
    slots: config.workerSlots,
  });
  const workDirectories = new WorkDirectories(workRoot);
  const context: WorkerContext = {
    db: record.db,
    notifications: record.notifications,
    encryption,
    mirrors,
    stateServer,
    workDirectories,
    terraform: terraformFinder(config, log),
    config,
    confinement,
    log,
    patience: new Patience({ ms: config.gitPatience, log }),
    untilRecorded: (write) => untilRecorded(write, log),
    savedState: new SavedState(encryption),
    serveStateAgain: (run, control) => serveStateAgain(stateServer, run, control, log),
  };
  const worker = new Worker(context, registration);
  const heart = startHeart(() => worker.beat(), config.workerLostAfter);
  const dispatcher = new Dispatcher<Run>({
    backend,
    workspaces,
    dispatch,
    slots: config.workerSlots,
    start: (job) => worker.claim(job),
    work: (run) => worker.work(run),
    log,
  });
  dispatcher.occupy(await worker.takeUp());
  await dispatcher.start();
  return {
    workDirectories,
    stop: async () => {
      await dispatcher.stop();
      worker.stop();
      await heart.stop();
      await registration.leave();
      await stateServer.close();
    },
  };
}

/** Another program may have the port by now: then Terraform can't hand in its state, and leaves it as a file. */
async function serveStateAgain(stateServer: StateServer, run: Run, control: string, log: Log): Promise<void> {
  try {
    await stateServer.adopt(run, control);
  } catch (error) {
    if (!(error instanceof PortTaken)) throw error;
    log.warn({ run: run.id, port: error.port }, 'The port at which its Terraform looks for its state is taken');
  }
}

const LONGEST_BEAT_MS = 5_000;

/** Signs of life, some ten of them in the time after which a worker is lost. `lostAfter`: in ms. */
function startHeart(beat: () => Promise<void>, lostAfter: number): { stop: () => Promise<void> } {
  const pause = Math.min(LONGEST_BEAT_MS, lostAfter / 10);
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;
  let beating = Promise.resolve();
  const next = () => {
    timer = setTimeout(() => {
      beating = beat().then(() => {
        if (!stopped) next();
      });
    }, pause);
  };
  next();
  return {
    stop: async () => {
      stopped = true;
      clearTimeout(timer);
      await beating;
    },
  };
}

/** Looks once, at the first run; after a failure it looks again at the next one. */
function terraformFinder(config: Config, log: Log): () => Promise<Terraform> {
  let found: Promise<Terraform> | undefined;
  return () => {
    found ??= findTerraform({
      path: process.env.PATH ?? '',
      dataDirectory: config.dataDirectory,
      releasesUrl: config.terraformReleasesUrl,
    }).then((terraform) => {
      log.info({ path: terraform.path }, `Terraform ${terraform.version} is used`);
      return terraform;
    });
    found.catch(() => {
      found = undefined;
    });
    return found;
  };
}
