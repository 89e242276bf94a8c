import { createHash, randomBytes } from 'node:crypto';
import { z } from 'zod';
import type { Encryption } from '../variables/encryption.js';
import type { Cookies } from './cookies.js';
import { returnPath } from './return-path.js';

/** How long somebody may stay on GitHub's page, in seconds. GitHub's codes are good for as long. */
export const ATTEMPT_SECONDS = 600;
const PLACE = 'sign-in';
const COOKIE = 'signalbox-sign-in-';
/**
 * So many attempts a browser keeps: each is up to 1 kB, and Node takes no more than 16 kB of headers. Another site can make a
 * browser begin any number of them.
 */
const MOST = 8;

const sealed = z.object({ state: z.string(), verifier: z.string(), returnTo: z.string(), until: z.number() });

/** A sign-in under way. */
export interface Attempt {
  /** Comes back from GitHub. */
  state: string;
  /** Shows GitHub that whoever brings the code has begun the sign-in (PKCE). */
  verifier: string;
  returnTo: string;
}

/**
 * Sign-ins under way are in the browsers that began them, sealed: beginning one costs the record nothing, and nobody can
 * finish what another browser began. Each has a cookie of its own, because tabs sign in side by side.
 */
export class Attempts {
  readonly #encryption: Encryption;
  readonly #cookies: Cookies;

  constructor(encryption: Encryption, cookies: Cookies) {
    this.#encryption = encryption;
    this.#cookies = cookies;
  }

  /** Yields `Set-Cookie`s. */
  begin(returnTo: string, cookies: string | undefined): { attempt: Attempt; cookie: string[] } {
    const attempt = { state: secret(), verifier: secret(), returnTo: returnPath(returnTo) };
    const text = JSON.stringify({ ...attempt, until: Date.now() + ATTEMPT_SECONDS * 1000 });
    const value = this.#encryption.seal(PLACE, Buffer.from(text)).toString('base64url');
    const others = this.#cookies.names(cookies, COOKIE);
    const cleared = others.length < MOST ? [] : others.map((name) => this.#cookies.clear(name));
    return { attempt, cookie: [...cleared, this.#cookies.set(nameOf(attempt.state), value, ATTEMPT_SECONDS)] };
  }

  /** The attempt that a state belongs to, if this browser began it within the last ten minutes. */
  find(state: string, cookies: string | undefined): Attempt | undefined {
    const value = this.#cookies.read(cookies, nameOf(state));
    if (value === undefined) return undefined;
    const attempt = this.#open(value);
    return attempt && attempt.state === state && attempt.until > Date.now() ? attempt : undefined;
  }

  clear(state: string): string {
    return this.#cookies.clear(nameOf(state));
  }

  #open(value: string): z.infer<typeof sealed> | undefined {
    try {
      const text = this.#encryption.open(PLACE, Buffer.from(value, 'base64url')).toString('utf8');
      return sealed.parse(JSON.parse(text));
    } catch {
      return undefined;
    }
  }
}

/** What GitHub is told of the verifier beforehand. */
export function challengeOf({ verifier }: Attempt): string {
  return createHash('sha256').update(verifier).digest('base64url');
}

/** 256 bits, as text that is fit for addresses and cookies. */
export function secret(): string {
  return randomBytes(32).toString('base64url');
}

/** The state comes from whoever sends the request: it is not put into a name as it is. */
function nameOf(state: string): string {
  return `${COOKIE}${createHash('sha256').update(state).digest('hex').slice(0, 12)}`;
}
