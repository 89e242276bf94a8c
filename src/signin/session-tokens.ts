import { sql } from 'kysely';
import pLimit from 'p-limit';
import type { Db } from '../db/pool.js';
import type { Encryption } from '../variables/encryption.js';
import { type Authorization, AuthorizationRefused, WRONG_CLIENT } from './authorization.js';
import { GitHubAway, SessionOver } from './failure.js';
import { openTokens, sealTokens, type Tokens } from './tokens.js';

/** A token is refreshed when so little is left of its eight hours, in ms. */
const SPARE_MS = 5 * 60_000;
/** A refresh holds a connection to the record while GitHub answers: there mustn't be many. */
const AT_ONCE = 3;

/**
 * The access tokens of sessions. GitHub's refresh tokens work once, so a refresh happens once, however many requests and
 * processes want it: within a process they share it, between processes the session's row is locked.
 */
export class SessionTokens {
  readonly #db: Db;
  readonly #encryption: Encryption;
  readonly #authorization: Authorization;
  readonly #refreshes = new Map<string, Promise<string>>();
  readonly #limit = pLimit(AT_ONCE);

  constructor(db: Db, encryption: Encryption, authorization: Authorization) {
    this.#db = db;
    this.#encryption = encryption;
    this.#authorization = authorization;
  }

  /** A token that is good for a while. Throws SessionOver, or GitHubAway. */
  async of(session: string): Promise<string> {
    const row = await this.#rows(this.#db, session).executeTakeFirst();
    if (!row) throw new SessionOver();
    const { access, accessExpiresAt } = openTokens(this.#encryption, session, row);
    const left = accessExpiresAt === undefined ? Number.POSITIVE_INFINITY : accessExpiresAt.getTime() - Date.now();
    return left > SPARE_MS ? access : this.replace(session, access);
  }

  /**
   * Another token than `old`, which runs out or which GitHub doesn't take. Where GitHub doesn't give one, the session ends:
   * also when it gave one before and its answer was lost. Throws SessionOver, or GitHubAway.
   */
  replace(session: string, old: string): Promise<string> {
    const underWay = this.#refreshes.get(session);
    if (underWay) return underWay;
    const refresh = this.#limit(() => this.#replace(session, old)).finally(() => this.#refreshes.delete(session));
    this.#refreshes.set(session, refresh);
    return refresh;
  }

  async #replace(session: string, old: string): Promise<string> {
    const token = await this.#db.transaction().execute(async (tx) => {
      const row = await this.#rows(tx, session).forUpdate().executeTakeFirst();
      if (!row) return undefined;
      const tokens = openTokens(this.#encryption, session, row);
      // Another process was quicker.
      if (tokens.access !== old) return tokens.access;
      const fresh = await this.#refresh(tokens);
      if (fresh) {
        const sealed = sealTokens(this.#encryption, session, fresh);
        await tx.updateTable('sessions').set(sealed).where('id', '=', session).execute();
      } else {
        await tx.deleteFrom('sessions').where('id', '=', session).execute();
      }
      return fresh?.access;
    });
    if (token === undefined) throw new SessionOver();
    return token;
  }

  /** Undefined: GitHub gives no more. */
  async #refresh({ refresh }: Tokens): Promise<Tokens | undefined> {
    if (refresh === undefined) return undefined;
    try {
      return await this.#authorization.refresh(refresh);
    } catch (error) {
      if (!(error instanceof AuthorizationRefused)) throw error;
      // Nobody's session should end over a mistake in the configuration.
      if (error.code === WRONG_CLIENT)
        throw new GitHubAway('GitHub does not take the client secret of this Signalbox.');
      return undefined;
    }
  }

  #rows(db: Db, session: string) {
    return db
      .selectFrom('sessions')
      .select(['access_token', 'access_expires_at', 'refresh_token'])
      .where('id', '=', session)
      .where('expires_at', '>', sql<Date>`now()`);
  }
}
