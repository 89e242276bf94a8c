import pLimit from 'p-limit';
import { ATTEMPT_SECONDS } from './attempt.js';
import type { Authorization } from './authorization.js';
import { GitHubAway, TooManySignIns } from './failure.js';
import type { Tokens } from './tokens.js';

/** Exchanges under way: GitHub is asked in the App's name, and blocks an App that asks too much. */
const AT_ONCE = 6;
/** Those that wait beside them: each for up to 20 s, when GitHub takes its ten for every one. */
const WAITING = 12;
/** States remembered: 43 characters each. */
const MOST = 10_000;

/**
 * The codes that browsers bring, exchanged for tokens. Whoever has begun a sign-in can send the callback any number of times,
 * with made-up codes too: a state is good for one answer of GitHub's, and few are asked for at once. Apart from refreshes,
 * which people who are signed in wait for.
 */
export class Exchanges {
  readonly #authorization: Authorization;
  readonly #limit = pLimit(AT_ONCE);
  /** With the time, by `performance.now()`; the oldest first. */
  readonly #tried = new Map<string, number>();

  constructor(authorization: Authorization) {
    this.#authorization = authorization;
  }

  /**
   * Undefined: this process has tried the state before. Throws AuthorizationRefused, and TooManySignIns or GitHubAway, after
   * which the state may be tried again.
   */
  async exchange(state: string, answer: { code: string; verifier: string }): Promise<Tokens | undefined> {
    this.#clear();
    if (this.#tried.has(state)) return undefined;
    if (this.#limit.pendingCount >= WAITING) throw new TooManySignIns();
    this.#tried.set(state, performance.now());
    try {
      return await this.#limit(() => this.#authorization.exchange(answer));
    } catch (error) {
      if (error instanceof GitHubAway) this.#tried.delete(state);
      throw error;
    }
  }

  /** What no attempt can be as old as, and what is too much. */
  #clear(): void {
    const since = performance.now() - ATTEMPT_SECONDS * 1000;
    for (const [state, tried] of this.#tried) {
      if (tried >= since && this.#tried.size < MOST) return;
      this.#tried.delete(state);
    }
  }
}
