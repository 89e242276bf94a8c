import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { readWorkFile, type WorkFile, writeWorkFile } from './work-file.js';
import { walk } from './work-tree.js';

/** Path → what it looked like. Can be kept as JSON. */
export type Manifest = Record<string, string>;

/** What a plan left in its directory can't be kept, or can't be put back. The message is for the run's check run. */
export class WorkFilesError extends Error {
  override name = 'WorkFilesError';
}

/** In bytes, before compression: what is kept in the record with a plan has to stay within reason. */
const LIMIT = 256 * 1024 * 1024;
/** Providers are the same on every worker: the lock file names them, `init` brings them. */
const LEFT_OUT = /(^|\/)\.terraform\/providers$/;

const compress = promisify(gzip);
const decompress = promisify(gunzip);

/**
 * What is in a directory now, to find out later what came after. A file counts as changed when its size, times, mode or
 * inode did: its change time can't be set back by whoever changes it.
 */
export async function manifestOf(directory: string): Promise<Manifest> {
  const manifest: Manifest = {};
  for await (const { path, fingerprint } of walk(directory, isLeftOut)) manifest[path] = fingerprint;
  return manifest;
}

/**
 * Everything in the directory that is new or changed since the manifest was made, as one buffer: providers left out,
 * links as links. What was removed isn't told. Throws WorkFilesError where it is more than 256 MiB.
 */
export async function packWorkFiles(directory: string, before: Manifest): Promise<Buffer> {
  return readably(() => pack(directory, before));
}

async function pack(directory: string, before: Manifest): Promise<Buffer> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const entry of walk(directory, isLeftOut)) {
    if (before[entry.path] === entry.fingerprint) continue;
    if (bytes + entry.size > LIMIT) throw tooMuch(entry.path);
    const file = await readWorkFile(directory, entry, LIMIT - bytes);
    if (file === undefined) throw tooMuch(entry.path);
    bytes += file.content.length;
    parts.push(...encode(file));
  }
  return compress(Buffer.concat(parts));
}

/**
 * Puts back what was packed, over a fresh checkout of the same commit. Nothing is written through a link or outside of the
 * directory. Throws WorkFilesError.
 */
export async function unpackWorkFiles(directory: string, packed: Buffer): Promise<void> {
  // Headers come on top of the contents: half as much again is plenty.
  const unpacked = await decompress(packed, { maxOutputLength: LIMIT * 1.5 });
  const directories: WorkFile[] = [];
  for (const file of decode(unpacked)) {
    await writeWorkFile(directory, file);
    if (file.kind === 'directory') directories.push(file);
  }
  // Only now, innermost first: some can't be written to.
  for (const file of directories.reverse()) await writeWorkFile(directory, file, { finish: true });
}

/** A header in JSON after its length, then the content. Paths are bytes, written as Latin-1. */
function encode({ content, ...header }: WorkFile): Buffer[] {
  const text = Buffer.from(JSON.stringify({ ...header, length: content.length }));
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return [length, text, content];
}

function* decode(buffer: Buffer): Generator<WorkFile> {
  for (let at = 0; at < buffer.length; ) {
    const headerEnd = at + 4 + buffer.readUInt32BE(at);
    const { length, ...header } = JSON.parse(buffer.subarray(at + 4, headerEnd).toString()) as WorkFile & {
      length: number;
    };
    at = headerEnd + length;
    yield { ...header, content: buffer.subarray(headerEnd, at) };
  }
}

/** What a plan may do to its own directory to make it unreadable is no fault of ours. */
async function readably<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (!['EACCES', 'EPERM', 'ENAMETOOLONG', 'ELOOP', 'ENOENT'].includes(code)) throw error;
    throw new WorkFilesError(
      `What the plan wrote into its directory can't be read (${code}), so it can't be kept with it.`,
    );
  }
}

function isLeftOut(path: string): boolean {
  return LEFT_OUT.test(path);
}

function tooMuch(path: string): WorkFilesError {
  const name = Buffer.from(path, 'latin1').toString();
  return new WorkFilesError(
    `What the plan wrote into its directory is more than 256 MiB (at ${name}), which can't be kept with it. Write large files elsewhere.`,
  );
}
