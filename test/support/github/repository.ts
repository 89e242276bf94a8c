import { join } from 'node:path';
import pLimit from 'p-limit';
import type { Account } from './accounts.js';
import type { CheckRun, CheckSuite } from './checks.js';
import type { Comment } from './comments.js';
import { type GitOptions, git, tryGit } from './git.js';
import type { Json } from './http.js';
import { nodeId, timestamp } from './ids.js';
import type { LocalGitHub } from './local-github.js';
import type { Issue, Pull } from './pulls.js';
import type { CommitStatus } from './statuses.js';

export type Role = 'none' | 'read' | 'triage' | 'write' | 'maintain' | 'admin';

const ROLES: readonly Role[] = ['none', 'read', 'triage', 'write', 'maintain', 'admin'];

export function atLeast(role: Role, wanted: Role): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(wanted);
}

export interface RequiredCheck {
  name: string;
  /** Only this App's check counts. */
  appId?: number;
}

export interface Protection {
  checks: RequiredCheck[];
  /** Approving reviews that a merge needs. */
  reviews: number;
  /** 'Require branches to be up to date before merging'. */
  strict: boolean;
}

/** A repository: a real bare git repository in a directory, and what GitHub keeps beside it. */
export class Repository {
  readonly id: number;
  readonly createdAt = timestamp();
  pushedAt = timestamp();
  /** When what describes it was last changed: its name, owner, default branch. */
  updatedAt = timestamp();
  archived = false;
  readonly directory: string;
  readonly roles = new Map<string, Role>();
  readonly protections = new Map<string, Protection>();
  readonly issues = new Map<number, Issue>();
  readonly comments = new Map<number, Comment>();
  readonly suites: CheckSuite[] = [];
  readonly checkRuns: CheckRun[] = [];
  readonly statuses: CommitStatus[] = [];
  /** Changes of branches happen one at a time, with their events. Don't nest. */
  readonly exclusively = pLimit(1);

  constructor(
    readonly github: LocalGitHub,
    public owner: Account,
    public name: string,
    readonly isPrivate: boolean,
    public defaultBranch: string,
    readonly parent?: Repository,
  ) {
    this.id = github.ids.next();
    this.directory = join(github.directory, 'repositories', `${this.id}.git`);
  }

  get private(): boolean {
    return this.isPrivate;
  }

  get fullName(): string {
    return `${this.owner.login}/${this.name}`;
  }

  /** Address with a person's credentials in it, for the tests' own clones and pushes; without a login, bare. */
  cloneUrl(login?: string): string {
    const credentials = login ? `${login}:${this.github.token(login)}@` : '';
    return `http://${credentials}${this.github.host}/${this.fullName}.git`;
  }

  async setPermission(login: string, role: Role): Promise<void> {
    this.github.accounts.get(login);
    this.roles.set(login.toLowerCase(), role);
  }

  /** What a person may do here: owners are admin, an organisation's members read, collaborators as set. */
  roleOf(login: string): Role {
    const key = login.toLowerCase();
    const owns = this.owner.login.toLowerCase() === key || this.owner.members.get(key) === 'admin';
    if (owns) return 'admin';
    const given = this.roles.get(key);
    if (given && given !== 'none') return given;
    if (given === 'none' && this.private) return 'none';
    return this.owner.members.has(key) || !this.private ? 'read' : 'none';
  }

  /** Branch protection: these checks must succeed before a merge. */
  requireChecks(branch: string, checks: RequiredCheck[], options: { strict?: boolean } = {}): void {
    Object.assign(this.#protect(branch), { checks, strict: options.strict ?? false });
  }

  /** Branch protection: so many approving reviews before a merge. */
  requireReviews(branch: string, reviews: number): void {
    this.#protect(branch).reviews = reviews;
  }

  #protect(branch: string): Protection {
    const protection = this.protections.get(branch) ?? { checks: [], reviews: 0, strict: false };
    this.protections.set(branch, protection);
    return protection;
  }

  /** Runs git in the bare repository. */
  git(args: readonly string[], options?: GitOptions): Promise<string> {
    return git(this.directory, args, options);
  }

  /** The commit that a branch, tag, abbreviated or full SHA names. */
  async resolve(reference: string): Promise<string | undefined> {
    const full = /^[0-9a-f]{40}$/.test(reference);
    const qualified = reference.replace(/^(?=(?:heads|tags)\/)/, 'refs/');
    const names = full ? [reference] : [`refs/heads/${reference}`, `refs/tags/${reference}`, qualified];
    for (const name of names) {
      const args = ['rev-parse', '--verify', '--quiet', '--end-of-options', `${name}^{commit}`];
      const found = await tryGit(this.directory, args);
      if (found.code === 0) return found.stdout.toString().trim();
    }
    return undefined;
  }

