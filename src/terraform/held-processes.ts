import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isAlive, type ProcessIdentity, parseStat } from './process-table.js';

/** Whether a process that was started with one of these control directories still lives, or can't be told not to. */
export async function holdsLiveProcess(controlDirectory: string): Promise<boolean> {
  const names = await readdir(controlDirectory).catch(() => []);
  const living = await Promise.all(names.map((name) => isHeld(join(controlDirectory, name))));
  return living.includes(true);
}

/** Whether the process that was started with this control directory still lives, or can't be told not to. */
export async function isHeld(directory: string): Promise<boolean> {
  const text = await readFile(join(directory, 'process.json'), 'utf8').catch(() => undefined);
  if (text === undefined) return false;
  try {
    const { leader } = JSON.parse(text) as { leader: ProcessIdentity };
    if (isAlive(leader)) return true;
    // Somebody may have killed just the shell that holds the command.
    const target = parseStat(await readFile(join(directory, 'target'), 'utf8').catch(() => ''));
    return target !== undefined && isAlive({ ...target, scope: leader.scope });
  } catch {
    return true;
  }
}
