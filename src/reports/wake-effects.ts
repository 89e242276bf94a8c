import { sql } from 'kysely';
import { wakeUp } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import { RANKED_EFFECTS } from '../queue/effect-order.js';

/** What has failed for an installation is due now: GitHub is back, and the pauses were meant for while it was away. */
export async function wakeEffects(db: Db, installation: number): Promise<void> {
  await sql`
    update outbox set due_at = now() where id in (
      select o.id from ${RANKED_EFFECTS} where e.lane = ${installation} and o.attempts > 0 and o.due_at > now())
    returning ${wakeUp('outbox')}`.execute(db);
}
