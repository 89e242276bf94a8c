import { sql } from 'kysely';
import { notify } from '../db/notifications.js';
import type { Db, Tx } from '../db/pool.js';
import type { Repository } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { cancelRun } from '../runs/actions.js';
import { isNotFound } from './failures.js';
import type { Services } from './handling.js';

/** What GitHub says of an installation of the App now. */
export type InstallationState = 'active' | 'suspended' | 'gone';

type Asking = Pick<Services, 'app'>;

/** Reports that are made again when a repository comes back, at most: the newest. */
const MANY_REPORTS = 1_000;

export async function stateOfInstallation({ app }: Asking, id: number): Promise<InstallationState> {
  try {
    const { data } = await app.rest.apps.getInstallation({ installation_id: id });
    return data.suspended_at ? 'suspended' : 'active';
  } catch (error) {
    if (isNotFound(error)) return 'gone';
    throw error;
  }
}

/** The installation that has a repository now, by whatever name; undefined where none has. */
export async function installationHaving(
  { app }: Asking,
  { owner, name }: Pick<Repository, 'owner' | 'name'>,
): Promise<number | undefined> {
  try {
    return (await app.rest.apps.getRepoInstallation({ owner, repo: name })).data.id;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/**
 * Brings the record to an installation's state. Where it is gone or suspended the runs of its repositories end, except an
 * apply under way: nobody could see or confirm them. Where it has come back its repositories are listed and compared.
 */
export async function recordInstallation(
  tx: Tx,
  { id, account }: { id: number; account: string },
  state: InstallationState,
): Promise<void> {
  const before = await tx.selectFrom('installations').selectAll().where('id', '=', id).forUpdate().executeTakeFirst();
  const was: InstallationState | undefined =
    before && (before.removed_at ? 'gone' : before.suspended_at ? 'suspended' : 'active');
  if (was === state && before?.account === account) return;
  const row = {
    account,
    suspended_at: state === 'suspended' ? sql<Date>`now()` : null,
    removed_at: state === 'gone' ? sql<Date>`now()` : null,
  };
  await tx
    .insertInto('installations')
    .values({ id, ...row })
    .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
    .execute();
  if (was === state) return;
  const repositories = await presentRepositories(tx, id);
  if (state === 'active') {
    await listSoon(tx, id);
    if (was !== undefined) await comeBack(tx, repositories);
  } else if (state === 'gone') await leave(tx, repositories, 'The GitHub App was uninstalled.');
  else await endRuns(tx, repositories, 'The GitHub App was suspended.');
}

/** An installation's repositories are listed, and compared, in the next seconds. */
export async function listSoon(tx: Tx, id: number): Promise<void> {
  await tx.updateTable('installations').set({ listed_at: null }).where('id', '=', id).execute();
  await notify(tx, 'missed');
}

/** Repositories that aren't the App's any more, or are read-only: they aren't looked at, and their runs end. */
export async function leave(tx: Tx, repositories: readonly number[], reason: string): Promise<void> {
  if (repositories.length === 0) return;
  await tx
    .updateTable('repositories')
    .set({ removed_at: sql`now()` })
    .where('id', 'in', repositories)
    .where('removed_at', 'is', null)
    .execute();
  await endRuns(tx, repositories, reason);
}

/** Repositories that are the App's again: what GitHub shows of them may be of another time. */
export async function comeBack(tx: Tx, repositories: readonly number[]): Promise<void> {
  if (repositories.length === 0) return;
  await tx
    .updateTable('repositories')
    .set({ removed_at: null, compared_at: null })
    .where('id', 'in', repositories)
    .execute();
  const runs = await tx
    .selectFrom('runs')
    .select('id')
    .where('repository_id', 'in', repositories)
    .where((eb) =>
      eb.or([
        eb('ended_at', 'is', null),
        eb.exists(
          eb.selectFrom('check_runs').select('id').whereRef('run_id', '=', 'runs.id').where('completed', '=', false),
        ),
      ]),
    )
    .orderBy('sequence', 'desc')
    .limit(MANY_REPORTS)
    .execute();
  const pullRequests = await tx
    .selectFrom('pull_requests')
    .select(['repository_id as repository', 'number', 'head_sha as sha'])
    .where('repository_id', 'in', repositories)
    .where('state', '=', 'open')
    .orderBy('updated_at', (order) => order.desc().nullsLast())
    .limit(MANY_REPORTS)
    .execute();
  await enqueue(
    tx,
    ...runs.map(({ id }) => ({ kind: 'run_report' as const, run: id })),
    ...pullRequests.flatMap(({ repository, number, sha }) => [
      { kind: 'pull_request_report' as const, repository, number },
      { kind: 'head_report' as const, repository, sha },
    ]),
  );
  await notify(tx, 'missed');
}

async function presentRepositories(db: Db | Tx, installation: number): Promise<number[]> {
  const rows = await db
    .selectFrom('repositories')
    .select('id')
    .where('installation_id', '=', installation)
    .where('removed_at', 'is', null)
    .execute();
  return rows.map(({ id }) => id);
}

async function endRuns(tx: Tx, repositories: readonly number[], reason: string): Promise<void> {
  if (repositories.length === 0) return;
  const runs = await tx
    .selectFrom('runs')
    .selectAll()
    .where('repository_id', 'in', repositories)
    .where('ended_at', 'is', null)
    .where('state', '<>', 'applying')
    .orderBy('sequence', 'desc')
    .execute();
  for (const run of runs) await cancelRun(tx, run, reason);
}
