import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Repository } from '../db/schema.js';

/** What GitHub says of a repository, in webhooks and in REST. */
export interface RepositoryPayload {
  id: number;
  name: string;
  default_branch: string;
  owner: { login: string } | null;
  updated_at?: string | null;
}

/**
 * Takes what a webhook says about its repository into the record: renames, transfers and another default branch are
 * followed so. A webhook that comes late doesn't take back what is known since.
 */
export async function followRepository(db: Db | Tx, payload: unknown): Promise<Repository> {
  const { repository, installation } = payload as {
    repository: RepositoryPayload;
    installation?: { id: number };
  };
  if (!installation) throw new Error('The webhook names no installation.');
  const known = await db.selectFrom('repositories').selectAll().where('id', '=', repository.id).executeTakeFirst();
  if (known && (isOlder(repository, known) || (await hasEnded(db, installation.id)))) return known;
  return describeRepository(db, known, repository, installation.id);
}

/**
 * Brings the record to a description of a repository. Workspaces that follow the default branch are read again when it is
 * another one; tokens end with an installation.
 */
export async function describeRepository(
  db: Db | Tx,
  known: Repository | undefined,
  payload: RepositoryPayload,
  installation: number,
): Promise<Repository> {
  if (!payload.owner) throw new Error('The repository has no owner.');
  const seen = {
    installation_id: installation,
    owner: payload.owner.login,
    name: payload.name,
    default_branch: payload.default_branch,
  };
  if (known && Object.entries(seen).every(([key, value]) => known[key as keyof typeof seen] === value)) return known;
  if (known && known.installation_id !== seen.installation_id) await forgetGitToken(db, payload.id);
  const described = { ...seen, described_at: describedAt(payload) ?? null };
  return db
    .insertInto('repositories')
    .values({ id: payload.id, ...described })
    .onConflict((conflict) =>
      conflict.column('id').doUpdateSet({
        ...described,
        settings_sha: sql`case when repositories.default_branch = excluded.default_branch then repositories.settings_sha end`,
        // Another default branch is another one to compare.
        compared_at: null,
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

function describedAt({ updated_at }: RepositoryPayload): Date | undefined {
  const time = new Date(updated_at ?? '');
  return Number.isNaN(time.getTime()) ? undefined : time;
}

function isOlder(payload: RepositoryPayload, known: Repository): boolean {
  const at = describedAt(payload);
  return at !== undefined && known.described_at !== null && at < known.described_at;
}

async function hasEnded(db: Db | Tx, installation: number): Promise<boolean> {
  const row = await db
    .selectFrom('installations')
    .select('id')
    .where('id', '=', installation)
    .where('removed_at', 'is not', null)
    .executeTakeFirst();
  return row !== undefined;
}
