import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStat } from './process-table.js';

/** Where we go ourselves: a cgroup that hands controllers down may hold no processes of its own. */
const OURS = 'signalbox';
const PREFIX = 'signalbox-run-';
const NEEDED = ['memory', 'pids'];
/** How long an empty cgroup is tried to be removed, in ms: the system empties it a little after the last process is gone. */
const REMOVE_PATIENCE = 1_000;

/** Limits that the system itself keeps. */
export interface CgroupLimits {
  /** Processes and threads. */
  processes: number;
  /** In bytes, swap included. */
  memory: number;
}

/** Cgroups (version 2) can't be made here. The message says why. */
export class CgroupsUnavailableError extends Error {
  override name = 'CgroupsUnavailableError';
}

/** The place where a cgroup can be made for each process of a run. */
export class Cgroups {
  readonly #base: string;

  private constructor(base: string) {
    this.#base = base;
  }

  /**
   * Finds out whether we may make cgroups that limit memory and processes, by making one. Moves this process, its parents and
   * its children into a cgroup of their own, `signalbox`, beside those of the runs.
   *
   * @throws CgroupsUnavailableError
   */
  static async open(): Promise<Cgroups> {
    const own = await ownCgroup();
    const base = basename(own) === OURS ? dirname(own) : own;
    try {
      const controllers = (await readFile(join(base, 'cgroup.controllers'), 'utf8')).trim().split(' ');
      const missing = NEEDED.filter((name) => !controllers.includes(name));
      if (missing.length > 0) {
        throw new CgroupsUnavailableError(`the cgroup ${base} has no controller ${missing.join(' and ')}`);
      }
      await makeRoom(base);
      await writeFile(join(base, 'cgroup.subtree_control'), NEEDED.map((name) => `+${name}`).join(' '));
      // Left by a life before this one. Those that still hold processes stay: only empty ones can be removed.
      const names = await readdir(base);
      for (const name of names.filter((each) => each.startsWith(PREFIX))) await rmdir(join(base, name)).catch(() => {});
      const cgroups = new Cgroups(base);
      await removeCgroup(cgroups.create({ processes: 1, memory: 2 ** 20 }));
      return cgroups;
    } catch (error) {
      if (error instanceof CgroupsUnavailableError) throw error;
      throw new CgroupsUnavailableError(`the cgroup ${base} can't be used (${(error as NodeJS.ErrnoException).code})`);
    }
  }

  /** @returns the directory of a new cgroup */
  create({ processes, memory }: CgroupLimits): string {
    const directory = join(this.#base, `${PREFIX}${randomUUID()}`);
    mkdirSync(directory);
    writeFileSync(join(directory, 'pids.max'), String(processes));
    writeFileSync(join(directory, 'memory.max'), String(memory));
    try {
      writeFileSync(join(directory, 'memory.swap.max'), '0');
    } catch (error) {
      // A system without swap has no such file.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    }
    return directory;
  }
}

/** How often a cgroup's limits were hit: forks that were refused, processes that were killed for want of memory. */
export async function cgroupEvents(directory: string): Promise<{ processes: number; memory: number }> {
  const [processes, memory] = await Promise.all([
    readCount(join(directory, 'pids.events'), 'max'),
    readCount(join(directory, 'memory.events'), 'oom_kill'),
  ]);
  return { processes, memory };
}

/** Removes a cgroup whose processes are gone. */
export async function removeCgroup(directory: string): Promise<void> {
  // What got away from us can't have got out of it.
  await writeFile(join(directory, 'cgroup.kill'), '1').catch(() => {});
  for (const deadline = Date.now() + REMOVE_PATIENCE; ; await sleep(5)) {
    const code = await rmdir(directory).then(
      () => undefined,
      (error: NodeJS.ErrnoException) => error.code,
    );
    if (code !== 'EBUSY' || Date.now() > deadline) return;
  }
}

async function ownCgroup(): Promise<string> {
  const [memberships, mounts] = await Promise.all(
    ['/proc/self/cgroup', '/proc/self/mountinfo'].map((path) => readFile(path, 'utf8').catch(() => '')),
  );
  const path = /^0::(\/.*)$/m.exec(memberships ?? '')?.[1];
  const mount = /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m.exec(mounts ?? '')?.[1];
  if (path === undefined || mount === undefined) throw new CgroupsUnavailableError('there are no cgroups of version 2');
  if (path.startsWith('/..')) throw new CgroupsUnavailableError("this process's cgroup isn't mounted");
  return join(mount, path);
}

/** Moves what is in a cgroup into one below it, if all of it is ours to move. */
async function makeRoom(base: string): Promise<void> {
  const inside = async () =>
    (await readFile(join(base, 'cgroup.procs'), 'utf8')).split('\n').filter(Boolean).map(Number);
  const pids = await inside();
  if (pids.length === 0) return;
  if (!pids.every((pid) => isKin(pid))) {
    throw new CgroupsUnavailableError(`the cgroup ${base} is shared with other programs`);
  }
  const ours = join(base, OURS);
  await mkdir(ours, { recursive: true });
  for (const pid of pids) {
    await writeFile(join(ours, 'cgroup.procs'), String(pid)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ESRCH') throw error;
    });
  }
}

/** Whether a process is this one, a parent or a child of it, or gone. */
function isKin(pid: number): boolean {
  const line = (from: number) => {
    const pids: number[] = [];
    for (let at = from; at > 0 && !pids.includes(at); at = readStat(at)?.parent ?? 0) pids.push(at);
    return pids;
  };
  return readStat(pid) === undefined || line(process.pid).includes(pid) || line(pid).includes(process.pid);
}

async function readCount(path: string, name: string): Promise<number> {
  const text = await readFile(path, 'utf8').catch(() => '');
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}
