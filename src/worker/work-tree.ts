import type { BigIntStats } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';

/** Something in a work directory. Sockets, pipes and devices are nothing. */
export interface TreeItem {
  /** From the directory's root; bytes written as Latin-1, since file names needn't be UTF-8. */
  path: string;
  kind: 'file' | 'directory' | 'symlink';
  mode: number;
  /** In bytes; 0 for what is no file. */
  size: number;
  /** Changes with the item. */
  fingerprint: string;
}

/** A path of Latin-1 as Node's functions take it. */
export function toBytes(root: string, path: string): Buffer {
  const base = Buffer.from(root);
  return path === '' ? base : Buffer.concat([base, Buffer.from('/'), Buffer.from(path, 'latin1')]);
}

/** Everything in a directory, parents first, in the order of names. Follows no links. */
export async function* walk(root: string, leaveOut: (path: string) => boolean, path = ''): AsyncGenerator<TreeItem> {
  const names = await readdir(toBytes(root, path), { encoding: 'buffer' });
  for (const name of names.map((bytes) => bytes.toString('latin1')).sort()) {
    const inner = path === '' ? name : `${path}/${name}`;
    if (leaveOut(inner)) continue;
    const item = describe(inner, await lstat(toBytes(root, inner), { bigint: true }));
    if (item === undefined) continue;
    yield item;
    if (item.kind === 'directory') yield* walk(root, leaveOut, inner);
  }
}

function describe(path: string, stats: BigIntStats): TreeItem | undefined {
  const mode = Number(stats.mode & 0o777n);
  // A directory's own times change with what is in it, which has its own.
  if (stats.isDirectory()) return { path, kind: 'directory', mode, size: 0, fingerprint: `directory ${mode}` };
  const fingerprint = [stats.mode, stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join(' ');
  if (stats.isSymbolicLink()) return { path, kind: 'symlink', mode, size: 0, fingerprint };
  if (stats.isFile()) return { path, kind: 'file', mode, size: Number(stats.size), fingerprint };
  return undefined;
}
