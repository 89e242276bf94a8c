import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Run } from '../db/schema.js';
import { isHeld } from '../terraform/held-processes.js';
import { adoptProcess } from '../terraform/process.js';
import type { WorkDirectory } from './work-directory.js';

/** Where a run keeps a process; `name` is unlike that of any other process of this attempt. */
export function stageDirectory({ control }: WorkDirectory, { attempt }: Pick<Run, 'attempt'>, name: string): string {
  return join(control, `${attempt}-${name}`);
}

/** Whether a stage's process was begun there: it may run, or have run, and is never begun again. */
export async function wasBegun(stage: string): Promise<boolean> {
  return access(join(stage, 'process.json')).then(
    () => true,
    () => false,
  );
}

/** How long Terraform may take to end after SIGINT before it is killed, in ms. */
export const STOP_PATIENCE_MS = 5 * 60_000;

/**
 * Ends every process of a run that nobody follows any more. `interrupt`: each is first given so many ms to end by itself,
 * after SIGINT, and saves what it has; `kill` cuts that short. Yields whether one of them still lived, and the pids of those
 * that did not go. Throws when it can't be known what there is.
 */
export async function endProcesses(
  { control }: WorkDirectory,
  { interrupt = 0, kill }: { interrupt?: number; kill?: AbortSignal | undefined } = {},
): Promise<{ lived: boolean; survivors: number[] }> {
  let lived = false;
  const survivors: number[] = [];
  for (const stage of await stagesIn(control)) {
    const process = adoptProcess(join(control, stage));
    if (!process) continue;
    try {
      lived ||= await isHeld(join(control, stage));
      if (interrupt > 0) {
        await process.interrupt();
        await Promise.race([process.wait(), pause(interrupt, kill)]);
      }
      survivors.push(...(await process.reap()));
    } finally {
      process.release();
    }
  }
  return { lived, survivors };
}

async function stagesIn(control: string): Promise<string[]> {
  const entries = await readdir(control, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}

async function pause(ms: number, cut: AbortSignal | undefined): Promise<void> {
  await sleep(ms, undefined, { ref: false, ...(cut && { signal: cut }) }).catch(() => undefined);
}
