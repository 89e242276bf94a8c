import { constants } from 'node:fs';
import { open } from 'node:fs/promises';

/** More than any file has that we read whole, in bytes. */
const LARGEST = 16 * 1024 * 1024;

/**
 * Reads a file from a directory that strangers' programs have written to: nobody is waited for at a pipe, and no device is read
 * without end. A link may lead to a file that those programs can't read: unless `follow` says so, it isn't followed, and
 * what is read through one must not be shown.
 *
 * @returns `undefined` when there is no such file
 * @throws for what is no file, has more than 16 MiB, or is a link that isn't followed
 */
export async function readUntrusted(path: string, { follow = false } = {}): Promise<Buffer | undefined> {
  const { O_RDONLY, O_NOFOLLOW, O_NONBLOCK } = constants;
  const flags = O_RDONLY | O_NONBLOCK | (follow ? 0 : O_NOFOLLOW);
  const file = await open(path, flags).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  try {
    const stats = await file.stat();
    if (!stats.isFile() || stats.size > LARGEST) throw new Error(`${path} is no file, or too large.`);
    return await file.readFile();
  } finally {
    await file.close();
  }
}
