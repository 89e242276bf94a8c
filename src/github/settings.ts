import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';
import { discardRun } from '../runs/actions.js';
import type { LoadedSettings } from '../workspaces/sync.js';

/** Takes settings into the record. The runs that wait in workspaces which are no more are discarded. */
export async function takeSettings(tx: Tx, settings: LoadedSettings): Promise<Workspace[]> {
  const { workspaces, removed } = await settings.record(tx);
  for (const { id, name } of removed) {
    const runs = await tx
      .selectFrom('runs')
      .selectAll()
      .where('workspace_id', '=', id)
      .where('state', 'in', ['pending', 'needs_confirmation'])
      .orderBy('sequence', 'desc')
      .execute();
    for (const run of runs) await discardRun(tx, run, `There is no workspace ${name} any more.`);
  }
  return workspaces;
}
