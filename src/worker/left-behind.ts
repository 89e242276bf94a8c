import { access, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Run } from '../db/schema.js';
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

/**
 * Ends every process of a run that an earlier process of ours has left. `interrupt`: each is first given so many ms to end by
 * itself, after SIGINT, and saves what it has.
 */
export async function endProcesses({ control }: WorkDirectory, interrupt = 0): Promise<void> {
  const stages = await readdir(control, { withFileTypes: true }).catch(() => []);
  for (const stage of stages.filter((entry) => entry.isDirectory())) {
    const process = adoptProcess(join(control, stage.name));
    if (!process) continue;
    try {
      if (interrupt > 0) {
        await process.interrupt();
        await Promise.race([process.wait(), new Promise((resolve) => setTimeout(resolve, interrupt).unref())]);
      }
      await process.reap();
    } finally {
      process.release();
    }
  }
}
