import { readFileSync } from 'node:fs';
import { constants, copyFile, link, readFile, rename, rm, writeFile } from 'node:fs/promises';
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
  const own = `${file}.${process.pid}`;
  const mine = `${process.pid} ${startOf(process.pid)}`;
  // It gets its name only when it is whole: an empty file would look like one that was left behind.
  await writeFile(own, mine, { mode: 0o600 });
  try {
    while (!(await linked(own, file))) {
      const holder = await readFile(file, 'utf8').catch(() => '');
      const [pid = '', start] = holder.split(' ');
      if (pid !== '' && Number(pid) !== process.pid && startOf(Number(pid)) === start)
        throw new DataDirectoryInUse(directory, Number(pid));
      await setAside(file, holder);
    }
  } finally {
    await rm(own, { force: true });
  }
  return async () => {
    if ((await readFile(file, 'utf8').catch(() => '')) === mine) await rm(file, { force: true });
  };
}

/** Yields false if `to` exists. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (code === 'EEXIST') return false;
    // Some network file systems know no links: theirs is the name that is there before its content.
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EOPNOTSUPP'].includes(code)) throw error;
    return copyFile(from, to, constants.COPYFILE_EXCL).then(
      () => true,
      (second: NodeJS.ErrnoException) => (second.code === 'EEXIST' ? false : Promise.reject(second)),
    );
  }
}

/** Removes the lock that was found to be `stale`; one that somebody quicker has put in its place is put back. */
async function setAside(file: string, stale: string): Promise<void> {
  const aside = `${file}.${process.pid}.old`;
  try {
    await rename(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if ((await readFile(aside, 'utf8')) !== stale) await linked(aside, file);
  await rm(aside, { force: true });
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
