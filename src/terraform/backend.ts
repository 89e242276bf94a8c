import { constants } from 'node:fs';
import { lstat, open, readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { parse } from '@cdktf/hcl2json';
import { readUntrusted } from './untrusted-file.js';

/**
 * Where a configuration wants its state.
 * - `none`: it says nothing, or `local`: the state is ours to keep
 * - `own`: it names a backend (or `cloud`), which is respected
 * - `unknown`: a file can't be parsed. `init` without an override says why; should it succeed, the run must not go on.
 */
export type DeclaredBackend =
  | { kind: 'none' }
  | { kind: 'own'; type: string; file: string }
  | { kind: 'unknown'; file: string; message: string };

/** The override file could not be put where it counts. */
export class BackendOverrideError extends Error {
  override name = 'BackendOverrideError';
}

/** After `init`, the state would go somewhere else than we said. */
export class BackendMismatchError extends Error {
  override name = 'BackendMismatchError';
}

/** A path of the repository leads out of it. */
export class UnsafePathError extends Error {
  override name = 'UnsafePathError';
}

const OVERRIDE_NAME = 'signalbox_override.tf.json';
const OVERRIDE = '{"terraform":{"backend":{"http":{}}}}\n';
/** What file systems allow, in bytes. */
const LONGEST_NAME = 255;
/** No person writes longer ones, in bytes. */
const LARGEST_CONFIGURATION = 16 * 1024 * 1024;

/**
 * Finds out which backend the root module at `directory` names. What an override file says doesn't count.
 *
 * @param root the checkout: files that lead out of it are not read
 */
export async function detectBackend(directory: string, root: string = directory): Promise<DeclaredBackend> {
  const entries = await readdir(directory, { withFileTypes: true });
  const names = entries.filter((entry) => !entry.isDirectory()).map((entry) => entry.name);
  for (const file of names.filter((name) => isConfiguration(name) && !isOverride(name)).sort()) {
    let text: string;
    try {
      text = await readConfiguration(join(directory, file), root);
    } catch (error) {
      return { kind: 'unknown', file, message: (error as Error).message };
    }
    // An identifier can't be escaped in HCL: a file without these words has no such block. JSON can escape anything.
    if (file.endsWith('.tf') && !/backend|cloud/.test(text)) continue;
    try {
      const content: unknown = file.endsWith('.json') ? JSON.parse(text) : await parse(file, text);
      const type = backendIn(content);
      if (type !== undefined && type !== 'local') return { kind: 'own', type, file };
    } catch (error) {
      return { kind: 'unknown', file, message: (error as Error).message };
    }
  }
  return { kind: 'none' };
}

/**
 * Makes the `http` backend the one that counts, by an override file that Terraform reads after every other one.
 *
 * @param directory the root module
 * @param root the checkout, which `directory` must not lead out of
 * @returns the file's name
 * @throws UnsafePathError when it does, BackendOverrideError when there is no name left that sorts last
 */
export async function writeBackendOverride(directory: string, root: string = directory): Promise<string> {
  const place = await containedPath(directory, root);
  const name = lastOverrideName(await readdir(place, { encoding: 'buffer' }));
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const file = await open(join(place, name), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
  try {
    await file.writeFile(OVERRIDE);
  } finally {
    await file.close();
  }
  return name;
}

/**
 * A name for an override file that sorts after all others. Terraform merges override files in the order of their names, compared
 * byte by byte (Go's order of strings), whatever their ending.
 *
 * @param present the names of everything in the directory, as bytes
 * @throws BackendOverrideError when there is none
 */
export function lastOverrideName(present: readonly Buffer[]): string {
  const last = present.reduce((a, b) => (Buffer.compare(a, b) >= 0 ? a : b), Buffer.alloc(0));
  const text = last.toString('utf8');
  const [first] = text;
  const next = first === undefined ? undefined : nextCharacter(first);
  const candidates = [OVERRIDE_NAME, `~${OVERRIDE_NAME}`, `${text}_override.tf.json`, `${next}${OVERRIDE_NAME}`];
  const name = candidates.find((candidate) => {
    const bytes = Buffer.from(candidate);
    return bytes.length <= LONGEST_NAME && Buffer.compare(bytes, last) > 0;
  });
  if (name === undefined) {
    throw new BackendOverrideError(`No file name sorts after "${text}": rename that file.`);
  }
  return name;
}

/**
 * Checks what `init` made of the backend: ours, with nothing in it that the repository said.
 *
 * @throws BackendMismatchError
 */
export async function checkBackend(directory: string): Promise<void> {
  const path = join(directory, '.terraform', 'terraform.tfstate');
  const text = await readUntrusted(path).catch(() => undefined);
  if (text === undefined) throw new BackendMismatchError('Terraform has not set up the http backend.');
  const { backend } = JSON.parse(text.toString()) as { backend?: { type?: unknown; config?: Record<string, unknown> } };
  if (backend?.type !== 'http') {
    throw new BackendMismatchError(`Terraform would keep the state in "${String(backend?.type)}", not with us.`);
  }
  const set = Object.entries(backend.config ?? {}).filter(([, value]) => value !== null);
  if (set.length > 0) {
    throw new BackendMismatchError(`The repository configures our backend: ${set.map(([name]) => name).join(', ')}.`);
  }
  const environment = await readUntrusted(join(directory, '.terraform', 'environment')).catch(() => {
    throw new BackendMismatchError("Which Terraform workspace is selected can't be read.");
  });
  const selected = environment?.toString() ?? 'default';
  if (selected.trim() !== 'default') {
    throw new BackendMismatchError(`The repository selects the Terraform workspace "${selected.trim()}".`);
  }
}

/**
 * Removes from a fresh checkout what Terraform leaves behind and would take for its own: `.terraform`, `errored.tfstate`,
 * `terraform.tfstate` and its backup. With a state file beside it, `init` stops and asks whether to migrate it.
 *
 * @returns the names of what was there: a state file among them deserves a word to the user
 * @throws UnsafePathError when `directory` leads out of `root`
 */
export async function clearLeftovers(directory: string, root: string = directory): Promise<string[]> {
  const place = await containedPath(directory, root);
  const removed: string[] = [];
  for (const name of [
    '.terraform',
    '.terraform.tfstate.lock.info',
    'errored.tfstate',
    'terraform.tfstate',
    'terraform.tfstate.backup',
    'terraform.tfstate.d',
  ]) {
    const path = join(place, name);
    if ((await lstat(path).catch(() => undefined)) === undefined) continue;
    await rm(path, { recursive: true, force: true });
    removed.push(name);
  }
  return removed;
}

/** Reads a file that a stranger may have put there: a link to a device, say, would never end. */
async function readConfiguration(path: string, root: string): Promise<string> {
  const place = await containedPath(path, root);
  const { size, isFile } = await stat(place).then((found) => ({ size: found.size, isFile: found.isFile() }));
  if (!isFile || size > LARGEST_CONFIGURATION) throw new Error('This is not a file of ordinary size.');
  return readFile(place, 'utf8');
}

async function containedPath(directory: string, root: string): Promise<string> {
  const [place, limit] = await Promise.all([realpath(directory), realpath(root)]);
  if (place !== limit && !place.startsWith(limit + sep)) {
    throw new UnsafePathError(`${directory} leads out of the repository.`);
  }
  return place;
}

function isConfiguration(name: string): boolean {
  if (name.startsWith('.') || name.endsWith('~') || (name.startsWith('#') && name.endsWith('#'))) return false;
  return name.endsWith('.tf') || name.endsWith('.tf.json');
}

function isOverride(name: string): boolean {
  const base = name.replace(/\.tf(\.json)?$/, '');
  return base === 'override' || base.endsWith('_override');
}

/** The backend's type in one parsed file; blocks are objects or lists of objects, in JSON as in converted HCL. */
function backendIn(content: unknown): string | undefined {
  for (const terraform of blocks(content, 'terraform')) {
    if (blocks(terraform, 'cloud').length > 0) return 'cloud';
    for (const backend of blocks(terraform, 'backend')) {
      const [type] = Object.keys(backend);
      if (type !== undefined) return type;
    }
  }
  return undefined;
}

function blocks(parent: unknown, name: string): Record<string, unknown>[] {
  const items = Array.isArray(parent) ? parent : [parent];
  return items.flatMap((item) => {
    const value = isRecord(item) ? item[name] : undefined;
    return (Array.isArray(value) ? value : [value]).filter(isRecord);
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function nextCharacter(character: string): string {
  const point = (character.codePointAt(0) ?? 0) + 1;
  return String.fromCodePoint(point >= 0xd800 && point < 0xe000 ? 0xe000 : Math.min(point, 0x10ffff));
}
