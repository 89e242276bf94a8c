import type { Tx } from '../db/pool.js';
import type { Workspace } from '../db/schema.js';
import { cancelRun } from '../runs/actions.js';
import type { LoadedSettings } from '../workspaces/sync.js';

/** Takes settings into the record. The runs of workspaces which are no more end, except an apply under way. */
export async function takeSettings(tx: Tx, settings: LoadedSettings): Promise<Workspace[]> {
  const { workspaces, removed } = await settings.record(tx);
  for (const { id, name } of removed) {
    const runs = await tx
      .selectFrom('runs')
      .selectAll()
      .where('workspace_id', '=', id)
      .where('ended_at', 'is', null)
      .where('state', '<>', 'applying')
      .orderBy('sequence', 'desc')
      .execute();
    for (const run of runs) await cancelRun(tx, run, `There is no workspace ${name} any more.`);
  }
  return workspaces;
}
