import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface MirrorOnDisk {
  /** GitHub's id of the repository. */
  id: number;
  directory: string;
  usedAt: Date;
}

/** A repository that was being made or removed, an index of a checkout. */
const LEFTOVER = /^\d+\.(git\.(new|discarded)|index)-[0-9a-f]+(\.lock)?$/;

/** The mirrors in a directory, and when each was last used. */
export async function mirrorsOnDisk(directory: string): Promise<MirrorOnDisk[]> {
  const names = await readdir(directory).catch(() => []);
  const found = await Promise.all(
    names.map(async (name) => {
      const id = /^(\d+)\.git$/.exec(name)?.[1];
      const mirror = join(directory, name);
      const used = id && (await stat(join(mirror, 'HEAD')).catch(() => stat(mirror).catch(() => undefined)));
      return used ? [{ id: Number(id), directory: mirror, usedAt: used.mtime }] : [];
    }),
  );
  return found.flat();
}

/** Removes what commands that were killed have left beside the mirrors, if it is older than `ms`. Yields how much. */
export async function removeLeftovers(directory: string, ms: number): Promise<number> {
  const names = (await readdir(directory).catch(() => [])).filter((name) => LEFTOVER.test(name));
  let removed = 0;
  for (const path of names.map((name) => join(directory, name))) {
    const found = await stat(path).catch(() => undefined);
    if (found === undefined || Date.now() - found.mtimeMs < ms) continue;
    await rm(path, { recursive: true, force: true });
    removed += 1;
  }
  return removed;
}
