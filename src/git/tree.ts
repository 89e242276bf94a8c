import { type GitCommand, GitExit } from './git-command.js';

/** One path of a commit. */
export interface TreeEntry {
  path: string;
  /** A file that Git LFS keeps elsewhere is `lfs`: what the commit has is a pointer of a few lines. */
  kind: 'file' | 'executable' | 'symlink' | 'submodule' | 'lfs';
  /** As git has it: `100644`. */
  mode: string;
  object: string;
  /** In bytes; 0 for a submodule. */
  size: number;
}

const TIMEOUT_MS = 60_000;
/** Larger is no LFS pointer, says its specification. In bytes. */
const LARGEST_POINTER = 1024;
const POINTER = Buffer.from('version https://git-lfs.github.com/spec/v1\n');
/** More small files than this are not looked into: pointers are only warned about. */
const MOST_CANDIDATES = 20_000;

const KINDS: Readonly<Record<string, TreeEntry['kind']>> = {
  '100755': 'executable',
  '120000': 'symlink',
  '160000': 'submodule',
};

/** Everything that a commit has, in git's order. */
export async function listTree(git: GitCommand, sha: string): Promise<TreeEntry[]> {
  const listing = await git.text(['ls-tree', '-r', '-z', '-l', '--full-tree', sha], { timeoutMs: TIMEOUT_MS });
  const entries = listing.split('\0').flatMap(parseEntry);
  await markPointers(git, entries);
  return entries;
}

/** Where the symlinks among `paths` lead: to a file of the same commit, or not (`undefined`). Other paths yield themselves. */
export async function resolveFiles(
  git: GitCommand,
  sha: string,
  paths: readonly string[],
): Promise<({ object: string; size: number } | { problem: string })[]> {
  const asked = paths.map((path) => (path.includes('\n') ? 'missing' : `${sha}:${path}`));
  const answer = await git.bytes(['--batch-check', '--follow-symlinks'], {
    timeoutMs: TIMEOUT_MS,
    input: `${asked.join('\n')}\n`,
  });
  return parseResolved(answer, asked.length);
}

/** The hash of a directory (`.` is the root), or undefined where the commit has none there. */
export async function treeOf(git: GitCommand, sha: string, directory: string): Promise<string | undefined> {
  const options = { timeoutMs: TIMEOUT_MS };
  if (directory === '.') return (await git.text(['rev-parse', '--verify', `${sha}^{tree}`], options)).trim();
  const listing = await git.text(['ls-tree', '-z', '-d', '--full-tree', sha, '--', directory], options);
  const [, type, object] = /^\d+ (\w+) ([0-9a-f]+)\t/.exec(listing) ?? [];
  return type === 'tree' ? object : undefined;
}

/** Paths in which two commits differ, a renamed file by both its names. No configuration changes what this says. */
export async function differingPaths(git: GitCommand, from: string, to: string): Promise<string[]> {
  const args = ['diff-tree', '-r', '-z', '--name-only', '--no-renames', '--no-ext-diff', '--no-textconv', from, to];
  const listing = await git.text(args, { timeoutMs: TIMEOUT_MS });
  return listing.split('\0').filter((path) => path !== '');
}

function parseEntry(line: string): TreeEntry[] {
  const match = /^(\d+) \w+ ([0-9a-f]+) +(\d+|-)\t([\s\S]+)$/.exec(line);
  if (!match) return [];
  const [, mode = '', object = '', size = '', path = ''] = match;
  return [{ path, mode, object, size: size === '-' ? 0 : Number(size), kind: KINDS[mode] ?? 'file' }];
}

/**
 * One line an object; what isn't there is told apart by words: `<name> missing`, `dangling 20\n<name>`, `symlink
 * 11\n/etc/passwd`. Those with a second part say its length in bytes.
 */
function parseResolved(answer: Buffer, count: number): ({ object: string; size: number } | { problem: string })[] {
  const results: ({ object: string; size: number } | { problem: string })[] = [];
  let at = 0;
  while (results.length < count) {
    const end = answer.indexOf('\n', at);
    if (end < 0) throw new GitExit('cat-file', 'bad object listing', false);
    const line = answer.subarray(at, end).toString();
    at = end + 1;
    const [, object = '', type = '', size = ''] = /^([0-9a-f]{40,64}) (\w+) (\d+)$/.exec(line) ?? [];
    const [, word = '', length = ''] = /^(symlink|dangling|loop|notdir) (\d+)$/.exec(line) ?? [];
    if (length !== '') at += Number(length) + 1;
    if (type === 'blob') results.push({ object, size: Number(size) });
    else if (type !== '') results.push({ problem: 'it is not a file' });
    else if (word === 'symlink') results.push({ problem: 'it is a link out of the repository' });
    else if (word === 'loop') results.push({ problem: 'it is a link to itself' });
    else results.push({ problem: 'there is no such file' });
  }
  return results;
}

/** Only a repository whose attributes say that it uses LFS is looked at more closely. */
async function markPointers(git: GitCommand, entries: TreeEntry[]): Promise<void> {
  const isFile = ({ kind }: TreeEntry) => kind === 'file' || kind === 'executable';
  const attributes = entries.filter((entry) => isFile(entry) && /(^|\/)\.gitattributes$/.test(entry.path));
  const texts = await readObjects(git, attributes.filter(({ size }) => size < 1_000_000).slice(0, 1_000));
  if (!texts.some((text) => text.includes('filter=lfs'))) return;
  const candidates = entries.filter(
    (entry) => isFile(entry) && entry.size > POINTER.length && entry.size < LARGEST_POINTER,
  );
  const read = await readObjects(git, candidates.slice(0, MOST_CANDIDATES));
  for (const [index, content] of read.entries()) {
    const candidate = candidates[index];
    if (candidate && content.subarray(0, POINTER.length).equals(POINTER)) candidate.kind = 'lfs';
  }
}

async function readObjects(git: GitCommand, entries: readonly TreeEntry[]): Promise<Buffer[]> {
  if (entries.length === 0) return [];
  const input = `${entries.map(({ object }) => object).join('\n')}\n`;
  const answer = await git.bytes(['--batch'], { timeoutMs: TIMEOUT_MS, input });
  let at = 0;
  return entries.map(({ size }) => {
    const start = answer.indexOf('\n', at) + 1;
    at = start + size + 1;
    return answer.subarray(start, start + size);
  });
}
