import type { ClientCredentials, Config } from '../config.js';
import type { Db } from '../db/pool.js';
import type { Log } from '../log.js';
import { plainOctokit } from '../octokit.js';
import type { Encryption } from '../variables/encryption.js';
import { type Access, AccessReader, awayOf, type KnownAccess, type KnownRepository } from './access.js';
import { Attempts, challengeOf } from './attempt.js';
import { Authorization, AuthorizationRefused, WRONG_CLIENT } from './authorization.js';
import { Cookies } from './cookies.js';
import { Exchanges } from './exchanges.js';
import { SESSION_DAYS, type Session, Sessions } from './session.js';
import { SessionTokens } from './session-tokens.js';
import type { Tokens } from './tokens.js';

export { GitHubAway, SessionOver, TooManySignIns } from './failure.js';

/** How long a page waits for GitHub, in ms. */
const PATIENCE_MS = 10_000;
/**
 * How long what GitHub says of a person counts, in ms: with the time until a page that is open asks again, and GitHub has
 * answered, it is within a minute.
 */
const MEMORY_MS = 45_000;
const COOKIE = 'signalbox';

export interface SignInOptions {
  db: Db;
  encryption: Encryption;
  client: ClientCredentials;
  config: Pick<Config, 'githubUrl' | 'githubApiUrl'>;
  /** Without a slash at its end. */
  publicUrl: string;
  log: Pick<Log, 'warn' | 'error'>;
  /** In ms, as the next one. */
  memory?: number;
  patience?: number;
}

export type SignInResult =
  | { signedIn: true; cookie: string[]; returnTo: string }
  /** `problem` is fit for a page. */
  | { signedIn: false; cookie: string[]; problem: string };

/** Where GitHub sends people back to. */
export function callbackUrl(publicUrl: string): string {
  return `${publicUrl}/auth/callback`;
}

/** Signing in with GitHub, and what GitHub says of those who have. */
export class SignIn {
  readonly #options: SignInOptions & { patience: number };
  readonly #cookies: Cookies;
  readonly #attempts: Attempts;
  readonly #authorization: Authorization;
  readonly #exchanges: Exchanges;
  readonly #sessions: Sessions;
  readonly #access: AccessReader;

  constructor(options: SignInOptions) {
    const { db, encryption, client, config, publicUrl, memory = MEMORY_MS, patience = PATIENCE_MS } = options;
    this.#options = { ...options, patience };
    this.#cookies = new Cookies(publicUrl);
    this.#attempts = new Attempts(encryption, this.#cookies);
    this.#authorization = new Authorization({ ...config, client, callbackUrl: callbackUrl(publicUrl), patience });
    this.#exchanges = new Exchanges(this.#authorization);
    this.#sessions = new Sessions(db, encryption);
    this.#access = new AccessReader({
      config,
      tokens: new SessionTokens(db, encryption, this.#authorization),
      endSession: (session) => this.#sessions.end(session),
      memory,
      patience,
    });
  }

  /** Where to send the browser, and with which `Set-Cookie`s. What isn't a path of ours becomes `/`. */
  async begin(returnTo: string, cookies?: string): Promise<{ location: string; cookie: string[] }> {
    const { attempt, cookie } = this.#attempts.begin(returnTo, cookies);
    return { location: this.#authorization.page({ state: attempt.state, challenge: challengeOf(attempt) }), cookie };
  }

  /** What GitHub's answer, as it stands in the callback's query, comes to. Throws GitHubAway, or TooManySignIns. */
  async finish(query: URLSearchParams, cookies: string | undefined): Promise<SignInResult> {
    const state = query.get('state') ?? '';
    const attempt = this.#attempts.find(state, cookies);
    const unknown = `This sign-in was not begun in this browser at ${this.#options.publicUrl}, took longer than ten minutes, or was finished before.`;
    if (!attempt) return { signedIn: false, cookie: [], problem: unknown };
    const cookie = [this.#attempts.clear(state)];
    const refused = (problem: string): SignInResult => ({ signedIn: false, cookie, problem });
    const code = query.get('code');
    if (code === null) return refused(problemOf(query.get('error') ?? ''));
    let tokens: Tokens | undefined;
    try {
      tokens = await this.#exchanges.exchange(state, { code, verifier: attempt.verifier });
    } catch (error) {
      if (!(error instanceof AuthorizationRefused)) throw error;
      if (error.code === WRONG_CLIENT)
        this.#options.log.error('Nobody can sign in: GitHub does not take GITHUB_CLIENT_ID with GITHUB_CLIENT_SECRET');
      return refused(problemOf(error.code));
    }
    if (!tokens) return refused(unknown);
    const value = await this.#sessions.begin({ state, user: await this.#userOf(tokens), tokens });
    if (value === undefined) {
      this.#revoke(tokens);
      return refused(unknown);
    }
    // Whatever session the browser brought, its own or one that somebody planted, is no more.
    const former = await this.sessionOf(cookies);
    if (former) await this.end(former);
    cookie.push(this.#cookies.set(COOKIE, value, SESSION_DAYS * 86_400));
    return { signedIn: true, cookie, returnTo: attempt.returnTo };
  }

  /** Who a browser with these cookies (the header, as it came) is signed in as. */
  async sessionOf(cookies: string | undefined): Promise<Session | undefined> {
    const value = this.#cookies.read(cookies, COOKIE);
    return value ? this.#sessions.find(value) : undefined;
  }

  /** Yields the `Set-Cookie` that clears the browser's. GitHub is told too, but not waited for. */
  async end(session: Session): Promise<string> {
    const tokens = await this.#sessions.end(session.id);
    this.#access.forget(session.id);
    if (tokens) this.#revoke(tokens);
    return this.#cookies.clear(COOKIE);
  }

  /** Undefined: none. At most a minute old. Throws GitHubAway, or SessionOver. */
  async accessTo(session: Session, repository: KnownRepository): Promise<Access | undefined> {
    return (await this.knownAccess(session, repository))?.access;
  }

  /** The same, with when it was asked for. */
  knownAccess(session: Session, repository: KnownRepository): Promise<KnownAccess | undefined> {
    return this.#access.accessTo(session.id, repository);
  }

  /** By the id of every repository that the App is installed on and that this person was given access to. As above. */
  repositoriesOf(session: Session): Promise<ReadonlyMap<number, Access>> {
    return this.#access.repositoriesOf(session.id);
  }

  async #userOf({ access: token }: Tokens): Promise<{ id: number; login: string }> {
    const { config, patience } = this.#options;
    try {
      const { data } = await plainOctokit(config, { token, patience }).rest.users.getAuthenticated();
      return { id: data.id, login: data.login };
    } catch (error) {
      throw awayOf(error);
    }
  }

  #revoke(tokens: Tokens): void {
    this.#authorization.revoke(tokens.access).catch((error: { status?: unknown }) => {
      // GitHub knows it no more.
      if (error.status === 404 || error.status === 422) return;
      // The error itself has the request in it, and that the token.
      this.#options.log.warn({ status: error.status }, 'GitHub could not be told that somebody signed out');
    });
  }
}

function problemOf(code: string): string {
  if (code === 'access_denied') return 'GitHub was told not to let Signalbox know who you are.';
  if (code === 'bad_verification_code') return 'What GitHub sent back has run out, or was used before.';
  if (code === WRONG_CLIENT)
    return 'GitHub does not take the client secret of this Signalbox: whoever runs it has to set it right.';
  if (code === 'redirect_uri_mismatch')
    return 'GitHub does not know the address of this Signalbox: whoever runs it has to add it to the callback URLs of the App.';
  return 'GitHub did not sign you in.';
}
