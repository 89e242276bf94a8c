import { randomBytes } from 'node:crypto';
import { access, mkdir, readdir, readlink, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import type { GitCommand } from './git-command.js';

/**
 * Nothing that a repository brings with it runs a program or reads a file of ours: no hooks, no filters, no credential
 * helpers, no protocol but HTTP. `export-ignore` and the like can't hide or change files. Clean-up is left to whoever
 * knows that nobody works here.
 */
const CONFIG = `[core]
\trepositoryformatversion = 0
\tbare = true
\thooksPath = /dev/null
\tfsmonitor = false
\tattributesFile = /dev/null
\texcludesFile = /dev/null
\taskPass =
\tprotectHFS = true
\tprotectNTFS = true
\tsymlinks = true
\tlogAllRefUpdates = false
[protocol]
\tallow = never
[protocol "https"]
\tallow = always
[protocol "http"]
\tallow = always
[credential]
\thelper =
[gc]
\tauto = 0
[maintenance]
\tauto = false
[http]
\tlowSpeedLimit = 100
\tlowSpeedTime = 60
`;
const ATTRIBUTES = '* -export-ignore -export-subst -filter\n';

const INIT_TIMEOUT_MS = 30_000;
/** A lock this young may belong to somebody whom we can't see. In ms. */
const YOUNG_LOCK_MS = 5_000;

/** Makes the bare repository at `directory` if there is none. It appears whole: several processes may do so at once. */
export async function ensureRepository(directory: string, commandIn: (directory: string) => GitCommand): Promise<void> {
  if (await exists(join(directory, 'HEAD'))) return;
  const draft = `${directory}.new-${randomBytes(6).toString('hex')}`;
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    await commandIn(draft).text(['init', '--bare', '--template='], { timeoutMs: INIT_TIMEOUT_MS });
    await writeFile(join(draft, 'config'), CONFIG);
    await mkdir(join(draft, 'info'), { recursive: true });
    await writeFile(join(draft, 'info', 'attributes'), ATTRIBUTES);
    // Over something that is there but isn't a repository, rename fails: that is what the next line is for.
    await rename(draft, directory).catch(async (error) => {
      if (await exists(join(directory, 'HEAD'))) return;
      if (!(await exists(directory))) throw error;
      await discardRepository(directory);
      await rename(draft, directory);
    });
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
}

/** Takes the repository away in one step, whatever is in it, then removes it. */
export async function discardRepository(directory: string): Promise<void> {
  const discarded = `${directory}.discarded-${randomBytes(6).toString('hex')}`;
  try {
    await rename(directory, discarded);
  } catch (error) {
    // Somebody else was quicker.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  await rm(discarded, { recursive: true, force: true });
}

/**
 * Removes a lock file that a git command left behind when it was killed: nobody on this machine has it open, which a
 * living holder has. Where that can't be seen, only its age counts: `oldMs` is longer than any command may take.
 */
export async function removeStaleLock(file: string, oldMs: number): Promise<boolean> {
  const found = await stat(file).catch(() => undefined);
  if (found === undefined) return true;
  const age = Date.now() - found.mtimeMs;
  if (age < YOUNG_LOCK_MS) return false;
  if (age < oldMs && (await isOpen(file)) !== false) return false;
  await rm(file, { force: true });
  return true;
}

/** Whether any process has the file open; undefined where there is no /proc to ask. */
async function isOpen(file: string): Promise<boolean | undefined> {
  const processes = await readdir('/proc').catch(() => []);
  const pids = processes.filter((name) => /^\d+$/.test(name));
  if (pids.length === 0) return undefined;
  const path = resolve(file);
  for (const pid of pids) {
    // Of processes of other users the links can't be read; nor can those touch the mirror.
    const descriptors = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const targets = await Promise.all(descriptors.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => '')));
    if (targets.includes(path)) return true;
  }
  return false;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
