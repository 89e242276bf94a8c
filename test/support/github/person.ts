import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Account } from './accounts.js';
import { type CheckRun, emitSuite, pressAction, rerequestRun } from './checks.js';
import { type Comment, createComment, deleteComment, editComment, react } from './comments.js';
import { git, tryGit } from './git.js';
import type { LocalGitHub } from './local-github.js';
import { type MergeGroup, type MergeMethod, mergePull, queueMerge } from './merging.js';
import {
  closePull,
  editPull,
  type Issue,
  markReady,
  newIssue,
  openPull,
  type Pull,
  type PullOptions,
  type Review,
  type ReviewState,
  reopenPull,
  review,
} from './pulls.js';
import { updateRefs, ZERO } from './pushes.js';
import { atLeast, type Repository, type Role } from './repository.js';

/** A file's content; null deletes it; an object sets its mode too (`120000` is a symbolic link). */
export type FileChange = string | Buffer | null | { content: string | Buffer; mode: '100644' | '100755' | '120000' };

export interface CommitOptions {
  message?: string;
  files?: Record<string, FileChange>;
}

export interface PushOptions extends CommitOptions {
  /** Default: the default branch. */
  branch?: string;
  /** What the commits are made on: a branch or a SHA. Default: the branch, or the default branch where it is new. */
  from?: string;
  force?: boolean;
  /** Several commits in one push, in place of `message` and `files`. */
  commits?: CommitOptions[];
}

/** A pull request as tests handle it: a live view, which follows what happens. */
export interface PullHandle {
  readonly number: number;
  readonly headSha: string;
  readonly pull: Pull;
}

/** A person who works with GitHub's pages and with git. */
export class Person {
  constructor(
    private readonly github: LocalGitHub,
    readonly account: Account,
  ) {}

  get login(): string {
    return this.account.login;
  }

  /** Commits files without a checkout and pushes them with `git push` over HTTP. Answers the head's SHA. */
  async push(repository: Repository, options: PushOptions): Promise<string> {
    const branch = options.branch ?? repository.defaultBranch;
    const base = await this.#base(repository, branch, options.from);
    const scratch = await this.#scratch(repository, base);
    const commits = options.commits ?? [{ message: options.message ?? 'Change files', files: options.files ?? {} }];
    const sha = commits.length === 0 && base ? base : await this.#import(scratch, base, commits);
    const force = options.force ? ['--force'] : [];
    await git(scratch, ['push', '--quiet', ...force, repository.cloneUrl(this.login), `${sha}:refs/heads/${branch}`]);
    return sha;
  }

  /** Pushes a tag on a branch's head or a commit. */
  async pushTag(repository: Repository, tag: string, of: string = repository.defaultBranch): Promise<void> {
    const sha = await repository.resolve(of);
    if (!sha) throw new Error(`${repository.fullName} has no ${of}`);
    const scratch = await this.#scratch(repository, sha);
    await git(scratch, ['push', '--quiet', repository.cloneUrl(this.login), `${sha}:refs/tags/${tag}`]);
  }

  /** Deletes a branch with `git push --delete`. */
  async pushDeletion(repository: Repository, branch: string): Promise<void> {
    const scratch = await this.#scratch(repository, undefined);
    await git(scratch, ['push', '--quiet', repository.cloneUrl(this.login), `:refs/heads/${branch}`]);
  }

  /** Deletes a branch with the button. */
  async deleteBranch(repository: Repository, branch: string): Promise<void> {
    this.#mustHave(repository, 'write');
    const before = await repository.head(branch);
    if (!before) throw new Error(`${repository.fullName} has no branch ${branch}`);
    const change = { ref: `refs/heads/${branch}`, before, after: ZERO };
    await repository.exclusively(() => updateRefs(repository, this.account, [change]));
  }

  /** A fork under this person's login. The App is not installed there. */
  async fork(repository: Repository, name = repository.name): Promise<Repository> {
    this.#mustHave(repository, 'read');
    return this.github.forkRepository(repository, this.account, name);
  }

  async openPullRequest(repository: Repository, options: PullOptions): Promise<PullHandle> {
    this.#mustHave(repository, 'read');
    const pull = await openPull(repository, this.account, options);
    return {
      number: pull.issue.number,
      pull,
      get headSha() {
        return pull.headSha;
      },
    };
  }

  async openIssue(repository: Repository, title: string, body = ''): Promise<Issue> {
    return newIssue(repository, this.account, title, body);
  }

  /** `createdAt` backdates it: a comment from an outage. */
  async comment(
    repository: Repository,
    number: number,
    body: string,
    options: { createdAt?: string } = {},
  ): Promise<Comment> {
    this.#mustHave(repository, 'read');
    const issue = repository.issues.get(number);
    if (!issue) throw new Error(`${repository.fullName} has no issue or pull request ${number}`);
    return createComment(repository, issue, this.account, body, null, options.createdAt);
  }

  async editComment(repository: Repository, comment: Comment, body: string): Promise<void> {
    editComment(repository, comment, this.account, body);
  }

  async deleteComment(repository: Repository, comment: Comment): Promise<void> {
    deleteComment(repository, comment, this.account);
  }

