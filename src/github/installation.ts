import type { Tx } from '../db/pool.js';
import type { InstallationReceived, Received } from './handling.js';
import {
  comeBack,
  installationHaving,
  leave,
  listSoon,
  recordInstallation,
  stateOfInstallation,
} from './installations.js';
import { describeRepository, forgetGitToken } from './repositories.js';

/*
 * These webhooks say that there is something to look at. What counts is what GitHub says when they are handled: they come
 * late, and come again.
 */

const TAKEN = 'The repository was taken from the GitHub App.';

/** The App was installed, uninstalled, suspended or taken up again, or was granted other permissions. */
export async function installation(event: InstallationReceived<'installation'>): Promise<void> {
  const { payload } = event;
  const { id, account } = payload.installation;
  const state = await stateOfInstallation(event, id);
  const login = account && 'login' in account ? account.login : '';
  const repositories = payload.action === 'created' && state === 'active' ? idsOf(payload.repositories) : [];
  await event.commit(async (tx) => {
    await recordInstallation(tx, { id, account: login }, state);
    await adopt(tx, id, repositories);
    // With new permissions something may work that was refused.
    if (payload.action === 'new_permissions_accepted' && state === 'active') await listSoon(tx, id);
  });
}

/** Repositories were added to the installation, or taken from it. */
export async function installationRepositories(
  event: InstallationReceived<'installation_repositories'>,
): Promise<void> {
  const { payload, db } = event;
  const { id } = payload.installation;
  if (payload.action === 'added') {
    const added = idsOf(payload.repositories_added);
    if ((await stateOfInstallation(event, id)) !== 'active') return;
    return event.commit(async (tx) => {
      await adopt(tx, id, added);
      await listSoon(tx, id);
    });
  }
  const removed = idsOf(payload.repositories_removed);
  if (removed.length === 0) return;
  const rows = await db.selectFrom('repositories').selectAll().where('id', 'in', removed).execute();
  const gone: number[] = [];
  for (const row of rows) if ((await installationHaving(event, row)) === undefined) gone.push(row.id);
  await event.commit((tx) => leave(tx, gone, TAKEN));
}

/** A repository was renamed, transferred, deleted, archived or edited: its row was brought up to date already. */
export async function repository(event: Received<'repository'>): Promise<void> {
  const { payload, repository: row } = event;
  const having = await installationHaving(event, row);
  const reason = payload.action === 'deleted' ? 'The repository was deleted.' : TAKEN;
  if (having === undefined) return event.commit((tx) => leave(tx, [row.id], reason));
  const octokit = await event.octokitFor(having);
  const { data } = await octokit.rest.repos.get({ owner: row.owner, repo: row.name });
  // Another one has the name.
  if (data.id !== row.id) return;
  await event.commit(async (tx) => {
    const now = await describeRepository(tx, row, data, having);
    if (data.archived) await leave(tx, [row.id], 'The repository was archived.');
    else if (now.removed_at !== null) await comeBack(tx, [row.id]);
  });
}

/** Repositories on record follow to an installation that has them now. Others come into the record by being listed. */
async function adopt(tx: Tx, installationId: number, repositories: number[]): Promise<void> {
  if (repositories.length === 0) return;
  const before = await tx.selectFrom('repositories').select('id').where('id', 'in', repositories).execute();
  const known = before.map(({ id }) => id);
  if (known.length === 0) return;
  await tx
    .updateTable('repositories')
    .set({ installation_id: installationId, settings_sha: null })
    .where('id', 'in', known)
    .execute();
  for (const id of known) await forgetGitToken(tx, id);
  await comeBack(tx, known);
}

function idsOf(repositories: readonly { id?: number }[] | undefined): number[] {
  return (repositories ?? []).flatMap(({ id }) => (id ? [id] : []));
}
