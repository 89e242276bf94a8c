import { z } from 'zod';
import type { ClientCredentials, Config } from '../config.js';
import { plainOctokit } from '../octokit.js';
import { GitHubAway } from './failure.js';
import type { Tokens } from './tokens.js';

/** GitHub answers, and says no: `code` is its own word for why. */
export class AuthorizationRefused extends Error {
  override name = 'AuthorizationRefused';

  constructor(readonly code: string) {
    super(`GitHub refuses the authorisation (${code}).`);
  }
}

/** The client id or secret is wrong: a mistake of whoever runs Signalbox. */
export const WRONG_CLIENT = 'incorrect_client_credentials';

/** GitHub's errors have status 200, so what the answer is can't be told from that. */
const answers = z.union([
  z.object({ error: z.string() }),
  z.object({
    access_token: z.string().min(1),
    // In seconds. Missing where the App doesn't let tokens expire.
    expires_in: z.number().optional(),
    refresh_token: z.string().min(1).optional(),
  }),
]);

export interface AuthorizationOptions {
  client: ClientCredentials;
  githubUrl: string;
  githubApiUrl: Config['githubApiUrl'];
  callbackUrl: string;
  /** In ms. */
  patience: number;
}

/**
 * The web flow of user access tokens. With fetch, because the libraries at hand don't fit: @octokit/oauth-methods has no
 * PKCE, and its errors carry the request with the client's secret; general OAuth clients go by the status, and know a
 * refresh token that GitHub refuses only as a malformed answer.
 */
export class Authorization {
  readonly #options: AuthorizationOptions;

  constructor(options: AuthorizationOptions) {
    this.#options = options;
  }

  /** GitHub's page on which a person allows it. */
  page({ state, challenge }: { state: string; challenge: string }): string {
    const { client, githubUrl, callbackUrl } = this.#options;
    const query = {
      client_id: client.id,
      redirect_uri: callbackUrl,
      state,
      code_challenge: challenge,
      code_challenge_method: 'S256',
    };
    return `${githubUrl}/login/oauth/authorize?${new URLSearchParams(query)}`;
  }

  /** Throws AuthorizationRefused, or GitHubAway. */
  exchange({ code, verifier }: { code: string; verifier: string }): Promise<Tokens> {
    return this.#ask({ code, code_verifier: verifier, redirect_uri: this.#options.callbackUrl });
  }

  /** A refresh token is good once. Throws AuthorizationRefused, or GitHubAway: then nobody knows whether it was used. */
  refresh(refreshToken: string): Promise<Tokens> {
    return this.#ask({ grant_type: 'refresh_token', refresh_token: refreshToken });
  }

  /** Throws what Octokit throws. */
  async revoke(accessToken: string): Promise<void> {
    const { client, patience } = this.#options;
    const credentials = Buffer.from(`${client.id}:${client.secret}`).toString('base64');
    await plainOctokit(this.#options, { patience }).rest.apps.deleteToken({
      client_id: client.id,
      access_token: accessToken,
      headers: { authorization: `basic ${credentials}` },
    });
  }

  async #ask(fields: Record<string, string>): Promise<Tokens> {
    const { client } = this.#options;
    const asked = Date.now();
    const answer = answers.safeParse(
      await this.#post({ client_id: client.id, client_secret: client.secret, ...fields }),
    );
    if (!answer.success) throw new GitHubAway('GitHub answered something else than a token.');
    if ('error' in answer.data) throw new AuthorizationRefused(answer.data.error);
    const { access_token, expires_in, refresh_token } = answer.data;
    return {
      access: access_token,
      accessExpiresAt: expires_in === undefined ? undefined : new Date(asked + expires_in * 1000),
      refresh: refresh_token,
    };
  }

  async #post(fields: Record<string, string>): Promise<unknown> {
    const { githubUrl, patience } = this.#options;
    let status: number;
    try {
      const answer = await fetch(`${githubUrl}/login/oauth/access_token`, {
        method: 'POST',
        headers: { accept: 'application/json' },
        body: new URLSearchParams(fields),
        redirect: 'error',
        signal: AbortSignal.timeout(patience),
      });
      if (answer.ok) return await answer.json();
      status = answer.status;
    } catch {
      throw new GitHubAway('GitHub does not answer.');
    }
    // For a client id that it doesn't know.
    if (status === 401 || status === 404) throw new AuthorizationRefused(WRONG_CLIENT);
    throw new GitHubAway(`GitHub answers ${status}.`);
  }
}