  async react(repository: Repository, comment: Comment, content: string): Promise<void> {
    react(repository, comment, this.account, content);
  }

  async review(repository: Repository, number: number, state: ReviewState, body = ''): Promise<Review> {
    this.#mustHave(repository, 'read');
    return review(repository.pull(number), this.account, state, body);
  }

  /**
   * Presses a check run's button: `check_run.requested_action`. Refused as GitHub's pages do, by not offering it, when
   * the check run isn't completed or has no such action. Whether GitHub shows buttons to people without write is not
   * documented, so anyone who reads may press.
   */
  async press(run: CheckRun, identifier: string): Promise<void> {
    this.#mustHave(run.repository, 'read');
    await pressAction(run, this.account, identifier);
  }

  /** 'Re-run' on one check run. */
  async rerequest(run: CheckRun): Promise<void> {
    this.#mustHave(run.repository, 'write');
    await rerequestRun(run, this.account);
  }

  /** 'Re-run all checks' of a commit: each App hears of its own suite. */
  async rerequestSuite(repository: Repository, sha: string): Promise<void> {
    this.#mustHave(repository, 'write');
    const suites = repository.suites.filter((suite) => suite.headSha === sha);
    if (suites.length === 0) throw new Error(`${repository.fullName} has no check suite on ${sha}`);
    for (const suite of suites) await emitSuite(suite, 'rerequested', this.account);
  }

  /** Answers the SHA of the merge, the squashed commit, or the last rebased one. */
  async merge(repository: Repository, number: number, method: MergeMethod = 'merge'): Promise<string> {
    this.#mustHave(repository, 'write');
    return mergePull(repository.pull(number), this.account, method);
  }

  /** Puts a pull request into the merge queue. */
  async mergeGroup(repository: Repository, number: number): Promise<MergeGroup> {
    this.#mustHave(repository, 'write');
    return queueMerge(repository.pull(number), this.account);
  }

  async close(repository: Repository, number: number): Promise<void> {
    await closePull(repository.pull(number), this.account);
  }

  async reopen(repository: Repository, number: number): Promise<void> {
    await reopenPull(repository.pull(number), this.account);
  }

  async markReady(repository: Repository, number: number): Promise<void> {
    await markReady(repository.pull(number), this.account);
  }

  async changeBase(repository: Repository, number: number, base: string): Promise<void> {
    await editPull(repository.pull(number), this.account, { base });
  }

  async changeTitle(repository: Repository, number: number, title: string): Promise<void> {
    await editPull(repository.pull(number), this.account, { title });
  }

  #mustHave(repository: Repository, role: Role): void {
    const has = repository.roleOf(this.login);
    if (!atLeast(has, role)) throw new Error(`${this.login} has ${has} on ${repository.fullName}, and needs ${role}`);
  }

  async #base(repository: Repository, branch: string, from: string | undefined): Promise<string | undefined> {
    if (from === undefined) return (await repository.head(branch)) ?? repository.head(repository.defaultBranch);
    const sha = await repository.resolve(from);
    if (!sha) throw new Error(`${repository.fullName} has no ${from}`);
    return sha;
  }

  /** A bare clone of this person's own, which has the commit. */
  async #scratch(repository: Repository, sha: string | undefined): Promise<string> {
    const directory = join(this.github.directory, 'scratch', `${this.login}-${repository.id}.git`);
    if (!existsSync(join(directory, 'HEAD'))) {
      await mkdir(directory, { recursive: true });
      await git(directory, ['init', '--quiet', '--bare', '--template=']);
    }
    if (sha && (await tryGit(directory, ['cat-file', '-e', `${sha}^{commit}`])).code !== 0) {
      await git(directory, ['fetch', '--quiet', '--no-tags', repository.cloneUrl(this.login), sha]);
    }
    return directory;
  }

  async #import(scratch: string, base: string | undefined, commits: readonly CommitOptions[]): Promise<string> {
    const now = `${this.login} <${this.github.accounts.email(this.account)}> ${Math.floor(Date.now() / 1000)} +0000`;
    const chunks: (string | Buffer)[] = [];
    const data = (content: string | Buffer) => chunks.push(`data ${Buffer.byteLength(content)}\n`, content, '\n');
    for (const [index, commit] of commits.entries()) {
      chunks.push(
        `commit refs/scratch/${process.pid}-${counter++}\nmark :${index + 1}\nauthor ${now}\ncommitter ${now}\n`,
      );
      data(commit.message ?? 'Change files');
      if (index > 0) chunks.push(`from :${index}\n`);
      else if (base) chunks.push(`from ${base}\n`);
      for (const [path, change] of Object.entries(commit.files ?? {})) {
        const name = `"${path.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n')}"`;
        if (change === null) {
          chunks.push(`D ${name}\n`);
          continue;
        }
        const plain = typeof change === 'string' || Buffer.isBuffer(change);
        chunks.push(`M ${plain ? '100644' : change.mode} inline ${name}\n`);
        data(plain ? change : change.content);
      }
    }
    chunks.push(`get-mark :${commits.length}\ndone\n`);
    const input = Buffer.concat(chunks.map((chunk) => Buffer.from(chunk)));
    return git(scratch, ['fast-import', '--quiet', '--done', '--force'], { input });
  }
}

let counter = 0;
