import { createHash, type Hash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import { join, normalize, sep } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { z } from 'zod';
import { readUntrusted } from './untrusted-file.js';

/** What `init` brought in from elsewhere, by fingerprint. */
export interface Resolved {
  /** SHA-256 (hex) over the files of each remote module's package, by its key (`network`, `network.subnets`), sorted. */
  modules: Record<string, string>;
  /** SHA-256 (hex) of `.terraform.lock.hcl`; absent when there is none. */
  lockFile?: string;
}

const INSTALLED = join('.terraform', 'modules');

const manifest = z.object({ Modules: z.array(z.object({ Key: z.string(), Dir: z.string() })) });

/**
 * Fingerprints what `init` resolved in a workspace's directory. Modules of the repository itself are left out: the commit names
 * them. A package's `.git` is left out too: it differs from one clone to the next.
 */
export async function fingerprintResolved(workspaceDirectory: string): Promise<Resolved> {
  const text = await readUntrusted(join(workspaceDirectory, INSTALLED, 'modules.json'), { follow: true });
  const entries = text === undefined ? [] : manifest.parse(JSON.parse(text.toString())).Modules;
  const packages = entries.map(({ Dir }) => packageOf(Dir)).filter((name) => name !== undefined);
  const modules: Record<string, string> = {};
  for (const name of [...new Set(packages)].sort()) {
    const hash = createHash('sha256');
    await hashDirectory(hash, join(workspaceDirectory, INSTALLED, name), '');
    modules[name] = hash.digest('hex');
  }
  const lock = await readUntrusted(join(workspaceDirectory, '.terraform.lock.hcl'), { follow: true });
  return { modules, ...(lock && { lockFile: createHash('sha256').update(lock).digest('hex') }) };
}

/** The directory under `.terraform/modules` that a module's own directory is in: its package, of which it may be a part. */
function packageOf(directory: string): string | undefined {
  const path = normalize(directory);
  return path.startsWith(INSTALLED + sep) ? path.slice(INSTALLED.length + 1).split(sep)[0] : undefined;
}

/** Every entry by kind, path and length, so that no two directories can look alike. Links count as what they say. */
async function hashDirectory(hash: Hash, root: string, path: string): Promise<void> {
  const entries = await readdir(join(root, path), { withFileTypes: true });
  entries.sort((a, b) => Buffer.compare(Buffer.from(a.name), Buffer.from(b.name)));
  for (const entry of entries) {
    const inner = join(path, entry.name);
    if (entry.name === '.git') continue;
    if (entry.isDirectory()) {
      hash.update(`directory ${inner}\0`);
      await hashDirectory(hash, root, inner);
    } else if (entry.isSymbolicLink()) {
      hash.update(`link ${inner}\0${await readlink(join(root, inner))}\0`);
    } else if (entry.isFile()) {
      const content = createHash('sha256');
      await pipeline(createReadStream(join(root, inner)), content);
      hash.update(`file ${inner}\0${content.digest('hex')}\0`);
    }
  }
}
