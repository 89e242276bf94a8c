import { rm } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type Account, Accounts } from './accounts.js';
import { App, type AppOptions, covers, type Installation, type InstallationToken, type Permissions } from './app.js';
import { type CheckReport, type CheckRun, createCheckRun } from './checks.js';
import type { Comment } from './comments.js';
import { isGitPath, serveGit } from './git-http.js';
import type { Json } from './http.js';
import { Ids, timestamp } from './ids.js';
import {
  createInstallation,
  removeInstallation,
  removeRepository,
  suspendInstallation,
  unsuspendInstallation,
} from './installations.js';
import { type Misbehaviour, type MisbehaviourHandle, Misbehaviours } from './misbehave.js';
import { servePage } from './pages.js';
import { Person } from './person.js';
import { Repositories, type RepositoryOptions } from './repositories.js';
import { emitRepository, type Repository } from './repository.js';
import { Rest } from './rest.js';
import { serveSignIn } from './sign-in.js';
import { type CommitStatus, createStatus, type StatusReport } from './statuses.js';
import { UserTokens } from './user-tokens.js';
import { type Delivery, Webhooks } from './webhooks.js';

export interface WebhookOptions {
  url: string;
  secret: string;
}

export interface LocalGitHubOptions {
  /** Where the repositories are made. Kept after `close()` unless `removeOnClose`. */
  directory: string;
  removeOnClose?: boolean;
  /** Default: any free port. */
  port?: number;
  /** Default: the loopback interface only. */
  hostname?: string;
  app?: AppOptions;
  /** Checks our own answers against GitHub's description too, into `ownViolations`: for the local GitHub's own tests. */
  validateAnswers?: boolean;
  webhook?: WebhookOptions;
  /** What the headers say of the limit of all requests, which isn't enforced. Default: more than any test asks. */
  requestsPerHour?: number;
}

export interface LoggedRequest {
  method: string;
  /** As in GitHub's documentation: `POST /repos/{owner}/{repo}/check-runs`; `git git-upload-pack`; `POST /graphql`. */
  route: string;
  path: string;
  /** 0 until answered, and when the connection was cut. */
  status: number;
  at: string;
  /** `app:signalbox`, `client:signalbox`, `installation:42`, `user:alice`, `anonymous`. */
  actor: string;
  body: Json;
}

export interface Violation {
  request: string;
  errors: string[];
}

/**
 * A GitHub Enterprise Server in this process: REST under `/api/v3`, GraphQL at `/api/graphql`, git over HTTP, webhooks.
 * An App finds it by `GHE_HOST=<host>` and `GHE_PROTOCOL=http`. All is in memory but the git repositories.
 */
export class LocalGitHub {
  readonly ids = new Ids();
  readonly accounts = new Accounts(this.ids, () => this.url);
  readonly repositories = new Repositories(this);
  readonly apps = new Map<number, App>();
  readonly installations = new Map<number, Installation>();
  readonly tokens = new Map<string, InstallationToken>();
  /** What Apps may do in the name of people. */
  readonly userTokens = new UserTokens();
  readonly webhooks = new Webhooks(this);
  readonly directory: string;
  /** Every request, oldest first. */
  readonly requests: LoggedRequest[] = [];
  /** Requests by Apps that GitHub's OpenAPI description doesn't allow. */
  readonly violations: Violation[] = [];
  /** Our own answers that it doesn't allow: faults of the local GitHub. */
  readonly ownViolations: Violation[] = [];
  /** Check runs that went from completed back to another status. GitHub allows it, and shows a mix of both. */
  readonly reopened: CheckRun[] = [];
  /** Whether the first question after a change is answered `mergeable: null`, as GitHub does while it tries the merge. */
  slowMergeability = false;
  /** Who is signed in in the browser. Undefined: the page on which people authorise the App asks. */
  signedInAs: string | undefined;
  readonly git = {
    misbehaviours: new Misbehaviours(),
    /** `route` is `git-upload-pack` (clone, fetch) or `git-receive-pack` (push). */
    misbehave: (how: Misbehaviour): MisbehaviourHandle => this.git.misbehaviours.add(how),
  };
  readonly misbehaviours = new Misbehaviours();
  readonly #server: Server;
  readonly #rest = new Rest(this);
  #app: App | undefined;
  #url = '';

