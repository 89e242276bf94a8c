import { readFileSync, readlinkSync } from 'node:fs';
import { readdir, readFile } from 'node:fs/promises';

/**
 * Names one process for good: a pid alone is used again by the system, so it is kept together with when and where it began.
 */
export interface ProcessIdentity {
  pid: number;
  /** Clock ticks since the machine's boot (field 22 of `/proc/<pid>/stat`); absent where there is no `/proc`. */
  startTime?: number;
  /** The machine's boot and the pid namespace: pids of another scope say nothing here. */
  scope: string;
}

/** What `/proc/<pid>/stat` says. */
export interface ProcessStat {
  pid: number;
  /** `R`, `S`, `D`, `Z` (dead, not yet collected by its parent), … */
  state: string;
  parent: number;
  group: number;
  session: number;
  /** Clock ticks since boot. */
  startTime: number;
}

/**
 * Reads one line of `/proc/<pid>/stat`. The command's name, in brackets, may itself hold blanks and brackets.
 *
 * @returns `undefined` where the text isn't one
 */
export function parseStat(text: string): ProcessStat | undefined {
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < open) return undefined;
  const pid = Number.parseInt(text.slice(0, open), 10);
  const [state, parent, group, session, ...rest] = text.slice(close + 2).split(' ');
  const startTime = Number(rest[15]);
  if (!Number.isInteger(pid) || state === undefined || !Number.isFinite(startTime)) return undefined;
  return { pid, state, parent: Number(parent), group: Number(group), session: Number(session), startTime };
}

/** What the system says about a process now, or `undefined` when there is none (or no `/proc`). */
export function readStat(pid: number): ProcessStat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

let scope: string | undefined;

/** The boot and pid namespace that this process lives in. */
export function currentScope(): string {
  if (scope === undefined) {
    try {
      const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
      scope = `${boot} ${readlinkSync('/proc/self/ns/pid')}`;
    } catch {
      scope = process.platform;
    }
  }
  return scope;
}

/** The identity of a process that exists now. */
export function identify(pid: number): ProcessIdentity {
  const stat = readStat(pid);
  return { pid, scope: currentScope(), ...(stat && { startTime: stat.startTime }) };
}

/** Whether that very process still runs. One that is dead but not yet collected by its parent doesn't. */
export function isAlive(identity: ProcessIdentity): boolean {
  if (identity.scope !== currentScope()) return false;
  if (identity.startTime === undefined) return exists(identity.pid);
  const stat = readStat(identity.pid);
  return stat !== undefined && stat.startTime === identity.startTime && stat.state !== 'Z' && stat.state !== 'X';
}

/**
 * The processes that belong to a session or carry an environment variable, this process excepted. Only processes that began
 * with `leader` or later count, and the session only while its number can't have been given to another one.
 *
 * @param leader the session's first process, dead or alive
 * @param marker `NAME=value`, looked for among the variables that each process was started with (readable for processes of the
 *   same user only)
 */
export async function findProcesses(leader: ProcessIdentity, marker: string): Promise<number[]> {
  if (leader.scope !== currentScope() || leader.startTime === undefined) return [];
  const { startTime } = leader;
  const now = readStat(leader.pid);
  const sessionIsOurs = now === undefined || now.startTime === startTime;
  const needle = Buffer.from(`\0${marker}\0`);
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid) && pid !== process.pid);
  const found = await Promise.all(
    pids.map(async (pid) => {
      const stat = readStat(pid);
      if (stat === undefined || stat.state === 'Z' || stat.state === 'X' || stat.startTime < startTime)
        return undefined;
      if (sessionIsOurs && stat.session === leader.pid) return pid;
      const variables = await readFile(`/proc/${pid}/environ`).catch(() => Buffer.alloc(0));
      return Buffer.concat([Buffer.from('\0'), variables]).includes(needle) ? pid : undefined;
    }),
  );
  return found.filter((pid) => pid !== undefined);
}

function exists(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
