import { readFile } from 'node:fs/promises';
import type { RunProgress } from '../db/schema.js';
import type { ProcessExit } from '../terraform/process.js';
import type { Progress } from '../terraform/progress.js';
import type { Mask } from '../variables/masking.js';
import type { ActiveRun } from './active-run.js';

/** Addresses of what was done that the record keeps: they are written each time. */
const DONE_KEPT = 200;

/** What an apply left, for its report and for whoever looks after it. */
export interface Aftermath {
  /** Its last progress, as the record keeps it. */
  progress: RunProgress;
  /** What to tell a person of a state that no backend has: a sentence. */
  remark: string | undefined;
}

/**
 * Brings everything that an apply which has ended has left into the record or out of the way of what is removed, and yields
 * what there is to say of it. `erroredState`: the path of a state that Terraform couldn't hand over. `backend`: the type of
 * one of the repository's own, or what to call one that isn't known. Throws StateRevoked.
 */
export async function settleAftermath(
  active: ActiveRun,
  end: { progress: Progress; erroredState?: string; died: boolean },
  { backend, mask }: { backend: string | undefined; mask: Mask },
): Promise<Aftermath> {
  const { run, worker } = active;
  const remark = await takeErroredState(active, end.erroredState, backend);
  await worker.stateServer.drained(run.id);
  const unsaved = end.died ? await unsavedOf(active, end.progress) : undefined;
  return {
    progress: {
      ...recordedProgress(end.progress, mask),
      ...(unsaved && { unsaved: hidden(unsaved, mask) }),
      ...(remark !== undefined && { stateKept: true }),
    },
    remark,
  };
}

/** Whether Terraform had no time to hand in its state: also where a limit ended it. */
export function hasDied({ exitCode, signal }: Partial<ProcessExit>): boolean {
  return exitCode === undefined || signal === 'SIGKILL';
}

export function recordedProgress(progress: Progress, mask: Mask): RunProgress {
  const { planned: total, applied, failed, inFlight, done } = progress;
  return { total, applied, failed, inFlight: hidden(inFlight, mask), done: hidden(done.slice(-DONE_KEPT), mask) };
}

/** A key of `for_each` may be what RUN_ENV let in. */
function hidden(addresses: readonly string[], mask: Mask): string[] {
  return addresses.map((address) => mask.mask(address));
}

/** After an apply that was killed: what was done, or begun, and isn't in the state on record. */
async function unsavedOf({ run, worker }: ActiveRun, { done, inFlight }: Progress): Promise<string[]> {
  return worker.untilRecorded(() =>
    worker.savedState.unsaved(worker.db, {
      workspace_id: run.workspace_id,
      progress: { total: 0, applied: 0, failed: 0, inFlight, done: [...done] },
    }),
  );
}

/**
 * Takes in the state that Terraform couldn't hand over at its end, and left as a file. Where Signalbox keeps the state,
 * that is its newest version; a backend of the repository's own needs a person. Yields what to tell that person, also of a
 * file that an earlier process of this worker had set aside before it died.
 */
async function takeErroredState(
  { run, worker }: ActiveRun,
  path: string | undefined,
  backend: string | undefined,
): Promise<string | undefined> {
  const { workDirectories, stateServer, log, config } = worker;
  let kept: string | undefined;
  if (path === undefined) {
    kept = await workDirectories.keptFile(run);
    if (kept === undefined) return undefined;
  } else {
    try {
      if (stateServer.serves(run.id)) {
        await stateServer.write(run.id, await readFile(path));
        return undefined;
      }
    } catch (error) {
      log.error({ run: run.id, err: error }, 'A state that Terraform left behind could not be taken in');
    }
    kept = await workDirectories.keepFile(run, path);
  }
  return `The ${backend ?? 'http'} backend did not take the last state. It is kept on ${config.workerName} as ${kept}: hand it in with \`terraform state push\`.`;
}
