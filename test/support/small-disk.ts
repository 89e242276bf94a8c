import { execFileSync } from 'node:child_process';
import { closeSync, mkdtempSync, openSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A disk of its own that is soon full: real ENOSPC, which permissions and root's rights have no part in. */
export class SmallDisk {
  private constructor(readonly directory: string) {}

  /** @param files how many files and directories it has room for, itself included */
  static mount(bytes = 256 * 1024, files = 1_000): SmallDisk {
    const directory = mkdtempSync(join(tmpdir(), 'signalbox-disk-'));
    try {
      const options = `size=${bytes},nr_inodes=${files}`;
      execFileSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', directory], { stdio: 'ignore' });
    } catch (error) {
      rmSync(directory, { recursive: true });
      throw error;
    }
    return new SmallDisk(directory);
  }

  /** Nothing more can be written to it, though files can still be made. */
  fill(): void {
    const file = openSync(this.#filling, 'a');
    try {
      for (;;) writeSync(file, Buffer.alloc(4096));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    } finally {
      closeSync(file);
    }
  }

  /** No file can be made on it any more. */
  fillWithFiles(): void {
    try {
      for (let count = 0; ; count += 1) closeSync(openSync(join(this.directory, `file-${count}`), 'wx'));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  /** There is room again after {@link fill}. */
  empty(): void {
    rmSync(this.#filling, { force: true });
  }

  unmount(): void {
    execFileSync('umount', ['--lazy', this.directory]);
    rmSync(this.directory, { recursive: true, force: true });
  }

  get #filling(): string {
    return join(this.directory, 'filling');
  }
}

/** Whether a disk can be mounted here. Suites that need one run when it can, and say so when it can't. */
export const smallDiskAvailable = isAvailable();
if (!smallDiskAvailable)
  process.stderr.write('No file system can be mounted: suites that need a full disk do not run.\n');

function isAvailable(): boolean {
  try {
    SmallDisk.mount().unmount();
    return true;
  } catch {
    return false;
  }
}
