import { execFile } from 'node:child_process';
import { mkdir, rename } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { Run } from '../db/schema.js';
import { stateDirectory } from '../state/registered-run.js';
import { holdsSnapshots } from '../state/state-journal.js';

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

type Placed = Pick<Run, 'id' | 'workspace_id' | 'speculative'>;

const run = promisify(execFile);

/**
 * Makes and removes the directories of runs. A standard run has its workspace's, the same for plan and apply and from run
 * to run, because plans hold absolute paths; a speculative run has one of its own.
 */
export class WorkDirectories {
  readonly #root: string;

  constructor(root: string) {
    this.#root = resolve(root);
  }

  /** Where a run's directories are, whether they exist or not. */
  of({ id, workspace_id, speculative }: Placed): WorkDirectory {
    const root = join(this.#root, speculative ? id : String(workspace_id));
    return {
      root,
      checkout: join(root, 'checkout'),
      control: join(root, 'control'),
      home: join(root, 'home'),
      tmp: join(root, 'tmp'),
    };
  }

  /** Makes them, empty: what an earlier run or attempt has left is removed. */
  async create(placed: Placed): Promise<WorkDirectory> {
    const directory = this.of(placed);
    await this.remove(placed);
    const { root, checkout, control, home, tmp } = directory;
    await mkdir(root, { recursive: true, mode: 0o700 });
    await Promise.all([checkout, control, home, tmp].map((path) => mkdir(path, { mode: 0o700 })));
    return directory;
  }

  /** Removes them. State that the record may not have is never removed: it is set aside, sealed, under `kept`. */
  async remove(placed: Placed): Promise<void> {
    const { root, control } = this.of(placed);
    const snapshots = stateDirectory(control);
    if (await holdsSnapshots(snapshots)) {
      const kept = join(this.#root, 'kept');
      await mkdir(kept, { recursive: true, mode: 0o700 });
      await rename(snapshots, join(kept, `${basename(root)}-${new Date().toISOString().replaceAll(':', '')}`));
    }
    await removeTree(root);
  }
}

/**
 * Removes a directory that strangers' programs have written to. `rm` follows no links and copes with paths longer than
 * the system takes at once, which Node's doesn't; directories that can't be written to, as some modules and providers
 * have them, are made writable first.
 */
export async function removeTree(path: string): Promise<void> {
  const remove = () => run('rm', ['-rf', '--', path]);
  try {
    await remove();
  } catch {
    // chmod -R doesn't follow links that it meets on its way. That some of it fails is for rm to say.
    await run('chmod', ['-R', 'u+rwx', '--', path]).catch(() => undefined);
    await remove();
  }
}
