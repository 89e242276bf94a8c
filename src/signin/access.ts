import pLimit from 'p-limit';
import type { Config } from '../config.js';
import { isRateLimit, plainOctokit } from '../octokit.js';
import { GitHubAway, SessionOver } from './failure.js';
import type { SessionTokens } from './session-tokens.js';
import { ShortMemory } from './short-memory.js';

/** What a person may do on a repository: look; move runs on; and end what others have locked. */
export type Access = 'read' | 'write' | 'admin';

/** What a person may do, as GitHub said it. */
export interface KnownAccess {
  access: Access;
  /** When GitHub was asked, by `performance.now()`. */
  asked: number;
}

export interface KnownRepository {
  id: number;
  owner: string;
  name: string;
}

type GitHub = ReturnType<typeof plainOctokit>;
type Flags = { admin?: boolean; maintain?: boolean; push?: boolean; pull?: boolean } | undefined;

/** GitHub's largest page. */
const PER_PAGE = 100;
/** Requests under way for one list: GitHub asks not to send many at once. */
const AT_ONCE = 6;
/** Answers remembered: some hundred bytes each, and up to a megabyte for a list of ten thousand repositories. */
const REMEMBERED = 20_000;
const LISTS_REMEMBERED = 300;
/** A proxy's page, or an answer that was cut off. */
const NO_ANSWER = 'GitHub answered something else than what it was asked for.';
/** Nothing that this person may see: not there, not theirs, or blocked for legal reasons. */
const NOTHING = [403, 404, 451];

export interface AccessOptions {
  config: Pick<Config, 'githubApiUrl'>;
  tokens: SessionTokens;
  /** Ends a session that GitHub doesn't know any more. */
  endSession: (session: string) => Promise<unknown>;
  /** How long an answer of GitHub's counts, in ms. */
  memory: number;
  /** In ms. */
  patience: number;
}

/** What GitHub says of people's access, asked with their own tokens. Throws GitHubAway, or SessionOver. */
export class AccessReader {
  readonly #options: AccessOptions;
  readonly #single: ShortMemory<KnownAccess | undefined>;
  readonly #lists: ShortMemory<Map<number, Access>>;

  constructor(options: AccessOptions) {
    this.#options = options;
    this.#single = new ShortMemory({ milliseconds: options.memory, size: REMEMBERED });
    this.#lists = new ShortMemory({ milliseconds: options.memory, size: LISTS_REMEMBERED });
  }

  accessTo(session: string, repository: KnownRepository): Promise<KnownAccess | undefined> {
    return this.#single.recall(`${session} ${repository.id}`, async () => {
      const asked = performance.now();
      const access = await this.#as(session, (github) => readAccess(github, repository));
      return access && { access, asked };
    });
  }

  repositoriesOf(session: string): Promise<Map<number, Access>> {
    return this.#lists.recall(session, () => this.#as(session, listRepositories));
  }

  forget(session: string): void {
    this.#single.forget(session);
    this.#lists.forget(session);
  }

  /** Asks with the person's token, and once more with another one where GitHub doesn't take it. */
  async #as<T>(session: string, ask: (github: GitHub) => Promise<T>): Promise<T> {
    const { config, tokens, patience, endSession } = this.#options;
    const askWith = (token: string) => ask(plainOctokit(config, { token, patience }));
    const token = await tokens.of(session);
    try {
      return await askWith(token);
    } catch (error) {
      if (statusOf(error) !== 401) throw awayOf(error);
    }
    const other = await tokens.replace(session, token);
    try {
      return await askWith(other);
    } catch (error) {
      if (statusOf(error) !== 401) throw awayOf(error);
    }
    await endSession(session);
    throw new SessionOver();
  }
}

async function readAccess(github: GitHub, { id, owner, name }: KnownRepository): Promise<Access | undefined> {
  const answer = await orNothing(github.rest.repos.get({ owner, repo: name }));
  if (answer && typeof answer.data?.id !== 'number') throw new GitHubAway(NO_ANSWER);
  // Another repository may have got the name of one that was deleted or moved.
  return answer?.data.id === id ? accessOf(answer.data.permissions) : undefined;
}

/** Over all installations of the App that the person has something to do with. */
async function listRepositories(github: GitHub): Promise<Map<number, Access>> {
  const limit = pLimit(AT_ONCE);
  const found = new Map<number, Access>();
  const installations = await allPages(async (page) => {
    const answer = await limit(() =>
      github.rest.apps.listInstallationsForAuthenticatedUser({ per_page: PER_PAGE, page }),
    );
    return { total: answer.data.total_count, items: answer.data.installations };
  });
  await Promise.all(
    installations
      .filter((installation) => !installation.suspended_at)
      .map(async ({ id }) => {
        const repositories = await allPages(async (page) => {
          const answer = await limit(() =>
            orNothing(
              github.rest.apps.listInstallationReposForAuthenticatedUser({
                installation_id: id,
                per_page: PER_PAGE,
                page,
              }),
            ),
          );
          return { total: answer?.data.total_count ?? 0, items: answer?.data.repositories ?? [] };
        });
        for (const { id: repository, permissions } of repositories) {
          const access = accessOf(permissions);
          if (access) found.set(repository, access);
        }
      }),
  );
  return found;
}

async function allPages<T>(read: (page: number) => Promise<{ total: number; items: T[] }>): Promise<T[]> {
  const first = await read(1);
  if (!Array.isArray(first.items)) throw new GitHubAway(NO_ANSWER);
  const more = Math.max(Math.ceil(first.total / PER_PAGE) - 1, 0);
  const rest = await Promise.all(Array.from({ length: more }, (_, index) => read(index + 2)));
  return [first, ...rest].flatMap(({ items }) => items);
}

function accessOf(flags: Flags): Access | undefined {
  if (flags?.admin) return 'admin';
  if (flags?.maintain || flags?.push) return 'write';
  return flags?.pull ? 'read' : undefined;
}

async function orNothing<T>(asked: Promise<T>): Promise<T | undefined> {
  try {
    return await asked;
  } catch (error) {
    if (error instanceof Error && NOTHING.includes(statusOf(error) ?? 0) && !isRateLimit(error)) return undefined;
    throw error;
  }
}

function statusOf(error: unknown): number | undefined {
  const { status } = error as { status?: unknown };
  return typeof status === 'number' ? status : undefined;
}

/** Octokit's errors, which it gives a status whatever happened, have the request in them, and that the token. */
export function awayOf(error: unknown): unknown {
  if (statusOf(error) === undefined) return error;
  if (error instanceof Error && isRateLimit(error))
    return new GitHubAway('GitHub asks for patience: too many requests.');
  const answered = (error as { response?: unknown }).response !== undefined;
  return new GitHubAway(answered ? `GitHub answers ${statusOf(error)}.` : 'GitHub does not answer.');
}
