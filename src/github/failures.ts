import { isAway } from '../db/outage.js';
import { DiskFull, GitUnavailable } from '../git/mirror.js';
import { isRateLimit } from '../octokit.js';

/** What is asked for can't be had right now, and can be later. */
export class TryLater extends Error {
  override name = 'TryLater';
}

/** Whether waiting cures it: GitHub, git, the database or room on the disk is away, or asks for patience. */
export function isPassing(error: unknown): boolean {
  if ([TryLater, GitUnavailable, DiskFull].some((passing) => error instanceof passing)) return true;
  if (!(error instanceof Error)) return false;
  const { status, message } = error as Error & { status?: unknown };
  if (typeof status === 'number') return status >= 500 || status === 408 || isRateLimit(error);
  if (error.name === 'GraphqlResponseError') return /rate limit|something went wrong|timeout/i.test(message);
  return isAway(error);
}

/** GitHub says that there is no such thing, or none that we may see. */
export function isNotFound(error: unknown): boolean {
  return error instanceof Error && 'status' in error && error.status === 404;
}

/** GitHub says that we may not do that: not now or later, but never, as things are. */
export function isNotAllowed(error: unknown): boolean {
  return error instanceof Error && 'status' in error && error.status === 403 && !isRateLimit(error);
}

/** GitHub knows the token that it was asked with no more: it was revoked, or ran out early. */
export function isRefusedToken(error: unknown): boolean {
  return error instanceof Error && 'status' in error && error.status === 401;
}
