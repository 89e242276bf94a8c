import { readdir, readFile, readlink } from 'node:fs/promises';

export interface ProcessFact {
  pid: number;
  parent: number;
  /** The program's own name for itself, 15 characters at most. */
  name: string;
  commandLine: string;
}

/** The processes that work below a directory or name it, and all that descend from them. */
export async function processesOf(directory: string): Promise<ProcessFact[]> {
  const all: ProcessFact[] = [];
  const ours = new Set<number>();
  for (const entry of await readdir('/proc')) {
    const pid = Number(entry);
    if (!/^\d+$/.test(entry) || pid === process.pid) continue;
    const stat = await readFile(`/proc/${entry}/stat`, 'utf8').catch(() => '');
    const [, name = '', state, parent] = /\((.*)\) (\S) (\d+)/s.exec(stat) ?? [];
    if (state === undefined || state === 'Z') continue;
    const raw = await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '');
    const cwd = await readlink(`/proc/${entry}/cwd`).catch(() => '');
    all.push({ pid, parent: Number(parent), name, commandLine: raw.replaceAll('\0', ' ').trim() });
    if (raw.includes(directory) || cwd.startsWith(directory)) ours.add(pid);
  }
  for (let before = -1; before !== ours.size; ) {
    before = ours.size;
    for (const { pid, parent } of all) if (ours.has(parent)) ours.add(pid);
  }
  return all.filter(({ pid }) => ours.has(pid));
}

/** SIGKILL to everything that is left of a place. */
export async function endProcessesOf(directory: string): Promise<void> {
  for (const { pid } of await processesOf(directory)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It has ended meanwhile.
    }
  }
}
