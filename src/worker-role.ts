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
import { StateServer } from './state/state-server.js';
import { findTerraform, type Terraform } from './terraform/install.js';
import type { Encryption } from './variables/encryption.js';
import type { Confinement } from './worker/confinement.js';
import { untilRecorded } from './worker/until-recorded.js';
import { WorkDirectories } from './worker/work-directory.js';
import { Worker } from './worker/worker.js';

export interface WorkerRole {
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
  const worker = new Worker({
    db: record.db,
    notifications: record.notifications,
    encryption,
    mirrors,
    stateServer,
    workDirectories: new WorkDirectories(workRoot),
    terraform: terraformFinder(config, log),
    config,
    confinement,
    log,
    untilRecorded: (write) => untilRecorded(write, log),
  });
  const dispatcher = new Dispatcher<Run>({
    backend,
    workspaces,
    dispatch,
    slots: config.workerSlots,
    start: (job) => worker.claim(job),
    work: (run) => worker.work(run),
    log,
  });
  await dispatcher.start();
  return {
    stop: async () => {
      await dispatcher.stop();
      worker.stop();
      await stateServer.close();
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
