import { randomUUID } from 'node:crypto';
import { link, mkdir, readdir, readFile, rename, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { currentScope, identify, isAlive, type ProcessIdentity } from './process-table.js';

/** How often a lock that somebody else holds is looked at, in ms. */
const POLL = 50;
/** How often a holder shows hosts that can't see its process that it lives, in ms. */
const HEARTBEAT = 5_000;
/** How long such a host believes that without another sign, in ms. */
const FOREIGN_PATIENCE = 60_000;

interface Ticket {
  /** The processes of which any that lives holds the lock; none: it has been released. */
  holders: ProcessIdentity[];
  host: string;
}

/** A lock that is held. */
export interface HeldLock {
  /** Lets `process` hold it too, so that it stays held when we die. */
  share(process: ProcessIdentity): Promise<void>;
  /** Leaves the lock to `process` alone: it is free when that has ended. */
  leaveTo(process: ProcessIdentity): Promise<void>;
}

const queues = new Map<string, Promise<unknown>>();

/**
 * Does some work while no one else does any under the same lock, neither in this process nor in another. A lock whose holders
 * have died is free; a holder on another machine is believed dead when it has given no sign of life for a minute.
 *
 * The lock is a directory of numbered tickets. The highest one counts; who wants the lock makes the next number, which only one
 * can, once that ticket's holders are gone. The highest is never removed, so no number is ever given out twice.
 *
 * @param directory the lock's own directory; made if missing
 * @param signal gives up waiting
 * @throws the signal's reason
 */
export async function withLock<T>(
  directory: string,
  work: (lock: HeldLock) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const before = queues.get(directory) ?? Promise.resolve();
  let leave: () => void = () => {};
  const turn = new Promise<void>((resolve) => {
    leave = resolve;
  });
  const mine = before.then(() => turn);
  queues.set(directory, mine);
  try {
    await abortable(before, signal);
    const number = await acquire(directory, signal);
    return await hold(directory, number, work);
  } finally {
    leave();
    if (queues.get(directory) === mine) queues.delete(directory);
  }
}

async function acquire(directory: string, signal: AbortSignal | undefined): Promise<number> {
  await mkdir(directory, { recursive: true });
  for (;;) {
    signal?.throwIfAborted();
    const last = await highest(directory);
    if (last === 0 || !(await isHeld(directory, last))) {
      const number = last + 1;
      if (await create(directory, number)) {
        // A latecomer may have made a number that others have long gone past.
        if ((await highest(directory)) === number) return number;
        await rm(join(directory, String(number)), { force: true });
      }
      continue;
    }
    await sleep(POLL, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
  }
}

async function hold<T>(directory: string, number: number, work: (lock: HeldLock) => Promise<T>): Promise<T> {
  const path = join(directory, String(number));
  const heartbeat = setInterval(() => {
    const now = new Date();
    utimes(path, now, now).catch(() => {});
  }, HEARTBEAT);
  heartbeat.unref();
  let left = false;
  try {
    await removeLower(directory, number);
    return await work({
      share: (other) => write(path, [identify(process.pid), other], directory),
      leaveTo: async (other) => {
        left = true;
        await write(path, [other], directory);
      },
    });
  } finally {
    clearInterval(heartbeat);
    // On a full disk nothing can be written, but made empty: that counts as released, too.
    if (!left) await write(path, [], directory).catch(() => truncate(path));
  }
}

async function isHeld(directory: string, number: number): Promise<boolean> {
  const path = join(directory, String(number));
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
    const { holders, host } = JSON.parse(text) as Ticket;
    return holders.some((holder) => {
      if (holder.scope === currentScope()) return isAlive(holder);
      // Of this host but of another life of it: gone with that life.
      return host !== hostname() && Date.now() - mtimeMs < FOREIGN_PATIENCE;
    });
  } catch {
    return false; // gone, or never wholly written: a power failure
  }
}

async function create(directory: string, number: number): Promise<boolean> {
  const draft = join(directory, `${randomUUID()}.draft`);
  try {
    await writeFile(draft, ticket([identify(process.pid)]));
    await link(draft, join(directory, String(number)));
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

async function write(path: string, holders: ProcessIdentity[], directory: string): Promise<void> {
  const draft = join(directory, `${randomUUID()}.draft`);
  try {
    await writeFile(draft, ticket(holders));
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
}

async function removeLower(directory: string, number: number): Promise<void> {
  const lower = (await numbers(directory)).filter((other) => other < number);
  await Promise.all(lower.map((other) => rm(join(directory, String(other)), { force: true })));
}

async function highest(directory: string): Promise<number> {
  return Math.max(0, ...(await numbers(directory)));
}

async function numbers(directory: string): Promise<number[]> {
  return (await readdir(directory)).filter((name) => /^\d+$/.test(name)).map(Number);
}

function ticket(holders: ProcessIdentity[]): string {
  return JSON.stringify({ holders, host: hostname() } satisfies Ticket);
}

function abortable(promise: Promise<unknown>, signal: AbortSignal | undefined): Promise<unknown> {
  if (signal === undefined) return promise;
  return new Promise((resolve, reject) => {
    const stop = () => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener('abort', stop, { once: true });
    promise.then(resolve).finally(() => signal.removeEventListener('abort', stop));
  });
}
