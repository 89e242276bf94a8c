import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Repository } from '../db/schema.js';

/** What every webhook of a repository says about it. */
interface RepositoryPayload {
  repository: { id: number; name: string; default_branch: string; owner: { login: string } | null };
  installation?: { id: number };
}

/**
 * Takes what a webhook says about its repository into the record: renames, transfers and another default branch are
 * followed so. Workspaces that follow the default branch are read again when it is another one.
 */
export async function followRepository(db: Db | Tx, payload: unknown): Promise<Repository> {
  const { repository, installation } = payload as RepositoryPayload;
  if (!installation || !repository.owner) throw new Error('The webhook names no installation or no owner.');
  const seen = {
    installation_id: installation.id,
    owner: repository.owner.login,
    name: repository.name,
    default_branch: repository.default_branch,
  };
  const known = await db.selectFrom('repositories').selectAll().where('id', '=', repository.id).executeTakeFirst();
  if (known && Object.entries(seen).every(([key, value]) => known[key as keyof typeof seen] === value)) return known;
  if (known && known.installation_id !== seen.installation_id) await forgetGitToken(db, repository.id);
  return db
    .insertInto('repositories')
    .values({ id: repository.id, ...seen })
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet({
        ...seen,
        settings_sha: sql`case when repositories.default_branch = excluded.default_branch then repositories.settings_sha end`,
      }),
    )
    .returningAll()
    .executeTakeFirstOrThrow();
}

/** With an installation its tokens end. */
export async function forgetGitToken(db: Db | Tx, id: number): Promise<void> {
  await db.updateTable('git_tokens').set({ token: null }).where('repository_id', '=', id).execute();
}

export async function repository(db: Db | Tx, id: number): Promise<Repository> {
  return db.selectFrom('repositories').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
}
