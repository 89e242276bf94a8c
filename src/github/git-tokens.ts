import { sql } from 'kysely';
import { type Notifications, notify } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import { TokenRefused } from '../git/git-error.js';
import type { Log } from '../log.js';
import type { InstallationOctokit } from '../octokit.js';
import { Complaints } from '../queue/complaints.js';
import type { Encryption } from '../variables/encryption.js';
import { isPassing, TryLater } from './failures.js';
import { repository as findRepository, forgetGitToken } from './repositories.js';

/** A token to read one repository with git, and nothing else. */
export interface GitToken {
  token: string;
  expiresAt: Date;
}

export type Mint = (repositoryId: number) => Promise<GitToken>;

export interface TokenSource {
  /** A token that is good for ten minutes at least. Throws TokenRefused, or TryLater. */
  tokenFor(repositoryId: number): Promise<string>;
  /** Git refused the token: the next one is a new one. */
  forget(repositoryId: number): Promise<void>;
}

const SPARE_MINUTES = 10;
const PATIENCE_MS = 30_000;
const POLL_MS = 1_000;

/** Mints tokens with the App's key. `appOctokit` is signed in as the App itself. */
export function createMint(db: Db, appOctokit: InstallationOctokit): Mint {
  return async (repositoryId) => {
    const { installation_id, owner, name } = await findRepository(db, repositoryId);
    try {
      const { data } = await appOctokit.rest.apps.createInstallationAccessToken({
        installation_id,
        repository_ids: [repositoryId],
        permissions: { contents: 'read' },
      });
      return { token: data.token, expiresAt: new Date(data.expires_at) };
    } catch (error) {
      if (isPassing(error)) throw error;
      const status = (error as { status?: unknown }).status ?? 'no answer';
      throw new TokenRefused(`GitHub grants no access to ${owner}/${name} (${status}): is the App installed there?`);
    }
  };
}

/** Tokens from the App's key where there is one (`mint`); otherwise web is asked for them through the record. */
export function createTokenSource(options: {
  db: Db;
  encryption: Encryption;
  notifications: Pick<Notifications, 'on'>;
  mint?: Mint | undefined;
}): TokenSource {
  const { db, mint } = options;
  const cached = new Map<string, Promise<GitToken>>();
  const fetch = (repositoryId: number) => (mint ? mint(repositoryId) : askWeb(options, repositoryId));

  /** With an installation its tokens end: what comes after it has another key. */
  const keyOf = async (id: number) => `${id} in ${(await findRepository(db, id)).installation_id}`;
  const tokenFor = async (repositoryId: number): Promise<string> => {
    const key = await keyOf(repositoryId);
    const known = cached.get(key);
    if (known) {
      const { token, expiresAt } = await known;
      if (isFresh(expiresAt)) return token;
    }
    // Somebody who waited for the same old token may have been quicker.
    const newer = cached.get(key);
    if (newer && newer !== known) return (await newer).token;
    const pending = fetch(repositoryId);
    cached.set(key, pending);
    pending.catch(() => {
      if (cached.get(key) === pending) cached.delete(key);
    });
    return (await pending).token;
  };
  const forget = async (repositoryId: number): Promise<void> => {
    cached.delete(await keyOf(repositoryId));
    if (!mint) await forgetGitToken(db, repositoryId);
  };
  return { tokenFor, forget };
}

/** Answers, in web, what workers without a key ask for. Yields the function that stops it. */
export function serveTokens(options: {
  db: Db;
  encryption: Encryption;
  notifications: Pick<Notifications, 'on'>;
  mint: Mint;
  log: Log;
}): () => Promise<void> {
  const { db, notifications, log } = options;
  const complaints = new Complaints(log);
  let again = false;
  let isWorking = false;
  let working: Promise<void> | undefined;
  const work = async () => {
    while (again) {
      again = false;
      try {
        const asked = await unanswered(db);
        for (const id of asked) await answer(options, id);
        if (asked.length > 0) complaints.settle('tokens', 'Workers get their git tokens again');
      } catch (error) {
        complaints.raise('tokens', "A worker's request for a git token waits", error);
      }
    }
    isWorking = false;
  };
  const wake = () => {
    again = true;
    if (isWorking) return;
    isWorking = true;
    working = work();
  };
  const unsubscribe = notifications.on('git_tokens', wake);
  const poll = setInterval(wake, 5 * POLL_MS);
  wake();
  return async () => {
    unsubscribe();
    clearInterval(poll);
    await working;
  };
}

