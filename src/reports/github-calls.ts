import type { Log } from '../log.js';
import type { InstallationOctokit, OctokitFor } from '../octokit.js';
import { RANK, type Rank } from '../queue/effect-order.js';
import { GateClosed, RetryLater } from '../queue/outbox-pump.js';
import type { Budget } from './budget.js';
import type { InstallationGate } from './installation-gate.js';
import { rateLimitPause, readRateLimit } from './rate-limit.js';

/** How long GitHub may take over one request, in ms. */
const PATIENCE_MS = 30_000;

/** GitHub said no: the installation, the repository, the commit or the permission isn't there, now at least. */
export class Refused extends Error {
  /** `uninstalled`: it knows no such installation. */
  constructor(
    readonly status: number,
    message: string,
    readonly uninstalled = false,
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
  readonly #gate: InstallationGate;
  readonly #log: Pick<Log, 'warn'>;
  /** Installations whose token GitHub didn't know any more. */
  readonly #stale = new Set<number>();
  readonly #counted = new WeakSet<InstallationOctokit>();

  constructor(octokitFor: OctokitFor, budget: Budget, gate: InstallationGate, log: Pick<Log, 'warn'>) {
    this.#octokitFor = octokitFor;
    this.#budget = budget;
    this.#gate = gate;
    this.#log = log;
  }

  async read<T>(installation: number, call: Call<T>): Promise<T> {
    this.#gate.check(installation);
    return this.#ask(installation, 'read', call);
  }

  /** Creates or changes something people see. `before` runs when the budget allows it, just before it is sent. */
  async write<T>(
    installation: number,
    { rank, before }: { rank: Rank; before?: () => Promise<void> },
    call: Call<T>,
  ): Promise<T> {
    this.#gate.check(installation);
    const verdict = await this.#budget.spend(installation, rank, this.#gate.rateOf(installation));
    this.#gate.judged(installation, rank, verdict);
    if (!verdict.granted) throw new GateClosed(verdict.next, 'What may be written on GitHub for now is written', rank);
    await before?.();
    return this.#ask(installation, 'write', call);
  }

  async #ask<T>(installation: number, asked: 'read' | 'write', call: Call<T>): Promise<T> {
    try {
      const fresh = this.#stale.delete(installation);
      const octokit = fresh ? await this.#octokitFor(installation, { fresh }) : await this.#octokitFor(installation);
      this.#countAnswers(installation, octokit);
      const answer = await call(octokit, { request: { signal: AbortSignal.timeout(PATIENCE_MS) } });
      this.#gate.answered(installation, asked);
      return answer;
    } catch (error) {
      throw await this.#judge(installation, asked, error);
    }
  }

  #countAnswers(installation: number, octokit: InstallationOctokit): void {
    if (this.#counted.has(octokit)) return;
    this.#counted.add(octokit);
    octokit.hook.after('request', ({ headers }) => {
      const rate = readRateLimit(headers);
      if (rate) this.#gate.count(installation, rate);
    });
  }

  async #judge(installation: number, asked: 'read' | 'write', error: unknown): Promise<unknown> {
    const status = statusOf(error);
    const pause = status === undefined ? undefined : rateLimitPause(status, headersOf(error), messageOf(error));
    if (pause !== undefined) return this.#pause(installation, pause, status, error);
    if (status === 401) this.#stale.add(installation);
    // Every 'no such thing' may be an incident's, or a suspended installation's: one after the other is.
    const passing = status === undefined || status < 400 || status >= 500 || [401, 403, 404, 408].includes(status);
    if (passing) this.#gate.failed(installation, asked, error);
    else this.#gate.answered(installation, asked);
    if (status === undefined || status < 400 || status >= 500 || status === 401 || status === 408) return error;
    return new Refused(status, messageOf(error), status === 404 && /\/access_tokens$/.test(urlOf(error)));
  }

  async #pause(installation: number, ms: number, status: number | undefined, error: unknown): Promise<RetryLater> {
    this.#gate.silence(installation, ms);
    this.#log.warn({ installation, status, seconds: Math.ceil(ms / 1_000) }, 'GitHub asks for a pause: reports wait');
    await this.#budget.close(installation, ms).catch(() => undefined);
    return new GateClosed(ms, `GitHub: ${messageOf(error)}`, RANK.free);
  }
}

function statusOf(error: unknown): number | undefined {
  const status = (error as { status?: unknown } | undefined)?.status;
  return typeof status === 'number' ? status : undefined;
}

function headersOf(error: unknown): Record<string, unknown> {
  return (error as { response?: { headers?: Record<string, unknown> } }).response?.headers ?? {};
}

function urlOf(error: unknown): string {
  return (error as { request?: { url?: string } }).request?.url ?? '';
}

function messageOf(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '';
}
