import { execFile } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { GitExit } from './git-command.js';
import { CommitRefused } from './git-error.js';
import type { TreeEntry } from './tree.js';

/** What a checkout has that a person might miss in it. */
export interface Checkout {
  /** Plain sentences. */
  warnings: string[];
}

const TIMEOUT_MS = 5 * 60_000;
/** All files of a commit together, in bytes: GitHub recommends repositories of 1 GB, and strongly those under 5 GB. */
const LARGEST_CHECKOUT = 4 * 1024 ** 3;
/** How many paths of a kind a warning names. */
const NAMED = 3;

/** Throws CommitRefused for more than should ever be on a disk. */
export function checkSize(entries: readonly TreeEntry[]): void {
  const bytes = entries.reduce((sum, { size }) => sum + size, 0);
  if (bytes <= LARGEST_CHECKOUT) return;
  throw new CommitRefused(`The commit's files are ${(bytes / 1024 ** 3).toFixed(1)} GiB together; the limit is 4 GiB.`);
}

export function warningsOf(entries: readonly TreeEntry[]): string[] {
  const pathsOf = (kind: TreeEntry['kind']) => entries.filter((entry) => entry.kind === kind).map(({ path }) => path);
  const warnings: string[] = [];
  const submodules = pathsOf('submodule');
  if (submodules.length > 0) warnings.push(`Submodules are not checked out: ${some(submodules)}.`);
  const pointers = pathsOf('lfs');
  if (pointers.length > 0)
    warnings.push(`Git LFS keeps these files elsewhere; only their pointers are here: ${some(pointers)}.`);
  return warnings;
}

/**
 * Writes a commit's files into an empty directory, and nothing else: no `.git`. It is git itself that does so, which
 * refuses paths like `.git/config` or `../x`, and never writes through a symlink. One `read-tree -u` takes 2 ms where
 * `git archive | tar -x` takes 4, and leaves it to no `tar` how careful it is. Not by simple-git, which waits for 50 ms
 * whenever a command prints nothing.
 *
 * @param index where git may keep its index meanwhile
 * @throws GitExit, CommitRefused
 */
export async function writeFiles(
  sha: string,
  directory: string,
  index: string,
  environment: Readonly<Record<string, string>>,
): Promise<void> {
  if ((await readdir(directory)).length > 0) throw new Error(`${directory} is not empty.`);
  const env = { ...environment, GIT_WORK_TREE: directory, GIT_INDEX_FILE: index };
  try {
    await readTree(sha, directory, env);
  } catch (error) {
    const path = error instanceof GitExit ? /invalid path '(.*)'/.exec(error.stderr)?.[1] : undefined;
    if (path === undefined) throw error;
    throw new CommitRefused(`The commit has a path that git refuses to check out: ${path}`);
  } finally {
    await rm(index, { force: true });
    await rm(`${index}.lock`, { force: true });
  }
}

function readTree(sha: string, cwd: string, env: Record<string, string>): Promise<void> {
  return new Promise((resolve, reject) => {
    execFile('git', ['read-tree', '--reset', '-u', sha], { cwd, env, timeout: TIMEOUT_MS }, (error, _, stderr) => {
      if (error) reject(new GitExit('read-tree', stderr || error.message, error.killed === true));
      else resolve();
    });
  });
}

function some(paths: readonly string[]): string {
  const more = paths.length - NAMED;
  return paths.slice(0, NAMED).join(', ') + (more > 0 ? ` and ${more} more` : '');
}
