import { randomUUID } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, readFile, rmdir, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { readStat } from './process-table.js';

/** Where we go ourselves: of version 2, a cgroup that hands controllers down may hold no processes of its own. */
const OURS = 'signalbox';
const PREFIX = 'signalbox-run-';
const NEEDED = ['memory', 'pids'];
/** How long an empty cgroup is tried to be removed, in ms: the system empties it a little after the last process is gone. */
const REMOVE_PATIENCE = 1_000;
/** By when a cgroup's process has certainly joined it, in ms after it was made. */
const JOINED_BY_MS = 60_000;

/** Limits that the system itself keeps. */
export interface CgroupLimits {
  /** Processes and threads. */
  processes: number;
  /** In bytes, swap included. */
  memory: number;
}

/** What is written into a cgroup's files; `?` marks those that systems without swap don't have. */
const VERSION_2: Settings = ({ processes, memory }) => ({
  'pids.max': processes,
  'memory.max': memory,
  'memory.swap.max?': 0,
});
const VERSION_1_PIDS: Settings = ({ processes }) => ({ 'pids.max': processes });
const VERSION_1_MEMORY: Settings = ({ memory }) => ({
  'memory.limit_in_bytes': memory,
  'memory.memsw.limit_in_bytes?': memory,
});

type Settings = (limits: CgroupLimits) => Record<string, number>;

/** Cgroups can't be made here. The message says why. */
export class CgroupsUnavailableError extends Error {
  override name = 'CgroupsUnavailableError';
}

/**
 * The place where cgroups can be made for each process of a run: one of version 2, or one in each of two hierarchies of
 * version 1.
 */
export class Cgroups {
  readonly #places: { base: string; settings: Settings }[];

  private constructor(places: { base: string; settings: Settings }[]) {
    this.#places = places;
  }

  /**
   * Finds out whether we may make cgroups that limit memory and processes, by making some. Of version 2, it moves this process,
   * its parents and its children into a cgroup of their own, `signalbox`, beside those of the runs.
   *
   * @throws CgroupsUnavailableError
   */
  static async open(): Promise<Cgroups> {
    const [memberships = '', mounts = ''] = await Promise.all(
      ['/proc/self/cgroup', '/proc/self/mountinfo'].map((path) => readFile(path, 'utf8').catch(() => '')),
    );
    const places = versionOne(memberships, mounts) ?? [
      { base: await versionTwo(memberships, mounts), settings: VERSION_2 },
    ];
    const cgroups = new Cgroups(places);
    try {
      for (const { base } of places) await removeEmpty(base);
      await removeCgroups(cgroups.create({ processes: 1, memory: 2 ** 20 }));
      return cgroups;
    } catch (error) {
      throw unusable(places.map(({ base }) => base).join(' or '), error);
    }
  }

  /** @returns the directories of new cgroups, all of which a process has to join */
  create(limits: CgroupLimits): string[] {
    const name = `${PREFIX}${randomUUID()}`;
    return this.#places.map(({ base, settings }) => {
      const directory = join(base, name);
      mkdirSync(directory);
      for (const [file, value] of Object.entries(settings(limits))) {
        try {
          writeFileSync(join(directory, file.replace('?', '')), String(value));
        } catch (error) {
          if (!file.endsWith('?')) throw error;
        }
      }
      return directory;
    });
  }
}

/** How often the limits of cgroups were hit: forks that were refused, processes that were killed for want of memory. */
export async function cgroupEvents(directories: readonly string[]): Promise<{ processes: number; memory: number }> {
  const count = async (file: string, name: string) => {
    const texts = directories.map((directory) => readFile(join(directory, file), 'utf8').catch(() => ''));
    const pattern = new RegExp(`^${name} (\\d+)$`, 'm');
    return (await Promise.all(texts)).reduce((sum, text) => sum + Number(pattern.exec(text)?.[1] ?? 0), 0);
  };
  const [processes, second, first] = await Promise.all([
    count('pids.events', 'max'),
    count('memory.events', 'oom_kill'),
    count('memory.oom_control', 'oom_kill'),
  ]);
  return { processes, memory: first + second };
}

