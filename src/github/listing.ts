import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Repository } from '../db/schema.js';
import { isRefusedToken } from './failures.js';
import type { Services } from './handling.js';
import {
  comeBack,
  type InstallationState,
  installationHaving,
  leave,
  recordInstallation,
  stateOfInstallation,
} from './installations.js';
import { describeRepository, type RepositoryPayload } from './repositories.js';

/** A repository as lists show it. */
type Listed = RepositoryPayload & { pushed_at?: string | null; archived?: boolean };

/** How old a list of an installation's repositories may get. One call for a hundred repositories. */
const LIST_EVERY = '15 minutes';
/** And how soon a list that failed is asked for again. */
const LIST_AGAIN = '1 minute';
/** What happened longer ago in repositories that are new to us is left alone, as GitHub redelivers nothing older, in ms. */
const LONG_AGO_MS = 3 * 86_400_000;
/** Installations whose repositories are listed in one round. */
const LISTS_A_ROUND = 20;

/**
 * Follows what GitHub says of the App's installations and their repositories, for all that webhooks have not: added,
 * removed, suspended, renamed, transferred, archived. Yields whether there is more to list. Throws the first
 * failure, after every installation had its turn.
 */
export async function followInstallations(services: Services, stop: AbortSignal): Promise<boolean> {
  const { db } = services;
  await followStates(services, stop);
  const due = await db
    .selectFrom('installations')
    .select('id')
    .where('removed_at', 'is', null)
    .where('suspended_at', 'is', null)
    .where((eb) =>
      eb.or([eb('listed_at', 'is', null), eb('listed_at', '<', sql<Date>`now() - ${LIST_EVERY}::interval`)]),
    )
    .orderBy('listed_at', (order) => order.asc().nullsFirst())
    .limit(LISTS_A_ROUND + 1)
    .execute();
  let failure: { error: unknown } | undefined;
  for (const { id } of due.slice(0, LISTS_A_ROUND)) {
    try {
      await followRepositories(services, id, stop);
    } catch (error) {
      failure ??= { error };
      if (isRefusedToken(error)) await services.octokitFor(id, { fresh: true }).catch(() => undefined);
    }
  }
  if (failure) throw failure.error;
  return due.length > LISTS_A_ROUND;
}

async function followStates(services: Services, stop: AbortSignal): Promise<void> {
  const { db, app } = services;
  const rows = await db.selectFrom('installations').selectAll().execute();
  const known = new Map(rows.map((row) => [row.id, row]));
  const seen = new Set<number>();
  for await (const { data } of app.paginate.iterator(app.rest.apps.listInstallations, { per_page: 100 })) {
    stop.throwIfAborted();
    for (const { id, account, suspended_at, created_at } of data) {
      seen.add(id);
      const row = known.get(id);
      const login = account && 'login' in account ? account.login : '';
      const state: InstallationState = suspended_at ? 'suspended' : 'active';
      const same = row?.account === login && row.removed_at === null && (row.suspended_at !== null) === !!suspended_at;
      if (!same) await record(db, { id, account: login }, state);
      // What it was installed on was missed since then, if nobody told of it.
      const since = new Date(created_at);
      if (row?.listed_to == null) {
        await db.updateTable('installations').set({ listed_to: since }).where('id', '=', id).execute();
      }
    }
  }
  const missing = rows.filter(({ id, removed_at }) => removed_at === null && !seen.has(id)).map(({ id }) => id);
  const unheardOf = await db
    .selectFrom('repositories')
    .select('installation_id')
    .distinct()
    .where('removed_at', 'is', null)
    .where('installation_id', 'not in', (eb) => eb.selectFrom('installations').select('id'))
    .execute();
  for (const id of [...missing, ...unheardOf.map((row) => row.installation_id)]) {
    if (seen.has(id)) continue;
    // It may have come while the others were listed.
    const state = await stateOfInstallation(services, id);
    await record(db, { id, account: known.get(id)?.account ?? '' }, state);
  }
}

