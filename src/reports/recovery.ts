import { sql } from 'kysely';
import { wakeUp } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import { EFFECTS_WITH_LANE } from '../queue/effect-order.js';
import { enqueue } from '../queue/outbox.js';

/** GitHub is back: what has failed is due now, for the pauses were meant for while it was away. */
export async function wakeEffects(db: Db, installation: number): Promise<void> {
  await sql`
    update outbox set due_at = now() where id in (
      select o.id from ${EFFECTS_WITH_LANE} where l.lane = ${installation} and o.attempts > 0 and o.due_at > now())
    returning ${wakeUp('outbox')}`.execute(db);
}

/**
 * Reports runs that have ended while GitHub still shows a check run of theirs as under way: their report was given up, as
 * that of an App is which was suspended for longer than three days.
 */
export async function reportForgotten(db: Db, installation: number): Promise<void> {
  const { rows } = await sql<{ run: string }>`
    select distinct run_id run from check_runs
      join repositories on repositories.id = check_runs.repository_id join runs on runs.id = run_id
    where not completed and github_id is not null and installation_id = ${installation} and ended_at is not null
      and not exists (select from outbox where kind = 'run_report' and subject = run_id)`.execute(db);
  await enqueue(db, ...rows.map(({ run }) => ({ kind: 'run_report' as const, run })));
}
