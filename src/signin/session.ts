import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Encryption } from '../variables/encryption.js';
import { secret } from './attempt.js';
import { openTokens, sealTokens, type Tokens } from './tokens.js';

/** A person who is signed in in one browser. */
export interface Session {
  /** A hash of what the browser has: fit for the record and for logs. */
  id: string;
  login: string;
  /** What forms of ours carry (see checkForm). */
  csrf: string;
}

/** A session ends so many days after its sign-in, whatever happens. */
export const SESSION_DAYS = 30;
/** And so many days after it was last used. */
const IDLE_DAYS = 7;
/** Its use is noted no more often than this, in minutes: reading a page shouldn't have to write. */
const NOTED_MINUTES = 10;

const end = sql<Date>`least(created_at + make_interval(days => ${SESSION_DAYS}), now() + make_interval(days => ${IDLE_DAYS}))`;

/** The sessions in the record. */
export class Sessions {
  readonly #db: Db;
  readonly #encryption: Encryption;

  constructor(db: Db, encryption: Encryption) {
    this.#db = db;
    this.#encryption = encryption;
  }

  /**
   * Yields what the browser has to bring from now on. Undefined: the sign-in, named by its state, has made a session
   * before, and makes no second one.
   */
  async begin(options: {
    state: string;
    user: { id: number; login: string };
    tokens: Tokens;
  }): Promise<string | undefined> {
    const { state, user, tokens } = options;
    const value = secret();
    const id = hash(value);
    const { numInsertedOrUpdatedRows } = await this.#db
      .insertInto('sessions')
      .values({
        id,
        sign_in: hash(state),
        github_user: user.id,
        login: user.login,
        csrf: secret(),
        ...sealTokens(this.#encryption, id, tokens),
        expires_at: sql<Date>`now() + make_interval(days => ${IDLE_DAYS})`,
      })
      .onConflict((conflict) => conflict.column('sign_in').doNothing())
      .executeTakeFirstOrThrow();
    return numInsertedOrUpdatedRows === 1n ? value : undefined;
  }

  /** The session of a browser that brings this. */
  async find(value: string): Promise<Session | undefined> {
    const row = await this.#db
      .selectFrom('sessions')
      .select([
        'id',
        'login',
        'csrf',
        sql<boolean>`seen_at < now() - make_interval(mins => ${NOTED_MINUTES})`.as('stale'),
      ])
      .where('id', '=', hash(value))
      .where('expires_at', '>', sql<Date>`now()`)
      .executeTakeFirst();
    if (!row) return undefined;
    const { stale, ...session } = row;
    if (stale) await this.#noteUse(session.id);
    return session;
  }

  /** Yields what GitHub can be asked to forget. */
  async end(id: string): Promise<Tokens | undefined> {
    const row = await this.#db
      .deleteFrom('sessions')
      .where('id', '=', id)
      .returning(['access_token', 'access_expires_at', 'refresh_token'])
      .executeTakeFirst();
    return row && openTokens(this.#encryption, id, row);
  }

  /** Not while its tokens are refreshed, which waits for GitHub: the next page will do. */
  async #noteUse(id: string): Promise<void> {
    await this.#db
      .updateTable('sessions')
      .set({ seen_at: sql<Date>`now()`, expires_at: end })
      .where('id', 'in', (one) => one.selectFrom('sessions').select('id').where('id', '=', id).forUpdate().skipLocked())
      .execute();
  }
}

function hash(value: string): string {
  return createHash('sha256').update(value).digest('hex');
}
