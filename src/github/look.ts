import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { wakeUp } from '../db/notifications.js';
import type { Db, Tx } from '../db/pool.js';

/*
 * What webhooks didn't tell is looked for by comparing, and made up by a delivery of our own, a look: it stands in line
 * with the repository's webhooks, one at a time, and is done exactly once as they are. It says where to look and not what
 * was seen there: what counts is what GitHub has when its turn comes. Nobody else can send one: webhooks whose event has a
 * dot in its name are refused.
 */
export type Look = { name: 'signalbox.branch'; branch: string } | { name: 'signalbox.pull_request'; number: number };

/** A look that was given up isn't tried again before this time. */
const PATIENCE = '1 hour';

/** Puts a look in line, unless there is the same one already. Yields whether it did. */
export async function recordLook(db: Db, repository: number, look: Look): Promise<boolean> {
  const { name, ...what } = look;
  const body = JSON.stringify({ repository: { id: repository }, ...what });
  const { rows } = await sql`
    insert into deliveries (guid, event, repository_id, body)
    select ${`signalbox-${randomUUID()}`}, ${name}, ${repository}, ${body}
    where not exists (
      select from deliveries
      where event in ('signalbox.branch', 'signalbox.pull_request') and repository_id = ${repository} and body = ${body}
        and (done_at is null or (error is not null and received_at > now() - ${PATIENCE}::interval)))
    returning ${wakeUp('deliveries')}`.execute(db);
  return rows.length > 0;
}

/** Whether a push to the repository stands in line, or is being handled. */
export async function pushWaits(db: Db | Tx, repository: number): Promise<boolean> {
  const waiting = await db
    .selectFrom('deliveries')
    .select('id')
    .where('repository_id', '=', repository)
    .where('event', '=', 'push')
    .where('done_at', 'is', null)
    .limit(1)
    .executeTakeFirst();
  return waiting !== undefined;
}
