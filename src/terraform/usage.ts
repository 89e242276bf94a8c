import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { setImmediate as breathe } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { ProcessIdentity } from './process-table.js';

const run = promisify(execFile);

/** What processes use now. */
export interface Usage {
  /** Processes and threads. */
  processes: number;
  /** In bytes: what each has for itself. Pages that several share (programs, shared memory) don't count. */
  memory: number;
}

interface Entry {
  pid: number;
  parent: number;
  threads: number;
}

/** The size of a page, in bytes: 4 KiB wherever it matters; on systems with larger ones too little is seen. */
const PAGE = 4096;
/** How long one look at all processes serves everybody, in ms. */
const FRESH = 150;
/** A walk through a directory that takes longer than this, in ms, tells nothing. */
const WALK_PATIENCE = 60_000;

/** Reading a process takes 10 µs: so many at once are no burden to anybody who waits for us. */
const AT_ONCE = 200;

let latest: { at: number; table: Promise<Map<number, Entry[]>> } | undefined;

/** What a process and all its descendants use, itself left out. */
export async function usageBelow(root: ProcessIdentity): Promise<Usage> {
  const children = await childrenByParent();
  const found: Entry[] = [];
  const queue = [root.pid];
  for (let parent = queue.pop(); parent !== undefined; parent = queue.pop()) {
    for (const child of children.get(parent) ?? []) {
      found.push(child);
      queue.push(child.pid);
    }
  }
  return {
    processes: found.reduce((sum, { threads }) => sum + threads, 0),
    memory: found.reduce((sum, { pid }) => sum + privateMemory(pid), 0),
  };
}

/** What is in these directories and files, in bytes of the disk. Files that were deleted and are still open aren't seen. */
export async function diskUsage(paths: readonly string[]): Promise<number> {
  // It follows no links, and copes with paths of any length.
  const args = ['-skxc', '--', ...paths];
  const { stdout } = await run('du', args, { timeout: WALK_PATIENCE, maxBuffer: 2 ** 20 }).catch(
    // Files come and go while it looks: what it has counted counts.
    (error: { stdout?: string }) => ({ stdout: error.stdout ?? '' }),
  );
  return Number(/^(\d+)\ttotal$/m.exec(stdout)?.[1] ?? 0) * 1024;
}

function childrenByParent(): Promise<Map<number, Entry[]>> {
  const now = performance.now();
  if (latest === undefined || now - latest.at > FRESH) latest = { at: now, table: readProcesses() };
  return latest.table;
}

async function readProcesses(): Promise<Map<number, Entry[]>> {
  const pids = (await readdir('/proc')).map(Number).filter((pid) => Number.isInteger(pid));
  const children = new Map<number, Entry[]>();
  for (const [index, pid] of pids.entries()) {
    if (index % AT_ONCE === AT_ONCE - 1) await breathe();
    const entry = readEntry(pid);
    if (entry === undefined) continue;
    const siblings = children.get(entry.parent);
    if (siblings) siblings.push(entry);
    else children.set(entry.parent, [entry]);
  }
  return children;
}

function readEntry(pid: number): Entry | undefined {
  const text = readProc(`/proc/${pid}/stat`);
  if (text === undefined) return undefined;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { pid, parent: Number(fields[1]), threads: Number(fields[17]) };
}

function privateMemory(pid: number): number {
  const [, resident = 0, shared = 0] = (readProc(`/proc/${pid}/statm`) ?? '').split(' ').map(Number);
  return Math.max(resident - shared, 0) * PAGE;
}

function readProc(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
