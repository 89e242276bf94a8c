import { DiskFull, GitUnavailable } from '../git/mirror.js';
import { isRateLimit } from '../octokit.js';

/** What is asked for can't be had right now, and can be later. */
export class TryLater extends Error {
  override name = 'TryLater';
}

/** PostgreSQL's classes of errors that pass: connection, transaction rollback, resources, operator, system. */
const PASSING_CLASSES = ['08', '40', '53', '57', '58'];
const NETWORK = ['ECONNREFUSED', 'ECONNRESET', 'ENOTFOUND', 'EAI_AGAIN', 'ETIMEDOUT', 'EPIPE', 'EHOSTUNREACH'];

/** Whether waiting cures it: GitHub, git, the database or room on the disk is away, or asks for patience. */
export function isPassing(error: unknown): boolean {
  if ([TryLater, GitUnavailable, DiskFull].some((passing) => error instanceof passing)) return true;
  if (!(error instanceof Error)) return false;
  const { status, code, message } = error as Error & { status?: unknown; code?: unknown };
  if (typeof status === 'number') return status >= 500 || status === 408 || isRateLimit(error);
  if (typeof code === 'string') return NETWORK.includes(code) || PASSING_CLASSES.includes(code.slice(0, 2));
  if (error.name === 'GraphqlResponseError') return /rate limit|something went wrong|timeout/i.test(message);
  // pg has no codes for these.
  return /^(Connection terminated|timeout exceeded when trying to connect|Client has encountered)/.test(message);
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
