import type { Encryption } from '../variables/encryption.js';

/** What GitHub lets us do in the name of a person. */
export interface Tokens {
  access: string;
  /** Undefined: the App lets tokens live until they are revoked. Then there is nothing to refresh either. */
  accessExpiresAt: Date | undefined;
  refresh: string | undefined;
}

/** The columns of `sessions` that hold them. */
export interface SealedTokens {
  access_token: Buffer;
  access_expires_at: Date | null;
  refresh_token: Buffer | null;
}

export function sealTokens(encryption: Encryption, session: string, tokens: Tokens): SealedTokens {
  const { access, accessExpiresAt, refresh } = tokens;
  return {
    access_token: encryption.seal(place(session, 'access'), Buffer.from(access)),
    access_expires_at: accessExpiresAt ?? null,
    refresh_token: refresh === undefined ? null : encryption.seal(place(session, 'refresh'), Buffer.from(refresh)),
  };
}

export function openTokens(encryption: Encryption, session: string, sealed: SealedTokens): Tokens {
  const { access_token, access_expires_at, refresh_token } = sealed;
  return {
    access: encryption.open(place(session, 'access'), access_token).toString('utf8'),
    accessExpiresAt: access_expires_at ?? undefined,
    refresh: refresh_token ? encryption.open(place(session, 'refresh'), refresh_token).toString('utf8') : undefined,
  };
}

function place(session: string, kind: 'access' | 'refresh'): string {
  return `session/${session}/${kind}`;
}
