import { createHash } from 'node:crypto';
import { posix } from 'node:path';
import { HclParser, type Parsed } from './hcl.js';
import { defaultSettings, isReservedName, MAX_NAME_LENGTH, type WorkspaceSettings } from './settings.js';
import { SETTINGS_FILE } from './settings-file.js';

/** What discovery could not read, or why it found nothing. Lines count from 1. */
export interface DiscoveryProblem {
  path: string;
  line?: number;
  message: string;
}

export interface Discovery {
  /** Sorted by directory; each is also triggered by the local modules that it uses, directly or through others. */
  workspaces: WorkspaceSettings[];
  problems: DiscoveryProblem[];
}

export interface DiscoveryOptions {
  /** Directory → name of the workspaces on record: they keep their names, because state belongs to the name. */
  names?: ReadonlyMap<string, string>;
  /** Terraform files beyond which nothing is discovered (default 2,000). */
  maxFiles?: number;
}

/** By Terraform's and its users' conventions, what lies in these is used, tried or tested, but never run by itself. */
const NOT_ROOTS = new Set(['modules', 'examples', 'example', 'tests', 'fixtures', 'testdata']);

/**
 * Finds the root modules among the paths of a commit: the directories with Terraform files that no other directory
 * uses as a local module. Left out are hidden directories, and those in `modules`, `examples`, `example`, `tests`,
 * `fixtures` and `testdata` (though what they use is no root module either); `test` is kept, since it is as often an
 * environment. A file that could hold a module call and doesn't parse is a problem, and its directory remains a
 * candidate. In a repository with too many Terraform files nothing is discovered: files left unread would make every
 * module they use a workspace. `read` is asked for Terraform files only; what it throws is passed on.
 */
export async function discoverWorkspaces(
  files: readonly string[],
  read: (path: string) => Promise<string>,
  { names = new Map(), maxFiles = 2_000 }: DiscoveryOptions = {},
): Promise<Discovery> {
  const terraform = files.filter((path) => /\.tf(\.json)?$/.test(path) && !isHidden(path)).sort();
  if (terraform.length > maxFiles) {
    const message = `the repository has ${terraform.length} Terraform files, and root modules are looked for in up to ${maxFiles}: name your workspaces in ${SETTINGS_FILE}`;
    return { workspaces: [], problems: [{ path: SETTINGS_FILE, message }] };
  }
  const { calls, problems } = await moduleCalls(terraform, read);
  const used = new Set([...calls].flatMap(([directory, modules]) => [...modules].filter((m) => m !== directory)));
  const roots = [...calls.keys()].filter((directory) => !used.has(directory) && !isConventional(directory)).sort();
  const named = nameAll(roots, names);
  const workspaces = roots.map((directory) => {
    const settings = defaultSettings(named.get(directory) ?? directory, directory);
    settings.triggerPrefixes = reachable(directory, calls);
    return settings;
  });
  return { workspaces, problems };
}

/** Directory → the local modules that its files call. */
type Calls = Map<string, Set<string>>;

async function moduleCalls(paths: string[], read: (path: string) => Promise<string>) {
  const calls: Calls = new Map(paths.map((path) => [posix.dirname(path), new Set()]));
  const problems: DiscoveryProblem[] = [];
  const parser = new HclParser();
  try {
    for (const path of paths) {
      const text = await read(path);
      if (!mayCallModule(text)) continue;
      const parsed = path.endsWith('.json') ? parseJson(text) : await parser.parse(text);
      if ('error' in parsed) {
        const problem: DiscoveryProblem = { path, message: parsed.error };
        if (parsed.line !== undefined) problem.line = parsed.line;
        problems.push(problem);
        continue;
      }
      for (const source of sources(parsed.json)) {
        if (!/^\.\.?(\/|$)/.test(source)) continue;
        const directory = posix.join(posix.dirname(path), source).replace(/(?<=.)\/$/, '');
        calls.get(posix.dirname(path))?.add(directory);
      }
    }
  } finally {
    await parser.close();
  }
  return { calls, problems };
}

/** Most files call no local module, and parsing is what takes time. An escape could spell anything. */
function mayCallModule(text: string): boolean {
  return text.includes('\\u') || (text.includes('module') && text.includes('./'));
}

function parseJson(text: string): Parsed {
  try {
    return { json: JSON.parse(text.replace(/^\uFEFF/, '')) };
  } catch {
    return { error: 'is not valid JSON' };
  }
}

/** The sources in `{ module: { name: { source } } }`, where each level may also be a list. */
function sources(json: unknown): string[] {
  const blocks = objects(json).flatMap((file) => objects(file.module));
  const calls = blocks.flatMap((block) => Object.values(block)).flatMap(objects);
  return calls.map((call) => call.source).filter((source) => typeof source === 'string');
}

function objects(value: unknown): Record<string, unknown>[] {
  if (Array.isArray(value)) return value.flatMap(objects);
  return typeof value === 'object' && value !== null ? [value as Record<string, unknown>] : [];
}

/** What a directory uses, itself left out, and what lies in it (its own trigger already covers that). */
function reachable(root: string, calls: Calls): string[] {
  const seen = new Set([root]);
  for (const directory of seen) {
    for (const module of calls.get(directory) ?? []) if (!module.startsWith('..')) seen.add(module);
  }
  return [...seen].filter((module) => module !== root && root !== '.' && !module.startsWith(`${root}/`)).sort();
}

function isHidden(path: string): boolean {
  return path.split('/').some((segment) => segment.startsWith('.'));
}

function isConventional(directory: string): boolean {
  return directory.split('/').some((segment) => NOT_ROOTS.has(segment));
}

/**
 * `infra/network` is called `infra-network`, and the root `root`. Directories that would share a name, and those whose
 * name is reserved or too long, get a suffix of their own path's hash, which no other directory's coming or going
 * changes; names on record are never given to others.
 */
function nameAll(directories: string[], recorded: ReadonlyMap<string, string>): Map<string, string> {
  const plain = (directory: string) =>
    directory === '.' ? 'root' : directory.replaceAll('/', '-').replaceAll(/[^A-Za-z0-9_-]/gu, '-');
  const isNew = (directory: string) => !recorded.has(directory);
  const wanted = new Map<string, number>();
  const claims = [...directories.filter(isNew).map(plain), ...recorded.values()];
  for (const name of claims) wanted.set(name.toLowerCase(), (wanted.get(name.toLowerCase()) ?? 0) + 1);
  const name = (directory: string) => {
    const bare = plain(directory);
    const free = wanted.get(bare.toLowerCase()) === 1 && !isReservedName(bare) && bare.length <= MAX_NAME_LENGTH;
    if (free) return bare;
    const hash = createHash('sha256').update(directory).digest('hex').slice(0, 8);
    return `${bare.slice(0, MAX_NAME_LENGTH - hash.length - 1)}-${hash}`;
  };
  return new Map(directories.map((directory) => [directory, recorded.get(directory) ?? name(directory)]));
}
