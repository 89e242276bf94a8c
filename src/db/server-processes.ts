import { readdir, readFile, readlink, realpath } from 'node:fs/promises';

/**
 * Ids of PostgreSQL's processes that work in a data directory: each of them has it for its working directory. Undefined
 * where there is no /proc to see that in.
 */
export async function serverProcesses(data: string): Promise<number[] | undefined> {
  const names = await readdir('/proc').catch(() => undefined);
  if (names === undefined) return undefined;
  const place = await realpath(data);
  const pids = names.filter((name) => /^\d+$/.test(name)).map(Number);
  const ours = await Promise.all(pids.map((pid) => worksIn(pid, place)));
  return pids.filter((_, index) => ours[index]);
}

/** Whether this very process is one of PostgreSQL's in that directory: its number may be a zombie's or, by now, anybody's. */
export async function isServerProcess(pid: number, data: string): Promise<boolean> {
  if ((await readdir('/proc').catch(() => [])).length > 0) return worksIn(pid, await realpath(data));
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

/** Sends a signal to those of the processes that are still PostgreSQL's in that directory. */
export async function signalProcesses(pids: readonly number[], data: string, signal: NodeJS.Signals): Promise<void> {
  for (const pid of pids) if (await isServerProcess(pid, data)) kill(pid, signal);
}

async function worksIn(pid: number, place: string): Promise<boolean> {
  const [cwd, name] = await Promise.all([
    readlink(`/proc/${pid}/cwd`).catch(() => undefined),
    readFile(`/proc/${pid}/comm`, 'utf8').catch(() => ''),
  ]);
  // Somebody may have a shell there.
  return cwd === place && name.trim() === 'postgres';
}

function kill(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has just ended by itself.
  }
}
