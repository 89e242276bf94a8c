import { cancelRun } from '../runs/actions.js';
import type { InstallationReceived } from './handling.js';
import { forgetGitToken } from './repositories.js';

/**
 * The App was installed, uninstalled or suspended. Repositories come into the record with their first webhook; those on
 * record follow to a new installation, or lose their runs, except an apply under way: nobody could see or confirm them.
 */
export async function installation(event: InstallationReceived<'installation'>): Promise<void> {
  const { payload } = event;
  const { id } = payload.installation;
  if (payload.action === 'created') {
    return follow(
      event,
      id,
      (payload.repositories ?? []).map((repository) => repository.id),
    );
  }
  const reasons: Partial<Record<typeof payload.action, string>> = {
    deleted: 'The GitHub App was uninstalled.',
    suspend: 'The GitHub App was suspended.',
  };
  const reason = reasons[payload.action];
  if (reason === undefined) return;
  const rows = await event.db.selectFrom('repositories').select('id').where('installation_id', '=', id).execute();
  await endRuns(
    event,
    rows.map((row) => row.id),
    reason,
  );
}

/** Repositories were added to the installation, or taken from it. */
export async function installationRepositories(
  event: InstallationReceived<'installation_repositories'>,
): Promise<void> {
  const { payload } = event;
  const ids = (repositories: readonly { id?: number }[]) => repositories.flatMap(({ id }) => (id ? [id] : []));
  if (payload.action === 'added') return follow(event, payload.installation.id, ids(payload.repositories_added));
  const reason = 'The repository was taken from the GitHub App.';
  await endRuns(event, ids(payload.repositories_removed), reason);
}

type Event = Pick<InstallationReceived<'installation'>, 'commit'>;

async function follow(event: Event, installation: number, repositories: number[]): Promise<void> {
  if (repositories.length === 0) return;
  await event.commit(async (tx) => {
    await tx
      .updateTable('repositories')
      .set({ installation_id: installation, settings_sha: null })
      .where('id', 'in', repositories)
      .execute();
    for (const id of repositories) await forgetGitToken(tx, id);
  });
}

async function endRuns(event: Event, repositories: number[], reason: string): Promise<void> {
  if (repositories.length === 0) return;
  await event.commit(async (tx) => {
    const runs = await tx
      .selectFrom('runs')
      .selectAll()
      .where('repository_id', 'in', repositories)
      .where('ended_at', 'is', null)
      .where('state', '<>', 'applying')
      .orderBy('sequence', 'desc')
      .execute();
    for (const run of runs) await cancelRun(tx, run, reason);
  });
}
