import { execFile } from 'node:child_process';
import { chmod, copyFile, lstat, mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Run } from '../db/schema.js';
import { stateDirectory } from '../state/registered-run.js';
import { holdsSnapshots } from '../state/state-journal.js';
import { isDiskFull, writeDurably } from '../state/write-durably.js';
import { withLock } from '../terraform/lock.js';
import { hasAnotherOwner, noteOwner, type Owning, ownerOf } from './directory-owner.js';

/** A run's place on disk. All of it is for this user only. */
export interface WorkDirectory {
  root: string;
  /** The commit's files. */
  checkout: string;
  /** What the worker keeps of the run: plan, processes, snapshots of state. Out of Terraform's sight. */
  control: string;
  /** HOME and TMPDIR of the run's processes. */
  home: string;
  tmp: string;
}

interface Place {
  /** The run that made the directory last. */
  owner: string | undefined;
  last: Promise<unknown>;
  waiting: number;
}

/** Where what must not be lost is set aside; in a run's control directory, the note of where that is. */
const KEPT = 'kept';

type Placed = Pick<Run, 'id' | 'workspace_id' | 'speculative' | 'work_directory'>;

/** Where in the checkout its root module is. */
interface ModulePlace {
  module: string;
}

const run = promisify(execFile);

/**
 * Makes and removes the directories of runs. A standard run has its workspace's, the same for plan and apply and from run
 * to run, because plans hold absolute paths; a speculative run has one of its own.
 */
export class WorkDirectories {
  readonly #root: string;
  readonly #places = new Map<string, Place>();

  constructor(root: string) {
    this.#root = resolve(root);
  }

  /** Where a run's directories are, whether they exist or not: for an apply, where its plan was made, on any worker. */
  of({ id, workspace_id, speculative, work_directory }: Placed): WorkDirectory {
    return placesIn(work_directory ?? join(this.#root, speculative ? id : String(workspace_id)));
  }

  /** Those that are there, of whichever runs. */
  async all(): Promise<WorkDirectory[]> {
    return (await this.list()).map((name) => placesIn(join(this.#root, name)));
  }

  /** Removes what an earlier process of a worker has left, as `remove` does, if no other worker has it by now. */
  clear(directory: WorkDirectory, worker: string): Promise<string | undefined> {
    return this.#alone(directory.root, async () => {
      const owner = await ownerOf(directory.control);
      return owner && owner.worker !== worker ? undefined : this.#remove(directory);
    });
  }

  /** Makes them, empty: what an earlier run or attempt has left is removed. */
  create(placed: Placed & Owning): Promise<WorkDirectory> {
    const directory = this.of(placed);
    return this.#alone(directory.root, async (place) => {
      place.owner = placed.id;
      await this.#remove(directory);
      const { root, checkout, control, home, tmp } = directory;
      await mkdir(root, { recursive: true, mode: 0o700 });
      await Promise.all([checkout, control, home, tmp].map((path) => mkdir(path, { mode: 0o700 })));
      await noteOwner(control, placed);
      return directory;
    });
  }

  /**
   * Removes them, unless the next run of the workspace has them by now, or another worker of this machine. State that the record may not have is never
   * removed: it is set aside, sealed, under `kept`. Yields where, if there was any.
   */
  remove(placed: Placed & Owning): Promise<string | undefined> {
    const directory = this.of(placed);
    return this.#alone(directory.root, async (place) => {
      if (place.owner !== undefined && place.owner !== placed.id) return undefined;
      place.owner = undefined;
      return (await hasAnotherOwner(directory.control, placed)) ? undefined : this.#remove(directory);
    });
  }

  /** Names of the directories that runs have had: ids of workspaces and of speculative runs. */
  async list(): Promise<string[]> {
    const names = await readdir(this.#root).catch(() => []);
    return names.filter((name) => /^(\d{1,9}|run-\w+)$/.test(name));
  }

  /**
   * Removes a directory that an earlier process has left behind. `judge` is asked when nobody else is at it: it yields the
   * run that had it last, or undefined where it may still be needed. Also what that run's Terraform couldn't hand over is
   * set aside. Yields whether it was removed.
   */
  removeAbandoned(
    name: string,
    judge: (root: string) => Promise<(Placed & ModulePlace) | undefined>,
  ): Promise<boolean> {
    const root = join(this.#root, name);
    return this.#alone(root, async (place) => {
      const last = place.owner === undefined ? await judge(root) : undefined;
      if (last === undefined) return false;
      const directory = this.of({ ...last, work_directory: root });
      const errored = join(directory.checkout, last.module, 'errored.tfstate');
      if (await isFile(errored)) await this.keepFile({ ...last, work_directory: root }, errored);
      await this.#remove(directory);
      return true;
    });
  }

  /**
   * Moves a file out of the run's directories to where nothing is removed, and yields where it is then. Should we die before
   * that is on record, `keptFile` knows it.
   */
  async keepFile(placed: Placed, file: string): Promise<string> {
    const { root, control } = this.of(placed);
    const kept = await this.#placeToKeep(root, `-${basename(file)}`);
    // A full disk has no room for the note, and the file must be moved all the same.
    await writeDurably(control, join(control, KEPT), Buffer.from(kept)).catch(() => undefined);
    // Moving needs no space; a directory of another worker's may be on another disk.
    await rename(file, kept).catch(() => copyFile(file, kept));
    await chmod(kept, 0o600);
    return kept;
  }

  /** Where the file is that `keepFile` moved out of a run's directories, in an earlier process perhaps. */
  async keptFile(placed: Placed): Promise<string | undefined> {
    const noted = await readFile(join(this.of(placed).control, KEPT), 'utf8').catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return undefined;
      throw error;
    });
    return noted !== undefined && (await isFile(noted)) ? noted : undefined;
  }

  async #remove({ root, control }: WorkDirectory): Promise<string | undefined> {
    const snapshots = stateDirectory(control);
    const kept = (await holdsSnapshots(snapshots)) ? await this.#placeToKeep(root, '') : undefined;
    if (kept !== undefined) await rename(snapshots, kept);
    await removeTree(root);
    return kept;
  }

  async #placeToKeep(root: string, suffix: string): Promise<string> {
    const kept = join(this.#root, KEPT);
    await mkdir(kept, { recursive: true, mode: 0o700 });
    return join(kept, `${basename(root)}-${new Date().toISOString().replaceAll(':', '')}${suffix}`);
  }

  /**
   * One thing at a time in a directory: a run of a workspace may begin while the one before it still cleans up. Workers
   * of one machine meet in a workspace's, where one of them has planned and the other one applies.
   */
  #alone<T>(root: string, work: (place: Place) => Promise<T>): Promise<T> {
    const place = this.#places.get(root) ?? { owner: undefined, last: Promise.resolve(), waiting: 0 };
    this.#places.set(root, place);
    place.waiting += 1;
    const done = place.last
      .then(() => (isWorkspaces(root) ? amongWorkers(root, () => work(place)) : work(place)))
      .finally(() => {
        place.waiting -= 1;
        if (place.waiting === 0 && place.owner === undefined) this.#places.delete(root);
      });
    place.last = done.catch(() => undefined);
    return done;
  }
}

