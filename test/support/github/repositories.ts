import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Account } from './accounts.js';
import { git } from './git.js';
import { timestamp } from './ids.js';
import type { LocalGitHub } from './local-github.js';
import { Repository } from './repository.js';

export interface RepositoryOptions {
  owner: string;
  name: string;
  private?: boolean;
  /** Default: main. */
  defaultBranch?: string;
  /** Whether the App is installed on it. */
  install?: boolean;
}

/**
 * As GitHub's git serves: any commit by its SHA, partial clones; pull requests' refs can't be pushed to; the default
 * branch can't be deleted (git's own default). Without fsync, since nothing here outlives a test.
 */
const CONFIG = `[core]
\trepositoryformatversion = 0
\tbare = true
\tfsync = none
[gc]
\tauto = 0
[http]
\treceivepack = true
[uploadpack]
\tallowAnySHA1InWant = true
\tallowFilter = true
[receive]
\tautogc = false
\thideRefs = refs/pull
`;

/** All repositories. Renamed ones are found by their old names too. */
export class Repositories {
  readonly #byName = new Map<string, Repository>();
  readonly #all = new Set<Repository>();

  constructor(private readonly github: LocalGitHub) {}

  values(): Iterable<Repository> {
    return this.#all;
  }

  find(owner: string, name: string): Repository | undefined {
    return this.#byName.get(`${owner}/${name}`.toLowerCase());
  }

  byId(id: number): Repository | undefined {
    return [...this.#all].find((repository) => repository.id === id);
  }

  async create(options: RepositoryOptions): Promise<Repository> {
    const owner = this.github.accounts.get(options.owner);
    const { name, private: isPrivate = false, defaultBranch = 'main' } = options;
    return this.#add(new Repository(this.github, owner, name, isPrivate, defaultBranch));
  }

  async fork(parent: Repository, owner: Account, name: string): Promise<Repository> {
    const fork = new Repository(this.github, owner, name, parent.private, parent.defaultBranch, parent);
    await this.#add(fork);
    await fork.git(['fetch', '--quiet', parent.directory, '+refs/heads/*:refs/heads/*', '+refs/tags/*:refs/tags/*']);
    return fork;
  }

  /** The old name redirects: 301 in REST, and git follows it silently. */
  rename(repository: Repository, name: string): void {
    repository.name = name;
    this.#renamed(repository);
  }

  /** To another owner. The old address redirects. */
  transfer(repository: Repository, owner: Account): void {
    repository.owner = owner;
    this.#renamed(repository);
  }

  delete(repository: Repository): void {
    this.#all.delete(repository);
    for (const [key, each] of this.#byName) if (each === repository) this.#byName.delete(key);
  }

  #renamed(repository: Repository): void {
    repository.updatedAt = timestamp();
    this.#byName.set(repository.fullName.toLowerCase(), repository);
  }

  async #add(repository: Repository): Promise<Repository> {
    const key = repository.fullName.toLowerCase();
    if (this.#byName.has(key)) throw new Error(`there is a repository ${repository.fullName} already`);
    this.#byName.set(key, repository);
    await mkdir(join(repository.directory, '..'), { recursive: true });
    const branch = `--initial-branch=${repository.defaultBranch}`;
    await git(this.github.directory, ['init', '--quiet', '--bare', '--template=', branch, repository.directory]);
    await writeFile(join(repository.directory, 'config'), CONFIG);
    this.#all.add(repository);
    return repository;
  }
}
