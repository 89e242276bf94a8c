import type { Log } from '../log.js';
import type { InstallationOctokit, OctokitFor } from '../octokit.js';
import { RetryLater } from '../queue/outbox-pump.js';
import type { Budget } from './pacing.js';

/** How long GitHub may take over one request, in ms. */
const PATIENCE_MS = 30_000;

/** What GitHub advises after a secondary rate limit that names no time, in ms. */
const UNNAMED_PAUSE_MS = 60_000;

/** GitHub said no, and would say so again: the repository, the commit or the permission isn't there. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
    this.name = 'Refused';
  }
}

/** Whether a request that failed so may have been carried out all the same. */
export function mayHaveHappened(error: unknown): boolean {
  return !(error instanceof Refused || error instanceof RetryLater || statusOf(error) === 401);
}

/** Given with each request: bounds its time. */
export interface RequestOptions {
  request: { signal: AbortSignal };
}

type Call<T> = (octokit: InstallationOctokit, options: RequestOptions) => Promise<T>;

/**
 * Every request to GitHub passes here. What it throws: RetryLater when GitHub or the budget asks for patience, Refused
 * for a no, and anything else for what may be tried again after a while (no answer, 5xx, a token that expired).
 */
export class GitHubCalls {
  readonly #octokitFor: OctokitFor;
  readonly #budget: Budget;
  readonly #log: Pick<Log, 'warn'>;
  /** Installations whose token GitHub didn't know any more. */
  readonly #stale = new Set<number>();

  constructor(octokitFor: OctokitFor, budget: Budget, log: Pick<Log, 'warn'>) {
    this.#octokitFor = octokitFor;
    this.#budget = budget;
    this.#log = log;
  }

  async read<T>(installation: number, call: Call<T>): Promise<T> {
    this.#budget.enter(installation);
    return this.#ask(installation, call);
  }

  /** Creates or changes something people see. `before` runs when the budget allows it, just before it is sent. */
  async write<T>(
    installation: number,
    { final, before }: { final: boolean; before?: () => Promise<void> },
    call: Call<T>,
  ): Promise<T> {
    this.#budget.spend(installation, final);
    await before?.();
    return this.#ask(installation, call);
  }

  async #ask<T>(installation: number, call: Call<T>): Promise<T> {
    try {
      const fresh = this.#stale.delete(installation);
      const octokit = fresh ? await this.#octokitFor(installation, { fresh }) : await this.#octokitFor(installation);
      return await call(octokit, { request: { signal: AbortSignal.timeout(PATIENCE_MS) } });
    } catch (error) {
      throw this.#judge(installation, error);
    }
  }

  #judge(installation: number, error: unknown): unknown {
    const status = statusOf(error);
    if (status === undefined || status >= 500 || status < 400 || status === 408) return error;
    if (status === 401) {
      this.#stale.add(installation);
      return error;
    }
    const pause = rateLimitPause(status, error);
    if (pause === undefined) return new Refused(status, messageOf(error));
    this.#budget.close(installation, pause);
    this.#log.warn(
      { installation, status, seconds: Math.ceil(pause / 1_000) },
      'GitHub asks for a pause: reports wait',
    );
    return new RetryLater(pause, `GitHub: ${messageOf(error)}`);
  }
}

/** In ms. Undefined: it isn't about a rate. */
function rateLimitPause(status: number, error: unknown): number | undefined {
  if (status !== 403 && status !== 429) return undefined;
  const headers = headersOf(error);
  const seconds = Number(headers['retry-after']);
  if (headers['retry-after'] !== undefined && Number.isFinite(seconds)) return Math.max(1, seconds) * 1_000;
  if (String(headers['x-ratelimit-remaining']) === '0') {
    // Both by GitHub's clock, which needn't be ours.
    const now = Date.parse(String(headers.date ?? '')) || Date.now();
    const pause = Number(headers['x-ratelimit-reset']) * 1_000 - now;
    return Number.isFinite(pause) ? Math.max(1_000, pause) : UNNAMED_PAUSE_MS;
  }
  const limited = status === 429 || /rate limit|abuse detection/i.test(messageOf(error));
  return limited ? UNNAMED_PAUSE_MS : undefined;
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' ? status : undefined;
}

function headersOf(error: unknown): Record<string, unknown> {
  return (error as { response?: { headers?: Record<string, unknown> } }).response?.headers ?? {};
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