function record(db: Db, installation: { id: number; account: string }, state: InstallationState): Promise<void> {
  return db.transaction().execute((tx) => recordInstallation(tx, installation, state));
}

async function followRepositories(services: Services, installation: number, stop: AbortSignal): Promise<void> {
  const { db } = services;
  // Before it begins: a webhook that asks for another list meanwhile is not to be forgotten.
  const begun = await db
    .updateTable('installations')
    .set({ listed_at: sql`now()` })
    .where('id', '=', installation)
    .returning([sql<Date>`now()`.as('at'), 'listed_to'])
    .executeTakeFirstOrThrow();
  try {
    const longAgo = begun.at.getTime() - LONG_AGO_MS;
    const since = new Date(Math.max((begun.listed_to ?? begun.at).getTime(), longAgo));
    await listRepositories(services, installation, since, stop);
    await db.updateTable('installations').set({ listed_to: begun.at }).where('id', '=', installation).execute();
  } catch (error) {
    // Soon again, and not before all others.
    await db
      .updateTable('installations')
      .set({ listed_at: sql`now() - ${LIST_EVERY}::interval + ${LIST_AGAIN}::interval` })
      .where('id', '=', installation)
      .execute();
    throw error;
  }
}

async function listRepositories(
  services: Services,
  installation: number,
  since: Date,
  stop: AbortSignal,
): Promise<void> {
  const { db, octokitFor } = services;
  const octokit = await octokitFor(installation);
  const seen = new Set<number>();
  const list = octokit.rest.apps.listReposAccessibleToInstallation;
  for await (const { data } of octokit.paginate.iterator(list, { per_page: 100 })) {
    stop.throwIfAborted();
    const listed = data as unknown as Listed[];
    for (const { id } of listed) seen.add(id);
    await followListed(db, listed, installation, since);
  }
  const rows = await db
    .selectFrom('repositories')
    .selectAll()
    .where('installation_id', '=', installation)
    .where('removed_at', 'is', null)
    .execute();
  for (const row of rows) {
    if (seen.has(row.id)) continue;
    stop.throwIfAborted();
    // It may have been added meanwhile, or belong to another installation, whose list will tell.
    if ((await installationHaving(services, row)) !== undefined) continue;
    const reason = 'The repository was taken from the GitHub App.';
    await db.transaction().execute((tx) => leave(tx, [row.id], reason));
  }
}

async function followListed(db: Db, listed: readonly Listed[], installation: number, since: Date): Promise<void> {
  if (listed.length === 0) return;
  const ids = listed.map(({ id }) => id);
  const rows = await db.selectFrom('repositories').selectAll().where('id', 'in', ids).execute();
  const known = new Map(rows.map((row) => [row.id, row]));
  for (const repository of listed) await followOne(db, known.get(repository.id), repository, installation);
  const pushes = listed.map(({ id, pushed_at }) => ({ id, pushed_at: pushed_at ?? null }));
  const fresh = ids.filter((id) => !known.has(id));
  if (fresh.length > 0) {
    await db
      .updateTable('repositories')
      .set({ pulls_compared_to: since })
      .where('id', 'in', fresh)
      .where('pulls_compared_to', 'is', null)
      .execute();
  }
  await sql`
    update repositories set pushed_at = listed.pushed_at
    from jsonb_to_recordset(${JSON.stringify(pushes)}::jsonb) as listed (id bigint, pushed_at timestamptz)
    where repositories.id = listed.id and repositories.pushed_at is distinct from listed.pushed_at`.execute(db);
}

async function followOne(db: Db, row: Repository | undefined, listed: Listed, installation: number): Promise<void> {
  const now = await describeRepository(db, row, listed, installation);
  if (listed.archived && now.removed_at === null) {
    await db.transaction().execute((tx) => leave(tx, [now.id], 'The repository was archived.'));
  } else if (!listed.archived && now.removed_at !== null) {
    await db.transaction().execute((tx) => comeBack(tx, [now.id]));
  }
}