function isWorkspaces(root: string): boolean {
  return /^\d+$/.test(basename(root));
}

/** Under a lock beside the directory of them all. A full disk has no room for one, and must be cleared all the same. */
async function amongWorkers<T>(root: string, work: () => Promise<T>): Promise<T> {
  let begun = false;
  try {
    return await withLock(join(`${dirname(root)}.lock`, basename(root)), () => {
      begun = true;
      return work();
    });
  } catch (error) {
    if (begun || !isDiskFull(error)) throw error;
    return work();
  }
}

function placesIn(root: string): WorkDirectory {
  return {
    root,
    checkout: join(root, 'checkout'),
    control: join(root, 'control'),
    home: join(root, 'home'),
    tmp: join(root, 'tmp'),
  };
}

/**
 * Removes a directory that strangers' programs have written to. `rm` follows no links and copes with paths longer than
 * the system takes at once, which Node's doesn't; directories that can't be written to, as some modules and providers
 * have them, are made writable first.
 */
export async function removeTree(path: string): Promise<void> {
  if (await isMissing(path)) return;
  const remove = () => run('rm', ['-rf', '--', path]);
  try {
    await remove();
  } catch {
    // chmod -R doesn't follow links that it meets on its way. That some of it fails is for rm to say.
    await run('chmod', ['-R', 'u+rwx', '--', path]).catch(() => undefined);
    await remove();
  }
}

async function isMissing(path: string): Promise<boolean> {
  return lstat(path).then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'ENOENT',
  );
}

async function isFile(path: string): Promise<boolean> {
  return lstat(path).then(
    (stats) => stats.isFile(),
    () => false,
  );
}
