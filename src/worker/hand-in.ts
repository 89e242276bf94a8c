import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { enqueue } from '../queue/outbox.js';
import { findRun } from '../runs/store.js';
import { addEvent, reportsOf } from '../runs/transition.js';
import { addToLockReason } from '../workspaces/lock.js';
import type { ActiveRun } from './active-run.js';
import type { WorkerContext } from './context.js';
import { ownerOf } from './directory-owner.js';
import { endProcesses, STOP_PATIENCE_MS } from './left-behind.js';
import type { WorkDirectory } from './work-directory.js';

/**
 * A run was taken from this worker while it was at it, because the worker seemed lost. Its Terraform has ended by now; what
 * is known here and nowhere else goes to the run's timeline, and to the lock that keeps others from its workspace.
 * `snapshots`: where state was set aside that the record doesn't have.
 */
export async function handIn(active: ActiveRun, reason: Error, snapshots: string | undefined): Promise<void> {
  const { run, stage, worker, remarks } = active;
  worker.log.warn({ run: run.id, err: { message: reason.message } }, `${stage} ended, but the run had been taken away`);
  const { workerName } = worker.config;
  await tell(worker, run.id, [`Terraform has ended on ${workerName}.`, ...remarks, ...describe(snapshots)].join(' '));
}

function describe(snapshots: string | undefined): string[] {
  return snapshots ? [`State that the record did not take any more is kept there, sealed, as ${snapshots}.`] : [];
}

/**
 * After a restart: what this worker was at and isn't any more, because its runs were taken from it. Whatever still runs of
 * it ends, and what it had not handed in is set aside and told of. Another worker that applies here what was planned here
 * is left alone.
 */
export async function clearForeignDirectories(
  context: WorkerContext,
  worker: string,
  own: ReadonlySet<string>,
): Promise<void> {
  const { workDirectories, log } = context;
  for (const directory of await workDirectories.all()) {
    const owner = await ownerOf(directory.control);
    if (owner && (own.has(owner.run) || owner.worker !== worker)) continue;
    try {
      const ran = (await readdir(directory.control).catch(() => [])).some((name) => name.endsWith('-apply'));
      await endProcesses(directory, { interrupt: ran ? STOP_PATIENCE_MS : 0 });
      const kept = await setErroredStateAside(context, directory);
      const snapshots = await workDirectories.clear(directory, worker);
      if (!owner || !ran) continue;
      const left = kept ? [`A state that it could not hand in is kept there as ${kept}.`] : [];
      const back = `${context.config.workerName} is back: Terraform has ended there.`;
      await tell(context, owner.run, [back, ...left, ...describe(snapshots)].join(' '));
    } catch (error) {
      log.warn({ directory: directory.root, err: error }, 'What an earlier process left could not be cleared');
    }
  }
}

async function setErroredStateAside(
  { workDirectories, db }: WorkerContext,
  directory: WorkDirectory,
): Promise<string | undefined> {
  const owner = await ownerOf(directory.control);
  if (!owner) return undefined;
  const run = await findRun(db, owner.run).catch(() => undefined);
  if (!run) return undefined;
  const file = join(directory.checkout, run.settings.directory, 'errored.tfstate');
  const isThere = (await lstat(file).catch(() => undefined))?.isFile() ?? false;
  const placed = { ...run, work_directory: directory.root };
  return isThere ? workDirectories.keepFile(placed, file) : workDirectories.keptFile(placed);
}

async function tell({ db, untilRecorded }: WorkerContext, id: string, detail: string): Promise<void> {
  await untilRecorded(() =>
    db.transaction().execute(async (tx) => {
      const run = await findRun(tx, id);
      await addEvent(tx, run, 'handed_in', { detail });
      await addToLockReason(tx, run.workspace_id, id, detail);
      await enqueue(tx, ...reportsOf(run));
    }),
  );
}
