import { readFileSync } from 'node:fs';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Another process works in the data directory. */
export class DataDirectoryInUse extends Error {
  override name = 'DataDirectoryInUse';
  constructor(directory: string, pid: number) {
    super(`${directory} is in use by process ${pid}. Stop it, or give this one a DATA_DIR of its own.`);
  }
}

/**
 * Takes the data directory for this process: a second one in it would take the first one's runs and mirrors for its own.
 * What a killed process left behind doesn't count. Yields the function that gives it back.
 */
export async function lockDataDirectory(directory: string): Promise<() => Promise<void>> {
  const file = join(directory, 'process');
  const mine = `${process.pid} ${startOf(process.pid)}`;
  for (;;) {
    try {
      await writeFile(file, mine, { flag: 'wx', mode: 0o600 });
      return () => rm(file, { force: true });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    }
    const [pid = '', start] = (await readFile(file, 'utf8').catch(() => '')).split(' ');
    if (pid !== '' && Number(pid) !== process.pid && startOf(Number(pid)) === start)
      throw new DataDirectoryInUse(directory, Number(pid));
    await rm(file, { force: true });
  }
}

/** When a process began, in clock ticks since boot: tells it from a later one with the same number. */
function startOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    // The second field, the program's name, may itself hold blanks and parentheses: count from behind it.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '';
  } catch {
    return isAlive(pid) ? 'running' : 'gone';
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