  async head(branch: string): Promise<string | undefined> {
    return (await this.refs()).get(`refs/heads/${branch}`);
  }

  async refs(): Promise<Map<string, string>> {
    const lines = await this.git(['for-each-ref', '--format=%(refname) %(objectname)', 'refs/heads', 'refs/tags']);
    const pairs = lines.split('\n').filter(Boolean);
    return new Map(pairs.map((line) => line.split(' ') as [string, string]));
  }

  pull(number: number): Pull {
    const pull = this.issues.get(number)?.pull;
    if (!pull) throw new Error(`${this.fullName} has no pull request ${number}`);
    return pull;
  }

  pulls(): Pull[] {
    return [...this.issues.values()].flatMap((issue) => (issue.pull ? [issue.pull] : []));
  }
}

/** An event of the repository itself, as its owner brings it about. */
export function emitRepository(repository: Repository, action: string, payload: Json): void {
  const [owner] = [...repository.owner.members].find(([, role]) => role === 'admin') ?? [];
  const sender = owner ? repository.github.accounts.get(owner) : repository.owner;
  repository.github.webhooks.emit({ event: 'repository', action, repository, sender, payload });
}

/** GitHub's own words for a repository; `full` adds what only `GET /repos/…` shows. */
export function repositoryJson(repository: Repository, full = false): Json {
  const { github, fullName } = repository;
  const api = `${github.api}/repos/${fullName}`;
  const html = `${github.url}/${fullName}`;
  const json: Json = {
    id: repository.id,
    node_id: nodeId('Repository', repository.id),
    name: repository.name,
    full_name: fullName,
    private: repository.private,
    owner: github.accounts.json(repository.owner),
    html_url: html,
    description: null,
    fork: repository.parent !== undefined,
    url: api,
    ...urls(api),
    created_at: repository.createdAt,
    updated_at: repository.updatedAt,
    pushed_at: repository.pushedAt,
    git_url: `git://${github.host}/${fullName}.git`,
    ssh_url: `git@${github.host}:${fullName}.git`,
    clone_url: `${html}.git`,
    svn_url: html,
    homepage: null,
    size: 1,
    stargazers_count: 0,
    watchers_count: 0,
    language: 'HCL',
    has_issues: true,
    has_projects: true,
    has_downloads: true,
    has_wiki: true,
    has_pages: false,
    has_discussions: false,
    forks_count: 0,
    mirror_url: null,
    archived: repository.archived,
    disabled: false,
    open_issues_count: [...repository.issues.values()].filter((issue) => issue.state === 'open').length,
    license: null,
    allow_forking: true,
    is_template: false,
    web_commit_signoff_required: false,
    topics: [],
    visibility: repository.private ? 'private' : 'public',
    forks: 0,
    open_issues: 0,
    watchers: 0,
    default_branch: repository.defaultBranch,
  };
  if (!full) return json;
  return {
    ...json,
    network_count: 0,
    subscribers_count: 0,
    temp_clone_token: null,
    ...(repository.owner.type === 'Organization' ? { organization: github.accounts.json(repository.owner) } : {}),
    ...(repository.parent
      ? { parent: repositoryJson(repository.parent), source: repositoryJson(repository.parent) }
      : {}),
  };
}

function urls(api: string): Json {
  const templates: Record<string, string> = {
    archive: '/{archive_format}{/ref}',
    assignees: '{/user}',
    blobs: '/git/blobs{/sha}',
    branches: '{/branch}',
    collaborators: '{/collaborator}',
    comments: '{/number}',
    commits: '{/sha}',
    compare: '/{base}...{head}',
    contents: '/{+path}',
    git_commits: '/git/commits{/sha}',
    git_refs: '/git/refs{/sha}',
    git_tags: '/git/tags{/sha}',
    issue_comment: '/issues/comments{/number}',
    issue_events: '/issues/events{/number}',
    issues: '{/number}',
    keys: '{/key_id}',
    labels: '{/name}',
    milestones: '{/number}',
    notifications: '{?since,all,participating}',
    pulls: '{/number}',
    releases: '{/id}',
    statuses: '/statuses/{sha}',
    trees: '/git/trees{/sha}',
  };
  const plain = ['contributors', 'deployments', 'downloads', 'events', 'forks', 'hooks', 'languages', 'merges'];
  const json: Json = {};
  for (const name of [...plain, 'stargazers', 'subscribers', 'subscription', 'tags', 'teams'])
    json[`${name}_url`] = `${api}/${name}`;
  for (const [name, rest] of Object.entries(templates)) {
    json[`${name}_url`] = rest.startsWith('/') && !rest.startsWith('/{') ? `${api}${rest}` : `${api}/${name}${rest}`;
  }
  return json;
}
