import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { StateLock } from '../db/schema.js';
import { isWriter, StateRevoked, type StateWriter } from './state-versions.js';

/**
 * Takes the workspace's state lock for a run's Terraform. Yields undefined when it has it, else who holds it. A lock
 * whose run has ended, or may not write any more, counts as free. Throws StateRevoked.
 */
export async function acquireStateLock(
  db: Db,
  writer: StateWriter,
  info: StateLock['info'],
): Promise<StateLock | undefined> {
  const lock = JSON.stringify({ run: writer.run, info } satisfies StateLock);
  const { rows } = await sql<{ taken: boolean; allowed: boolean; state_lock: StateLock | null }>`
    with holder as (
      select workspaces.id, workspaces.state_lock,
        exists (select from runs where ${isWriter(writer)}) as allowed,
        workspaces.state_lock is null
          or not exists (
            select from runs held where held.id = workspaces.state_lock ->> 'run'
              and held.ended_at is null and held.state_revoked_at is null)
          or (workspaces.state_lock ->> 'run' = ${writer.run} and workspaces.state_lock -> 'info' ->> 'ID' = ${info.ID})
          as free
      from workspaces where workspaces.id = ${writer.workspace} for no key update of workspaces
    ), taken as (
      update workspaces set state_lock = ${lock}::jsonb from holder
      where workspaces.id = holder.id and holder.allowed and holder.free
      returning workspaces.id
    )
    select exists (select from taken) as taken, allowed, state_lock from holder`.execute(db);
  const [row] = rows;
  if (!row?.allowed) throw new StateRevoked(writer.run);
  return row.taken ? undefined : (row.state_lock ?? undefined);
}

/** Gives the lock back, if this run's Terraform holds it; with an `id`, only that very lock. */
export async function releaseStateLock(
  db: Db,
  { run, workspace }: Pick<StateWriter, 'run' | 'workspace'>,
  id?: string,
): Promise<void> {
  let update = db
    .updateTable('workspaces')
    .set({ state_lock: null })
    .where('id', '=', workspace)
    .where(sql<string>`state_lock ->> 'run'`, '=', run);
  if (id !== undefined) update = update.where(sql<string>`state_lock -> 'info' ->> 'ID'`, '=', id);
  await update.execute();
}
