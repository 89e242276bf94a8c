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
    request: { ...(options.request as object | undefined), fetch: fetchWithin },
  })) as typeof ProbotOctokit;
}

/** Probot gives its auth a `request` without the base address: tokens that are refreshed would be asked of github.com. */
function authOn(baseUrl: string, auth: unknown): unknown {
  const { request } = (auth ?? {}) as { request?: { defaults(options: object): unknown } };
  return request ? { ...(auth as object), request: request.defaults({ baseUrl }) } : auth;
}

/** Octokit has no time limit of its own. */
function fetchWithin(url: string | URL | Request, init: RequestInit = {}): Promise<Response> {
  const limit = AbortSignal.timeout(PATIENCE_MS);
  return fetch(url, { ...init, signal: init.signal ? AbortSignal.any([init.signal, limit]) : limit });
}
