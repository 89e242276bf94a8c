/** What GitHub advises after a secondary rate limit that names no time, in ms. */
const UNNAMED_PAUSE_MS = 60_000;

/** GitHub's own count of all that an installation asks of it, in an hour of GitHub's. */
export interface RateLimit {
  limit: number;
  remaining: number;
  /** When `remaining` is `limit` again, by our clock. */
  reset: Date;
}

type Headers = Record<string, unknown>;

/** What an answer tells of the limit. Undefined: nothing, or of another limit than REST's. */
export function readRateLimit(headers: Headers): RateLimit | undefined {
  if ((headers['x-ratelimit-resource'] ?? 'core') !== 'core') return undefined;
  const [limit, remaining] = [headers['x-ratelimit-limit'], headers['x-ratelimit-remaining']].map(Number);
  const ms = untilReset(headers);
  if (!Number.isFinite(limit) || !Number.isFinite(remaining) || ms === undefined) return undefined;
  return { limit: limit as number, remaining: remaining as number, reset: new Date(Date.now() + ms) };
}

/** How long a refusal asks us to be silent, in ms. Undefined: it isn't about a rate. */
export function rateLimitPause(status: number, headers: Headers, message: string): number | undefined {
  if (status !== 403 && status !== 429) return undefined;
  const seconds = Number(headers['retry-after']);
  if (headers['retry-after'] !== undefined && Number.isFinite(seconds)) return Math.max(1, seconds) * 1_000;
  if (String(headers['x-ratelimit-remaining']) === '0') {
    const pause = untilReset(headers);
    return pause === undefined ? UNNAMED_PAUSE_MS : Math.max(1_000, pause);
  }
  const limited = status === 429 || /rate limit|abuse detection/i.test(message);
  return limited ? UNNAMED_PAUSE_MS : undefined;
}

/** In ms. Both times are by GitHub's clock, which needn't be ours. */
function untilReset(headers: Headers): number | undefined {
  const now = Date.parse(String(headers.date ?? '')) || Date.now();
  const ms = Number(headers['x-ratelimit-reset']) * 1_000 - now;
  return Number.isFinite(ms) ? ms : undefined;
}