  private constructor(readonly options: LocalGitHubOptions) {
    this.directory = options.directory;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch((error: unknown) => {
        process.stderr.write(
          `local GitHub: ${request.method} ${request.url}: ${error instanceof Error ? error.stack : error}\n`,
        );
        if (response.headersSent) request.socket.destroy();
        else response.writeHead(500).end('{"message":"Server Error"}');
      });
    });
  }

  static async start(options: LocalGitHubOptions): Promise<LocalGitHub> {
    const github = new LocalGitHub(options);
    await new Promise<void>((resolve, reject) => {
      github.#server.once('error', reject);
      github.#server.listen(options.port ?? 0, options.hostname ?? '127.0.0.1', resolve);
    });
    const { port } = github.#server.address() as AddressInfo;
    github.#url = `http://127.0.0.1:${port}`;
    const publisher = github.accounts.create('signalbox-publisher', 'Organization');
    github.#app = github.registerApp({ id: 1, slug: 'signalbox', ...options.app }, publisher);
    if (options.webhook) github.setWebhook(options.webhook);
    return github;
  }

  /** `http://127.0.0.1:<port>`. */
  get url(): string {
    return this.#url;
  }

  /** For `GHE_HOST`. */
  get host(): string {
    return new URL(this.#url).host;
  }

  /** REST's root. */
  get api(): string {
    return `${this.#url}/api/v3`;
  }

  /** The App under test. */
  get app(): App {
    if (!this.#app) throw new Error('the local GitHub has not started');
    return this.#app;
  }

  get deliveries(): readonly Delivery[] {
    return this.webhooks.deliveries;
  }

  setWebhook({ url, secret }: WebhookOptions): void {
    this.app.webhookUrl = url;
    this.app.webhookSecret = secret;
  }

  /** Sends `ping`, as GitHub does to a webhook that was just set. */
  ping(): void {
    this.webhooks.ping(this.app);
  }

  /** One more App, such as one that reports other checks. */
  registerApp(options: AppOptions & { slug: string }, owner: Account): App {
    const bot = this.accounts.create(`${options.slug}[bot]`, 'Bot');
    const app = new App({ ...options, id: options.id ?? this.ids.next() }, owner, bot, this.ids.next());
    this.apps.set(app.id, app);
    return app;
  }

  appJson(app: App): Json {
    return app.json(this.accounts.json(app.owner), this.#url);
  }

  async createUser(login: string): Promise<Account> {
    return this.accounts.create(login, 'User');
  }

  /** Owners are admins of all its repositories, members may read them. Both must exist. */
  async createOrganization(
    login: string,
    people: { owners?: string[]; members?: string[]; teams?: Record<string, string[]> } = {},
  ): Promise<Account> {
    const account = this.accounts.create(login, 'Organization');
    const key = (name: string) => this.accounts.get(name).login.toLowerCase();
    for (const name of people.members ?? []) account.members.set(key(name), 'member');
    for (const name of people.owners ?? []) account.members.set(key(name), 'admin');
    for (const [slug, names] of Object.entries(people.teams ?? {})) account.teams.set(slug, new Set(names.map(key)));
    return account;
  }

  /** A person's personal access token, for git and for REST. */
  token(login: string): string {
    const { token } = this.accounts.get(login);
    if (!token) throw new Error(`${login} is not a person`);
    return token;
  }

  as(login: string): Person {
    return new Person(this, this.accounts.get(login));
  }

  /** An empty repository. The App is installed on it unless `install` is false; each owner has one installation. */
  async createRepository(options: RepositoryOptions): Promise<Repository> {
    const repository = await this.repositories.create(options);
    if (options.install ?? true) this.install(repository);
    return repository;
  }

  async forkRepository(repository: Repository, owner: Account, name: string): Promise<Repository> {
    return this.repositories.fork(repository, owner, name);
  }

  /** Installs an App on a repository, on its owner first if need be. */
  install(repository: Repository, app: App = this.app, permissions?: Permissions): Installation {
    return createInstallation(this, repository, app, permissions);
  }

  /** Takes the App away from an owner: its tokens are revoked, and `installation.deleted` is sent. */
  uninstall(login: string, app: App = this.app): void {
    removeInstallation(this, this.installationOf(login, app));
  }

  /** Takes one repository from the App. */
  removeFromApp(repository: Repository, app: App = this.app): void {
    removeRepository(this, this.installationOf(repository.owner.login, app), repository);
  }

  suspend(login: string, app: App = this.app): void {
    suspendInstallation(this, this.installationOf(login, app));
  }

  unsuspend(login: string, app: App = this.app): void {
    unsuspendInstallation(this, this.installationOf(login, app));
  }

  renameRepository(repository: Repository, name: string): void {
    const from = repository.name;
    this.repositories.rename(repository, name);
    emitRepository(repository, 'renamed', { changes: { repository: { name: { from } } } });
  }

  /** Installations on the old owner lose it; one on all of the new owner's repositories gets it. */
  transferRepository(repository: Repository, login: string): void {
    const from = repository.owner;
    for (const installation of this.installationsOf(repository)) removeRepository(this, installation, repository);
    this.repositories.transfer(repository, this.accounts.get(login));
    const owner =
      from.type === 'Organization' ? { organization: this.accounts.json(from) } : { user: this.accounts.json(from) };
    emitRepository(repository, 'transferred', { changes: { owner: { from: owner } } });
  }

  archiveRepository(repository: Repository, archived = true): void {
    Object.assign(repository, { archived, updatedAt: timestamp() });
    emitRepository(repository, archived ? 'archived' : 'unarchived', {});
  }

  deleteRepository(repository: Repository): void {
    emitRepository(repository, 'deleted', {});
    this.repositories.delete(repository);
  }

  changeDefaultBranch(repository: Repository, branch: string): void {
    const from = repository.defaultBranch;
    Object.assign(repository, { defaultBranch: branch, updatedAt: timestamp() });
    emitRepository(repository, 'edited', { changes: { default_branch: { from } } });
  }

  installationOf(login: string, app: App = this.app): Installation {
    for (const installation of this.installations.values()) {
      const same = installation.account.login.toLowerCase() === login.toLowerCase();
      if (same && installation.app === app) return installation;
    }
    throw new Error(`${app.slug} is not installed on ${login}`);
  }

  installationsOf(repository: Repository): Installation[] {
    return [...this.installations.values()].filter((installation) => covers(installation, repository));
  }

  /** Makes every installation token expire now, as an hour does. */
  expireTokens(): void {
    for (const token of this.tokens.values()) token.expiresAt = 0;
  }

  /** From now on whoever is sent to GitHub's page for signing in comes back at once, as this person; undefined: is asked. */
  signInAs(login: string | undefined): void {
    this.signedInAs = login === undefined ? undefined : this.accounts.get(login).login;
  }

  /** A person takes back, in GitHub's settings, what they have allowed the App. */
  revokeAuthorization(login: string, app: App = this.app): void {
    const account = this.accounts.get(login);
    this.userTokens.revoke((token) => token.app === app && token.account === account);
  }

  /** Check runs, oldest first. */
  checkRuns(repository: Repository, sha?: string): CheckRun[] {
    return repository.checkRuns.filter((run) => sha === undefined || run.headSha === sha);
  }

  /** Comments of an issue or pull request, with their reactions, oldest first. */
  comments(repository: Repository, number: number): Comment[] {
    return [...repository.comments.values()].filter((comment) => comment.issue.number === number);
  }

  /** A check run by another App (made when first named): what a repository's other checks look like. */
  async reportCheck(repository: Repository, report: CheckReport, slug = 'other-checks'): Promise<CheckRun> {
    const existing = [...this.apps.values()].find((each) => each.slug === slug);
    const app = existing ?? this.registerApp({ slug, permissions: { checks: 'write' } }, this.app.owner);
    return createCheckRun(repository, app, report);
  }

  /** A commit status by a person. */
  async reportStatus(repository: Repository, login: string, sha: string, report: StatusReport): Promise<CommitStatus> {
    return createStatus(repository, this.accounts.get(login), sha, report);
  }

  misbehave(how: Misbehaviour): MisbehaviourHandle {
    return this.misbehaviours.add(how);
  }

  /**
   * Loses the next deliveries, or all that the filter picks. GitHub has them on record as failed (`failed to connect to
   * host`) and they can be redelivered, unless `recorded` is false.
   */
  loseDeliveries(
    which: number | ((delivery: Delivery) => boolean),
    options: { recorded?: boolean } = {},
  ): { stop(): void } {
    return this.webhooks.lose(which, options.recorded ?? true);
  }

  /** When every webhook was answered or has failed. What their receiver does later is not waited for. */
  settled(): Promise<void> {
    return this.webhooks.settled();
  }

  /** Asks until there is an answer: a value other than undefined and false. Throws, naming what, after 30 s or as told. */
  async until<T>(
    what: string,
    probe: () => T | undefined | false | Promise<T | undefined | false>,
    timeout = 30_000,
  ): Promise<T> {
    const end = Date.now() + timeout;
    for (;;) {
      const value = await probe();
      if (value !== undefined && value !== false) return value;
      if (Date.now() > end) throw new Error(`waited ${timeout / 1000} s for ${what}`);
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }

  async close(): Promise<void> {
    this.misbehaviours.stop();
    this.git.misbehaviours.stop();
    this.app.webhookUrl = undefined;
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    this.webhooks.stop();
    await closed;
    await this.settled();
    if (this.options.removeOnClose) await rm(this.directory, { recursive: true, force: true });
  }

  /** Starts a line of the log of requests; whoever answers fills it in. */
  log(method: string, route: string, path: string): LoggedRequest {
    const line = { method, route, path, status: 0, at: new Date().toISOString(), actor: 'anonymous', body: {} };
    this.requests.push(line);
    return line;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', this.#url);
    if (isGitPath(url.pathname)) return serveGit(this, request, response, url);
    if (url.pathname.startsWith('/api/')) return this.#rest.serve(request, response, url);
    if (url.pathname.startsWith('/login/oauth/')) return serveSignIn(this, request, response, url);
    return servePage(this, request, response, url);
  }
}