/** Requests of the last minute without an answer: whoever asked before has given up. */
async function unanswered(db: Db): Promise<number[]> {
  const rows = await db
    .selectFrom('git_tokens')
    .select('repository_id')
    .where('requested_at', '>', sql<Date>`now() - interval '1 minute'`)
    .where('error', 'is', null)
    .where((eb) => eb.or([eb('token', 'is', null), eb('expires_at', '<', soonest())]))
    .execute();
  return rows.map((row) => row.repository_id);
}

async function answer(options: { db: Db; encryption: Encryption; mint: Mint }, id: number): Promise<void> {
  const { db, encryption } = options;
  try {
    const { token, expiresAt } = await options.mint(id);
    const sealed = encryption.seal(place(id), Buffer.from(token));
    await db
      .updateTable('git_tokens')
      .set({ token: sealed, expires_at: expiresAt, error: null })
      .where('repository_id', '=', id)
      .execute();
  } catch (error) {
    if (!(error instanceof TokenRefused)) throw error;
    const { message } = error;
    await db.updateTable('git_tokens').set({ token: null, error: message }).where('repository_id', '=', id).execute();
  }
  await notify(db, 'git_tokens', String(id));
}

async function askWeb(
  { db, encryption, notifications }: { db: Db; encryption: Encryption; notifications: Pick<Notifications, 'on'> },
  id: number,
): Promise<GitToken> {
  const recorded = await readAnswer(db, encryption, id);
  if (recorded?.token) return recorded.token;
  const asked = { requested_at: sql<Date>`now()`, error: null };
  await db
    .insertInto('git_tokens')
    .values({ repository_id: id, ...asked })
    .onConflict((conflict) => conflict.column('repository_id').doUpdateSet(asked))
    .execute();
  await notify(db, 'git_tokens', String(id));

  const deadline = Date.now() + PATIENCE_MS;
  while (Date.now() < deadline) {
    await nextWake(notifications, id);
    const answered = await readAnswer(db, encryption, id);
    if (answered?.error) throw new TokenRefused(answered.error);
    if (answered?.token) return answered.token;
  }
  throw new TryLater('Web, which has the key of the App, gave no token to read the repository with in 30 s.');
}

async function readAnswer(
  db: Db,
  encryption: Encryption,
  id: number,
): Promise<{ token?: GitToken; error?: string } | undefined> {
  const row = await db
    .selectFrom('git_tokens')
    .select(['token', 'expires_at', 'error', sql<boolean>`expires_at > ${soonest()}`.as('fresh')])
    .where('repository_id', '=', id)
    .executeTakeFirst();
  if (!row) return undefined;
  if (row.error !== null) return { error: row.error };
  if (!row.token || !row.expires_at || !row.fresh) return {};
  return { token: { token: encryption.open(place(id), row.token).toString('utf8'), expiresAt: row.expires_at } };
}

/** Until somebody writes about that repository's token, or a second has passed. */
async function nextWake(notifications: Pick<Notifications, 'on'>, id: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(done, POLL_MS);
    const unsubscribe = notifications.on('git_tokens', (subject) => {
      if (subject === '' || subject === String(id)) done();
    });
    function done() {
      clearTimeout(timer);
      unsubscribe();
      resolve();
    }
  });
}

function isFresh(expiresAt: Date): boolean {
  return expiresAt.getTime() - Date.now() > SPARE_MINUTES * 60_000;
}

function soonest() {
  return sql<Date>`now() + make_interval(mins => ${SPARE_MINUTES})`;
}

function place(repositoryId: number): string {
  return `git-token/${repositoryId}`;
}
