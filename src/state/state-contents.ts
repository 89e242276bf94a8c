import { sql } from 'kysely';
import { type Listing, readPage } from '../db/listing.js';
import type { Db } from '../db/pool.js';
import type { StateVersion } from '../db/schema.js';
import { readStateContents, type StateContents } from '../terraform/state-file.js';
import type { Encryption } from '../variables/encryption.js';
import { StateVersions } from './state-versions.js';

export type { StateContents, StateResource } from '../terraform/state-file.js';

export type ListedStateVersion = Pick<StateVersion, (typeof LISTED)[number]>;

const LISTED = ['id', 'serial', 'lineage', 'resources', 'created_at', 'run_id'] as const;

/** A workspace's state versions, the newest first. Throws BadCursor. */
export async function listStateVersions(
  db: Db,
  wanted: { workspace: number; before?: string | undefined; after?: string | undefined; limit?: number },
): Promise<Listing<ListedStateVersion>> {
  const { workspace, limit = 20 } = wanted;
  const paging = { list: 'states', columns: [sql`id`], keyOf: (row: ListedStateVersion) => [row.id], limit };
  return readPage(paging, wanted, ({ beyond, order, limit }) =>
    db
      .selectFrom('state_versions')
      .select(LISTED)
      .where('workspace_id', '=', workspace)
      .where(beyond)
      .orderBy(order)
      .limit(limit)
      .execute(),
  );
}

/** Undefined where the workspace has no such version (any more). */
export async function findStateVersion(db: Db, workspace: number, id: number): Promise<ListedStateVersion | undefined> {
  if (!Number.isSafeInteger(id)) return undefined;
  return db
    .selectFrom('state_versions')
    .select(LISTED)
    .where('workspace_id', '=', workspace)
    .where('id', '=', id)
    .executeTakeFirst();
}

/**
 * What one of a workspace's state versions holds, without values. Undefined where it has no such version (any more). Throws
 * StateFileError, SealBroken.
 */
export async function stateContents(
  db: Db,
  encryption: Encryption,
  workspace: number,
  id: number,
): Promise<StateContents | undefined> {
  if (!Number.isSafeInteger(id)) return undefined;
  const row = await db
    .selectFrom('state_versions')
    .select('state')
    .where('workspace_id', '=', workspace)
    .where('id', '=', id)
    .executeTakeFirst();
  return row && readStateContents(new StateVersions(db, encryption).open(workspace, row.state));
}
