import { Octokit } from '@octokit/rest';
import { ProbotOctokit } from 'probot';
import type { Config } from './config.js';

/** A GitHub that doesn't answer for so long isn't going to, in ms. */
const PATIENCE_MS = 30_000;

/** Octokit as Probot builds it, signed in as one installation of the App. */
export type InstallationOctokit = InstanceType<typeof ProbotOctokit>;

/**
 * Yields the Octokit of an installation. Tokens are cached by it and fetched anew before they expire; `fresh` fetches one
 * at once, because GitHub has refused the last one.
 */
export type OctokitFor = (installation: number, options?: { fresh: boolean }) => Promise<InstallationOctokit>;

/**
 * Probot's Octokit without its own ideas about time: its throttling makes five comments take 13 s, and a POST that it
 * sends again after a lost answer makes two check runs. Who calls decides when to try again.
 */
export function octokitClass(config: Config): typeof ProbotOctokit {
  return ProbotOctokit.defaults((options: Record<string, unknown>) => ({
    ...options,
    baseUrl: config.githubApiUrl,
    auth: authOn(config.githubApiUrl, options.auth),
    throttle: { enabled: false },
    retry: { enabled: false },
    request: { ...(options.request as object | undefined), fetch: fetchWithin(PATIENCE_MS) },
  })) as typeof ProbotOctokit;
}

/** Probot gives its auth a `request` without the base address: tokens that are refreshed would be asked of github.com. */
function authOn(baseUrl: string, auth: unknown): unknown {
  const { request } = (auth ?? {}) as { request?: { defaults(options: object): unknown } };
  return request ? { ...(auth as object), request: request.defaults({ baseUrl }) } : auth;
}

/**
 * Octokit for what a page waits for: nothing is tried again, and nothing is written to the console. `token` is a person's;
 * without it the App's client says who it is in each request. `patience` in ms.
 */
export function plainOctokit(
  { githubApiUrl }: Pick<Config, 'githubApiUrl'>,
  options: { token?: string; patience: number },
): Octokit {
  const silent = () => undefined;
  return new Octokit({
    baseUrl: githubApiUrl,
    ...(options.token === undefined ? {} : { auth: options.token }),
    log: { debug: silent, info: silent, warn: silent, error: silent },
    request: { fetch: fetchWithin(options.patience) },
  });
}

/** Octokit has no time limit of its own. In ms. */
function fetchWithin(patience: number): typeof fetch {
  return (url, init = {}) => {
    const limit = AbortSignal.timeout(patience);
    return fetch(url, { ...init, signal: init.signal ? AbortSignal.any([init.signal, limit]) : limit });
  };
}

/** GitHub says 'not now' with 429, or with 403 and a header or words that tell it from 'never'. */
export function isRateLimit(error: Error): boolean {
  const { status, response } = error as Error & { status: number; response?: { headers?: Record<string, unknown> } };
  if (status === 429) return true;
  if (status !== 403) return false;
  const headers = response?.headers ?? {};
  return (
    headers['retry-after'] !== undefined ||
    String(headers['x-ratelimit-remaining']) === '0' ||
    /rate limit|abuse detection/i.test(error.message)
  );
}
