import { execFile } from 'node:child_process';
import { readdir, rename, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { withLock } from '../terraform/lock.js';
import { removeTree } from '../worker/work-directory.js';
import { diskUsage } from './disk-usage.js';
import type { Chore } from './housekeeper.js';

const run = promisify(execFile);

/** How long the end of an `init` is waited for, in ms: otherwise it is tried again in an hour. */
const LOCK_MS = 60_000;
const LONGEST_LIST = 64 * 1024 ** 2;

/** Where packages are, as `find` takes it: in the cache, and below any root module's `.terraform`. */
const CACHED = ['-mindepth', '5', '-maxdepth', '5'];
const LINKED = ['-path', '*/.terraform/providers/*/*/*/*/*', '-prune'];

interface Package {
  name: string;
  path: string;
}

/**
 * The cache of providers, down to `maxBytes` (0: any size): those that were installed first go first. While that is
 * looked at no `init` may begin, and what an earlier one has linked to from a run's directory stays. `workRoots`: where
 * such directories are.
 */
export function providerChore(cache: string, workRoots: () => Promise<string[]>, maxBytes: number): Chore {
  return {
    name: 'providers',
    run: async (signal) => {
      await removeLeftovers(cache);
      if (maxBytes === 0 || (await diskUsage(cache)) <= maxBytes) return 0;
      const patience = AbortSignal.any([signal, AbortSignal.timeout(LOCK_MS)]);
      const aside: string[] = [];
      await withLock(`${cache}.lock`, async () => takeOut(cache, await workRoots(), maxBytes, aside), patience).catch(
        (error) => {
          if (!patience.aborted) throw error;
        },
      );
      for (const path of aside) await removeTree(path);
      return aside.length;
    },
  };
}

/** Moves what is to go out of the cache, which takes no time, and adds where it is then to `aside`. */
async function takeOut(cache: string, workRoots: string[], maxBytes: number, aside: string[]): Promise<void> {
  const linked = await Promise.all(workRoots.map((root) => packagesIn(root, LINKED)));
  const inUse = new Set(linked.flat().map(({ name }) => name));
  const packages = await Promise.all(
    (await packagesIn(cache, CACHED)).map(async ({ name, path }) => ({
      ...{ name, path, bytes: await diskUsage(path) },
      since: (await stat(path)).mtimeMs,
    })),
  );
  packages.sort((a, b) => a.since - b.since);
  let total = packages.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const { name, path, bytes } of packages) {
    if (total <= maxBytes) return;
    if (inUse.has(name)) continue;
    const out = `${cache}.removed-${aside.length}-${process.pid}`;
    await rename(path, out);
    aside.push(out);
    total -= bytes;
  }
}

/** Directories of, or links to, one provider's version for one platform: `<host>/<namespace>/<type>/<version>/<platform>`. */
async function packagesIn(root: string, where: readonly string[]): Promise<Package[]> {
  if ((await readdir(root).catch(() => [])).length === 0) return [];
  const { stdout } = await run('find', ['.', ...where, '-print0'], { cwd: root, maxBuffer: LONGEST_LIST });
  return stdout
    .split('\0')
    .filter((path) => path !== '')
    .map((path) => ({ path: join(root, path), name: path.split('/').slice(-5).join('/') }));
}

/** What died before it had removed what it had moved out. */
async function removeLeftovers(cache: string): Promise<void> {
  const names = await readdir(dirname(cache)).catch(() => []);
  const left = names.filter((name) => name.startsWith(`${basename(cache)}.removed-`));
  for (const name of left) await removeTree(join(dirname(cache), name));
}
