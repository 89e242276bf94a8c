import { randomBytes } from 'node:crypto';
import { access, mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import pLimit, { type LimitFunction } from 'p-limit';
import type { Log } from '../log.js';
import { discardRepository, ensureRepository, removeStaleLock } from './bare-repository.js';
import { type Checkout, checkSize, warningsOf, writeFiles } from './checkout.js';
import { fetchFailure, lockHeld, saysCorrupt } from './fetch-failure.js';
import { GitCommand, GitExit, gitEnvironment } from './git-command.js';
import { GitUnavailable, PathUnreadable, RepositoryGone } from './git-error.js';
import { MirrorUse } from './mirror-use.js';
import type { MirrorOnDisk } from './mirrors-on-disk.js';
import { differingPaths, listTree, resolveFiles, type TreeEntry, treeOf } from './tree.js';

export interface MirrorsOptions {
  /** Where the mirrors are kept. */
  directory: string;
  /** Base address of GitHub, without a slash at its end. */
  githubUrl: string;
  /** A token that may read the repository. What it throws is passed on. */
  tokenFor: (repositoryId: number) => Promise<string>;
  /** GitHub has refused the token: the next one shall be a new one. */
  forgetToken?: (repositoryId: number) => Promise<void>;
  log: Log;
  /** A fetch that takes longer is given up, in ms. */
  fetchTimeoutMs?: number;
  /** Where PATH and proxies are looked up. Default: this process' own. */
  environment?: Readonly<Record<string, string | undefined>>;
}

/** A repository as GitHub names it today. */
export interface MirroredRepository {
  id: number;
  owner: string;
  name: string;
}

const FETCH_TIMEOUT_MS = 5 * 60_000;
const READ_TIMEOUT_MS = 60_000;
/** How long another process' work on the same mirror is waited for, in ms. */
const LOCK_PATIENCE_MS = 2 * 60_000;

/** Bare repositories that hold the commits which runs are locked to: those and nothing of their history. */
export class Mirrors {
  readonly #options: MirrorsOptions;
  /** Fetches into one mirror take turns. */
  readonly #turns = new Map<number, LimitFunction>();
  readonly #listings = new Listings();
  readonly #use = new MirrorUse();

  constructor(options: MirrorsOptions) {
    this.#options = options;
  }

  of({ id, owner, name }: MirroredRepository): Mirror {
    const turns = this.#turns.get(id) ?? pLimit(1);
    this.#turns.set(id, turns);
    return new Mirror(this.#options, { id, owner, name }, turns, this.#listings, this.#use);
  }

  /**
   * Removes a mirror, unless it is in use or was within `ms`: it is made anew when it is needed again. Yields whether it
   * was removed.
   */
  remove({ id, directory }: MirrorOnDisk, ms: number): Promise<boolean> {
    return this.#use.remove(id, ms, () => discardRepository(directory));
  }
}

/** How many commits' listings are remembered, and how long they may be for that. */
const LISTINGS = 16;
const LONGEST_LISTING = 5_000;

/**
 * What the commits that were listed last consist of, which never changes: a run's commit is listed for its settings, and
 * soon after for its checkout. To start a git costs several ms in which this process does nothing else.
 */
class Listings {
  readonly #known = new Map<string, TreeEntry[]>();

  async of(repository: number, sha: string, list: () => Promise<TreeEntry[]>): Promise<readonly TreeEntry[]> {
    const key = `${repository} ${sha}`;
    const known = this.#known.get(key) ?? (await list());
    this.#known.delete(key);
    if (known.length <= LONGEST_LISTING) this.#known.set(key, known);
    const [oldest] = this.#known.keys();
    if (this.#known.size > LISTINGS && oldest !== undefined) this.#known.delete(oldest);
    return known;
  }
}

/**
 * One repository's mirror. Every method brings the commits it needs; a mirror whose files are damaged is made anew,
 * once. Throws what `git-error.ts` has.
 */
export class Mirror {
  readonly #options: MirrorsOptions;
  readonly #repository: MirroredRepository;
  readonly #fullName: string;
  readonly #turns: LimitFunction;
  readonly #directory: string;
  readonly #home: string;
  readonly #git: GitCommand;
  readonly #listings: Listings;
  readonly #use: MirrorUse;

  constructor(
    options: MirrorsOptions,
    repository: MirroredRepository,
    turns: LimitFunction,
    listings: Listings,
    use: MirrorUse,
  ) {
    this.#options = options;
    this.#use = use;
    this.#listings = listings;
    this.#repository = repository;
    this.#fullName = `${repository.owner}/${repository.name}`;
    this.#turns = turns;
    this.#directory = join(options.directory, `${repository.id}.git`);
    this.#home = join(options.directory, 'home');
    this.#git = this.#commandIn(this.#directory);
  }

  /** Brings these commits, whatever branch they are or were on, without their history. Those that are here cost nothing. */
  async fetch(shas: readonly string[]): Promise<void> {
    await this.#whole(shas, async () => undefined);
  }

  /** Paths of the commit's files, symlinks to files of the same commit among them; submodules are none. */
  async files(sha: string): Promise<string[]> {
    return this.#whole([sha], async () => {
      const entries = await this.#list(sha);
      const links = entries.filter(({ kind }) => kind === 'symlink').map(({ path }) => path);
      const resolved = links.length === 0 ? [] : await resolveFiles(this.#git, sha, links);
      const broken = new Set(links.filter((_, index) => 'problem' in (resolved[index] ?? { problem: '' })));
      return entries.filter(({ kind, path }) => kind !== 'submodule' && !broken.has(path)).map(({ path }) => path);
    });
  }

  /** Everything that the commit has, with its kind. */
  async entries(sha: string): Promise<readonly TreeEntry[]> {
    return this.#whole([sha], () => this.#list(sha));
  }

  /** A file's content; a symlink within the commit is followed. Throws PathUnreadable. */
  async read(sha: string, path: string, maxBytes: number): Promise<Buffer> {
    return this.#whole([sha], async () => {
      const [found] = await resolveFiles(this.#git, sha, [path]);
      if (found === undefined || 'problem' in found) {
        throw new PathUnreadable(path, found?.problem ?? 'there is no such file');
      }
      if (found.size > maxBytes) {
        throw new PathUnreadable(path, `it has ${found.size} bytes, and ${maxBytes} are the limit`);
      }
      return this.#git.bytes(['blob', found.object], { timeoutMs: READ_TIMEOUT_MS });
    });
  }

  /** Paths in which two commits differ, whatever lies between them; a renamed file by both its names. */
  async changedPaths(fromSha: string, toSha: string): Promise<string[]> {
    return this.#whole([fromSha, toSha], () => differingPaths(this.#git, fromSha, toSha));
  }

  /** git's hash over a directory and everything in it; `.` is the whole commit. Throws PathUnreadable. */
  async tree(sha: string, directory: string): Promise<string> {
    const tree = await this.#whole([sha], () => treeOf(this.#git, sha, directory));
    if (tree === undefined) throw new PathUnreadable(directory, 'there is no such directory');
    return tree;
  }

  async hasDirectory(sha: string, directory: string): Promise<boolean> {
    if (directory === '.') return true;
    // git knows no empty directories.
    return (await this.entries(sha)).some(({ path }) => path.startsWith(`${directory}/`));
  }

  /** Writes the commit's files into an empty directory. Throws CommitRefused for what must not be written. */
  async checkout(sha: string, directory: string): Promise<Checkout> {
    return this.#whole([sha], async () => {
      const entries = await this.#list(sha);
      checkSize(entries);
      const index = join(this.#options.directory, `${this.#repository.id}.index-${randomBytes(6).toString('hex')}`);
      await writeFiles(sha, directory, index, this.#environment(this.#directory));
      return { warnings: warningsOf(entries) };
    });
  }

  #whole<T>(shas: readonly string[], use: () => Promise<T>): Promise<T> {
    return this.#use.during(this.#repository.id, this.#directory, () => this.#mended(shas, use));
  }

  /** Does something with commits that are here; where the mirror turns out to be damaged, with a new one. */
  async #mended<T>(shas: readonly string[], use: () => Promise<T>): Promise<T> {
    const attempt = async () => {
      if (!(await this.#hasAll(shas))) await this.#turns(() => this.#fetchMissing(shas));
      return use();
    };
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof GitExit)) throw error;
      if (!saysCorrupt(error.stderr)) throw error.toError();
      this.#options.log.warn(
        { repository: this.#fullName, git: error.stderr.slice(-500) },
        'A damaged mirror is made anew',
      );
    }
    await this.#turns(() => discardRepository(this.#directory));
    try {
      return await attempt();
    } catch (error) {
      throw error instanceof GitExit ? error.toError() : error;
    }
  }

  async #fetchMissing(shas: readonly string[]): Promise<void> {
    await mkdir(this.#home, { recursive: true, mode: 0o700 });
    await ensureRepository(this.#directory, (directory) => this.#commandIn(directory));
    const deadline = Date.now() + LOCK_PATIENCE_MS;
    let refused = false;
    for (let pause = 50; ; pause = Math.min(pause * 2, 1_000)) {
      const missing = await this.#missing(shas);
      if (missing.length === 0) return;
      try {
        return await this.#fetchOnce(missing);
      } catch (error) {
        if (!(error instanceof GitExit)) throw error;
        const lock = lockHeld(error.stderr);
        if (lock === undefined) {
          const failure = fetchFailure(error, this.#fullName);
          // An App that was installed anew has new tokens, though the old ones haven't expired.
          if (!(failure instanceof RepositoryGone) || refused) throw failure ?? error;
          refused = true;
          await this.#options.forgetToken?.(this.#repository.id);
          continue;
        }
        if (Date.now() > deadline) throw new GitUnavailable(this.#fullName, 'another process keeps its mirror locked');
        if (lock.file !== undefined) await removeStaleLock(lock.file, 2 * this.#fetchTimeoutMs);
        await new Promise((resolve) => setTimeout(resolve, pause * (0.5 + Math.random())));
      }
    }
  }

  /** The token goes by the environment: arguments can be seen by every process, URLs end up in files and messages. */
  async #fetchOnce(shas: readonly string[]): Promise<void> {
    const { githubUrl, tokenFor } = this.#options;
    const { id, owner, name } = this.#repository;
    const token = await tokenFor(id);
    const basic = Buffer.from(`x-access-token:${token}`).toString('base64');
    const url = `${githubUrl}/${encodeURIComponent(owner)}/${encodeURIComponent(name)}.git`;
    const refs = shas.map((sha) => `${sha}:refs/signalbox/${sha}`);
    // Without --quiet: simple-git waits for 50 ms after a command that prints nothing.
    const flags = [
      '--depth=1',
      '--no-tags',
      '--no-write-fetch-head',
      '--no-recurse-submodules',
      '--no-auto-maintenance',
    ];
    await this.#git.text(['fetch', ...flags, url, ...refs], {
      timeoutMs: this.#fetchTimeoutMs,
      environment: {
        GIT_CONFIG_COUNT: '1',
        GIT_CONFIG_KEY_0: `http.${new URL(githubUrl).origin}/.extraHeader`,
        GIT_CONFIG_VALUE_0: `AUTHORIZATION: basic ${basic}`,
      },
    });
  }

  async #hasAll(shas: readonly string[]): Promise<boolean> {
    return (await this.#missing(shas)).length === 0;
  }

  /** A ref is written when its commit is here with all its files. Refs are never packed here: a file each. */
  async #missing(shas: readonly string[]): Promise<string[]> {
    const distinct = [...new Set(shas)];
    const odd = distinct.find((sha) => !/^([0-9a-f]{40}|[0-9a-f]{64})$/.test(sha));
    if (odd !== undefined) throw new TypeError(`${JSON.stringify(odd)} is not the SHA of a commit.`);
    const present = await Promise.all(
      distinct.map((sha) =>
        access(join(this.#directory, 'refs', 'signalbox', sha)).then(
          () => true,
          () => false,
        ),
      ),
    );
    return distinct.filter((_, index) => !present[index]);
  }

  #list(sha: string): Promise<readonly TreeEntry[]> {
    return this.#listings.of(this.#repository.id, sha, () => listTree(this.#git, sha));
  }

  get #fetchTimeoutMs(): number {
    return this.#options.fetchTimeoutMs ?? FETCH_TIMEOUT_MS;
  }

  #commandIn(directory: string): GitCommand {
    return new GitCommand(this.#options.directory, this.#environment(directory));
  }

  #environment(directory: string): Record<string, string> {
    return gitEnvironment(directory, this.#home, this.#options.environment ?? process.env);
  }
}

export { CommitGone, DiskFull, GitUnavailable, RepositoryGone } from './git-error.js';
