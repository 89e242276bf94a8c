import { createHash, randomBytes } from 'node:crypto';
import type { Account } from './accounts.js';
import type { App } from './app.js';

/** How long GitHub lets a code of the web flow be exchanged, in ms. */
const CODE_MS = 600_000;
const REFRESH_SECONDS = 15_897_600;

/** What somebody allowed on GitHub's page, until the App exchanges it. */
interface Grant {
  app: App;
  account: Account;
  redirectUri: string;
  challenge: string | undefined;
  expiresAt: number;
}

/** A user access token (`ghu_`) with its refresh token: what the App may do in the name of a person. */
export interface UserToken {
  value: string;
  refresh: string;
  app: App;
  account: Account;
  /** In ms since 1970. */
  expiresAt: number;
}

/** An error as `/login/oauth/access_token` answers it: with status 200. */
export class TokenError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/** People's authorisations of Apps. */
export class UserTokens {
  /** Of tokens that are made from now on, in seconds. */
  lifetime = 28_800;
  readonly #grants = new Map<string, Grant>();
  readonly #tokens = new Set<UserToken>();

  /** Yields the code that is exchanged for a token. */
  grant(grant: Omit<Grant, 'expiresAt'>): string {
    const code = randomBytes(10).toString('hex');
    this.#grants.set(code, { ...grant, expiresAt: Date.now() + CODE_MS });
    return code;
  }

  /** Codes that nobody has exchanged yet run out now, as after ten minutes. */
  expireCodes(): void {
    for (const grant of this.#grants.values()) grant.expiresAt = 0;
  }

  exchange(app: App, code: string, redirectUri: string | null, verifier: string | null): UserToken {
    const grant = this.#grants.get(code);
    this.#grants.delete(code);
    if (!grant || grant.app !== app || grant.expiresAt < Date.now() || !verified(grant, verifier))
      throw new TokenError('bad_verification_code', 'The code passed is incorrect or expired.');
    if (redirectUri !== null && redirectUri !== grant.redirectUri)
      throw new TokenError(
        'redirect_uri_mismatch',
        'The redirect_uri MUST match the registered callback URL for this application.',
      );
    return this.issue(app, grant.account);
  }

  /** Both tokens are good once: after it the old pair is worth nothing. */
  refresh(app: App, value: string): UserToken {
    const old = [...this.#tokens].find((each) => each.refresh === value && each.app === app);
    if (!old) throw new TokenError('bad_refresh_token', 'The refresh token passed is incorrect or expired.');
    this.#tokens.delete(old);
    return this.issue(app, old.account);
  }

  find(value: string): UserToken | undefined {
    const found = [...this.#tokens].find((each) => each.value === value);
    return found && found.expiresAt > Date.now() ? found : undefined;
  }

  /** Access tokens run out now; refresh tokens are good. */
  expire(): void {
    for (const token of this.#tokens) token.expiresAt = 0;
  }

  revoke(which: (token: UserToken) => boolean): void {
    for (const token of this.#tokens) if (which(token)) this.#tokens.delete(token);
  }

  issue(app: App, account: Account): UserToken {
    const secret = () => randomBytes(18).toString('hex');
    const expiresAt = Date.now() + this.lifetime * 1000;
    const token = { value: `ghu_${secret()}`, refresh: `ghr_${secret()}${secret()}`, app, account, expiresAt };
    this.#tokens.add(token);
    return token;
  }
}

export function tokenJson(token: UserToken, lifetime: number): Record<string, string | number> {
  return {
    access_token: token.value,
    expires_in: lifetime,
    refresh_token: token.refresh,
    refresh_token_expires_in: REFRESH_SECONDS,
    scope: '',
    token_type: 'bearer',
  };
}

function verified({ challenge }: Grant, verifier: string | null): boolean {
  if (challenge === undefined) return true;
  return (
    createHash('sha256')
      .update(verifier ?? '')
      .digest('base64url') === challenge
  );
}
