import { constants } from 'node:fs';
import { chmod, lstat, mkdir, open, readlink, rm, symlink, unlink } from 'node:fs/promises';
import { type TreeItem, toBytes } from './work-tree.js';

/** One item of a work directory, with what is in it: a file's bytes, where a link leads. */
export interface WorkFile {
  path: string;
  kind: TreeItem['kind'];
  mode: number;
  content: Buffer;
}

const { O_RDONLY, O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK } = constants;
const CHUNK = 1024 * 1024;

/** Reads an item. Undefined when it has more than `limit` bytes, which it may have grown to meanwhile. */
export async function readWorkFile(root: string, item: TreeItem, limit: number): Promise<WorkFile | undefined> {
  const { path, kind, mode } = item;
  const place = toBytes(root, path);
  if (kind === 'directory') return { path, kind, mode, content: Buffer.alloc(0) };
  if (kind === 'symlink') return { path, kind, mode, content: await readlink(place, { encoding: 'buffer' }) };
  const file = await open(place as unknown as string, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  try {
    const chunks: Buffer[] = [];
    for (let length = 0; ; ) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(CHUNK, item.size + 1)));
      if (bytesRead === 0) return { path, kind, mode, content: Buffer.concat(chunks) };
      length += bytesRead;
      if (length > limit) return undefined;
      chunks.push(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

/**
 * Writes an item in place of whatever is there. A directory gets its own mode only at the end (`finish`), when everything is
 * in it. Each directory on the way has to be one: a link there could lead anywhere.
 */
export async function writeWorkFile(
  root: string,
  { path, kind, mode, content }: WorkFile,
  { finish = false }: { finish?: boolean } = {},
): Promise<void> {
  const place = toBytes(root, path);
  await checkWay(root, path);
  const present = await lstat(place).catch(() => undefined);
  if (kind === 'directory') {
    if (present?.isDirectory() !== true) {
      if (present) await unlink(place);
      await mkdir(place, { mode: 0o700 });
    }
    return chmod(place, finish ? mode : mode | 0o700);
  }
  if (present?.isDirectory()) await rm(place, { recursive: true });
  else if (present) await unlink(place);
  if (kind === 'symlink') return symlink(content, place);
  const file = await open(place as unknown as string, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    await file.writeFile(content);
    await file.chmod(mode);
  } finally {
    await file.close();
  }
}

async function checkWay(root: string, path: string): Promise<void> {
  const names = path.split('/');
  if (names.some((name) => name === '' || name === '.' || name === '..')) throw new Error(`${path} is no path.`);
  for (let depth = 1; depth < names.length; depth++) {
    const parent = await lstat(toBytes(root, names.slice(0, depth).join('/')));
    if (!parent.isDirectory()) throw new Error(`${path} leads through something that is no directory.`);
  }
}
