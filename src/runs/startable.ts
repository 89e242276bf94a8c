import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { StageJob } from '../queue/outbox.js';
import { nextRunOf } from './next.js';

/**
 * Stages that could start, as far as the record knows, and for `seconds` haven't: what the reconciler queues again. A
 * pull request's confirmed run is left to its last check (`apply_check`) for as long as that is in the outbox.
 */
export async function startableStages(db: Db, seconds: number): Promise<StageJob[]> {
  const { rows } = await sql<{
    id: string;
    workspace_id: number;
    speculative: boolean;
    state: string;
    attempt: number;
  }>`
    select r.id, r.workspace_id, r.speculative, r.state, r.attempt from runs r
    where r.ended_at is null
      and (select max(at) from run_events where run_id = r.id) < now() - make_interval(secs => ${seconds})
      and (
        (r.state = 'pending' and r.speculative)
        or (r.state = 'planning' and r.worker_id is null)
        or (r.state = 'confirmed' and not exists (select from outbox where kind = 'apply_check' and subject = r.id))
        or (r.state = 'pending' and not r.speculative and r.id = (${nextRunOf(sql.ref('r.workspace_id'))})
          and not exists (select from runs h where h.workspace_id = r.workspace_id and not h.speculative
            and h.state in ('planning', 'needs_confirmation', 'confirmed', 'applying')))
      )`.execute(db);
  return rows.map((row) => ({
    run: row.id,
    workspace: row.workspace_id,
    speculative: row.speculative,
    stage: row.state === 'confirmed' ? 'apply' : 'plan',
    attempt: row.attempt,
  }));
}
