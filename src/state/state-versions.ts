import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import { readStateSummary } from '../terraform/state-file.js';
import type { Encryption } from '../variables/encryption.js';

/** Whose Terraform writes: the record compares the hash with that of the run's present credentials. */
export interface StateWriter {
  run: string;
  workspace: number;
  /** SHA-256 of the run's token, in hex. */
  tokenHash: string;
}

/** The run's credentials for state are no longer valid. Nothing of it was stored, and nothing will be. */
export class StateRevoked extends Error {
  override name = 'StateRevoked';
  constructor(readonly run: string) {
    super(`The state credentials of ${run} were revoked.`);
  }
}

/** State versions in the record, each sealed for its workspace. */
export class StateVersions {
  readonly #db: Db;
  readonly #encryption: Encryption;

  constructor(db: Db, encryption: Encryption) {
    this.#db = db;
    this.#encryption = encryption;
  }

  seal(workspace: number, state: Buffer): Buffer {
    return this.#encryption.seal(placeOf(workspace), state);
  }

  /** Throws SealBroken. */
  open(workspace: number, sealed: Buffer): Buffer {
    return this.#encryption.open(placeOf(workspace), sealed);
  }

  /**
   * Stores a snapshot as the workspace's newest. What is the newest already isn't stored again, nor what this run has
   * stored before: an attempt that was given up may still arrive, after later snapshots even. Throws StateRevoked,
   * StateFileError, SealBroken.
   */
  async save(writer: StateWriter, sealed: Buffer): Promise<void> {
    const state = this.open(writer.workspace, sealed);
    const { serial, lineage, resources } = readStateSummary(state);
    const md5 = createHash('md5').update(state).digest('hex');
    await this.#db.transaction().execute(async (tx) => {
      // Whoever revokes waits for this transaction, or this one waits and sees that it was revoked; and attempts at one
      // snapshot see each other's.
      if (!(await mayWrite(tx, writer, true))) throw new StateRevoked(writer.run);
      await sql`
        insert into state_versions (workspace_id, run_id, serial, lineage, md5, resources, state)
        select runs.workspace_id, runs.id, ${serial}::bigint, ${lineage}, ${md5}, ${resources}::integer, ${sealed}::bytea
        from runs where ${isWriter(writer)}
          and not exists (
            select from state_versions stored
            where stored.workspace_id = runs.workspace_id and stored.md5 = ${md5}
              and (stored.run_id = runs.id
                or stored.id = (select max(id) from state_versions where workspace_id = runs.workspace_id)))`.execute(
        tx,
      );
    });
  }

  /** The workspace's newest snapshot, still sealed, or undefined when it has none. */
  async newest(workspace: number): Promise<Buffer | undefined> {
    const row = await this.#db
      .selectFrom('state_versions')
      .select('state')
      .where('workspace_id', '=', workspace)
      .orderBy('id', 'desc')
      .limit(1)
      .executeTakeFirst();
    return row?.state;
  }

  /** Throws StateRevoked. */
  async checkWriter(writer: StateWriter): Promise<void> {
    if (!(await mayWrite(this.#db, writer, false))) throw new StateRevoked(writer.run);
  }
}

/** The fence: true for rows of `runs` that are this run with these credentials, not revoked. */
export function isWriter({ run, workspace, tokenHash }: StateWriter) {
  return sql<boolean>`(runs.id = ${run} and runs.workspace_id = ${workspace} and runs.state_token_hash = ${tokenHash}
    and runs.state_revoked_at is null)`;
}

async function mayWrite(db: Db | Tx, writer: StateWriter, lock: boolean): Promise<boolean> {
  const { rows } = await sql`
    select from runs where ${isWriter(writer)} ${lock ? sql`for no key update` : sql``}`.execute(db);
  return rows.length > 0;
}

function placeOf(workspace: number): string {
  return `state/${workspace}`;
}