/** Removes cgroups whose processes are gone. */
export async function removeCgroups(directories: readonly string[]): Promise<void> {
  for (const directory of directories) {
    // What got away from us can't have got out of it. There is no such file in version 1.
    await writeFile(join(directory, 'cgroup.kill'), '1').catch(() => {});
    for (const deadline = Date.now() + REMOVE_PATIENCE; ; await sleep(5)) {
      const code = await rmdir(directory).then(
        () => undefined,
        (error: NodeJS.ErrnoException) => error.code,
      );
      if (code !== 'EBUSY' || Date.now() > deadline) break;
    }
  }
}

/** Where our own cgroups are in the two hierarchies, if there are both. */
function versionOne(memberships: string, mounts: string): { base: string; settings: Settings }[] | undefined {
  const place = (controller: string) => {
    const path = new RegExp(`^\\d+:(?:\\S+,)?${controller}(?:,\\S+)?:(/.*)$`, 'm').exec(memberships)?.[1];
    const mount = new RegExp(`^\\S+ \\S+ \\S+ / (\\S+) .* - cgroup \\S+ \\S*\\b${controller}\\b`, 'm').exec(
      mounts,
    )?.[1];
    return path === undefined || mount === undefined ? undefined : join(mount, path);
  };
  const [pids, memory] = [place('pids'), place('memory')];
  if (pids === undefined || memory === undefined) return undefined;
  if (pids === memory)
    return [{ base: pids, settings: (limits) => ({ ...VERSION_1_PIDS(limits), ...VERSION_1_MEMORY(limits) }) }];
  return [
    { base: pids, settings: VERSION_1_PIDS },
    { base: memory, settings: VERSION_1_MEMORY },
  ];
}

async function versionTwo(memberships: string, mounts: string): Promise<string> {
  const path = /^0::(\/.*)$/m.exec(memberships)?.[1];
  const mount = /^\S+ \S+ \S+ \/ (\S+) .* - cgroup2 /m.exec(mounts)?.[1];
  if (path === undefined || mount === undefined) throw new CgroupsUnavailableError('there are no cgroups');
  if (path.startsWith('/..')) throw new CgroupsUnavailableError("this process's cgroup isn't mounted");
  const own = join(mount, path);
  const base = basename(own) === OURS ? dirname(own) : own;
  try {
    const controllers = (await readFile(join(base, 'cgroup.controllers'), 'utf8')).trim().split(' ');
    const missing = NEEDED.filter((name) => !controllers.includes(name));
    if (missing.length > 0) {
      throw new CgroupsUnavailableError(`the cgroup ${base} has no controller ${missing.join(' and ')}`);
    }
    await makeRoom(base);
    await writeFile(join(base, 'cgroup.subtree_control'), NEEDED.map((name) => `+${name}`).join(' '));
    return base;
  } catch (error) {
    throw unusable(base, error);
  }
}

/** Moves what is in a cgroup into one below it, if all of it is ours to move. */
async function makeRoom(base: string): Promise<void> {
  const text = await readFile(join(base, 'cgroup.procs'), 'utf8');
  const pids = text.split('\n').filter(Boolean).map(Number);
  if (pids.length === 0) return;
  if (!pids.every(isKin)) throw new CgroupsUnavailableError(`the cgroup ${base} is shared with other programs`);
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

/**
 * Left by a life before this one. Those that still hold processes stay: only empty ones can be removed. One that another
 * worker on this machine has just made is empty too, for the moment until its process joins it.
 */
async function removeEmpty(base: string): Promise<void> {
  for (const name of (await readdir(base)).filter((each) => each.startsWith(PREFIX))) {
    const directory = join(base, name);
    const { mtimeMs } = await stat(directory).catch(() => ({ mtimeMs: Date.now() }));
    if (Date.now() - mtimeMs > JOINED_BY_MS) await rmdir(directory).catch(() => {});
  }
}

function unusable(base: string, error: unknown): CgroupsUnavailableError {
  if (error instanceof CgroupsUnavailableError) return error;
  return new CgroupsUnavailableError(`no cgroup can be made in ${base} (${(error as NodeJS.ErrnoException).code})`);
}
