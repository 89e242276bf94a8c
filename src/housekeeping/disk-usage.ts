import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** What a directory takes on disk, in bytes, to the kilobyte; 0 where there is none. */
export async function diskUsage(path: string): Promise<number> {
  // What vanishes while it is counted makes `du` fail, and it tells the rest all the same.
  const { stdout } = await run('du', ['-sk', path]).catch((error: { stdout?: string }) => ({
    stdout: error.stdout ?? '',
  }));
  return (Number.parseInt(stdout, 10) || 0) * 1024;
}
