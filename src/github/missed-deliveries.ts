import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Services } from './handling.js';

/** GitHub keeps deliveries for three days, and redelivers none that is older. */
const DAYS = 3;
/** Deliveries that are looked at in one round: a hundred a call. The rest is looked at in the next ones. */
const PAGES_A_ROUND = 30;
/** Attempts that are asked for in one round, and of one delivery at all. */
const ASKED_A_ROUND = 100;
const ASKED_AT_MOST = 3;
/** An attempt that was asked for arrives, or fails, within this time; it is asked for again after twice that, and so on. */
const ARRIVES_WITHIN = '2 minutes';
const ASKED_AGAIN_AFTER = '5 minutes';
/** How long the next one waits for a push to arrive, in ms. */
const IN_ORDER_MS = 3_000;
/** A list shows a delivery once it was answered, which takes ten seconds at most: later than younger ones. */
const OVERLAP_MS = 120_000;
/** Buttons don't say when they were pressed: one that is older than this, in ms, was meant for another time. */
const BUTTON_AGE_MS = 10 * 60_000;

/** Where in `settings` it is remembered how far GitHub's list has been read. */
const SETTING = 'deliveries-read';

interface Progress {
  /** Everything that was delivered until then has been read. By GitHub's clock. */
  readTo?: string;
  /** A list that has not been read to its end yet: what will have been read then, and where it goes on. */
  unfinished?: { from: string; cursor: string };
}

interface Attempt {
  id: number | bigint;
  guid: string;
  delivered_at: string;
  status_code: number;
  event: string;
  action: string | null;
  repository_id: number | bigint | null;
}

/**
 * Asks GitHub to deliver again what never arrived: whatever the record doesn't have. What is in the record needs nothing,
 * whatever became of it at GitHub. `wants` tells which events have a handler. Yields whether there is more to do soon.
 */
export async function askForMissed(
  services: Services,
  wants: (event: string) => boolean,
  stop: AbortSignal,
): Promise<boolean> {
  const more = await readAttempts(services, wants, stop);
  return (await askAgain(services, stop)) || more;
}

/** Repositories of which a delivery is to be asked for, or was and may still arrive. */
export async function awaitedRepositories(db: Db): Promise<Set<number>> {
  const { rows } = await sql<{ id: number }>`
    select repository_id as id from redeliveries
    where repository_id is not null and event not like 'check_run.%' and (asked = 0 or asked_at > now() - ${ARRIVES_WITHIN}::interval)
      and not exists (select from deliveries where deliveries.guid = redeliveries.guid)`.execute(db);
  return new Set(rows.map(({ id }) => id));
}

async function readAttempts(
  { db, app }: Services,
  wants: (event: string) => boolean,
  stop: AbortSignal,
): Promise<boolean> {
  const progress = await readProgress(db);
  const floor = Math.max(Date.now() - DAYS * 86_400_000, Date.parse(progress.readTo ?? '') - OVERLAP_MS || 0);
  let cursor = progress.unfinished?.cursor;
  let from = progress.unfinished?.from;
  for (let page = 0; page < PAGES_A_ROUND; page++) {
    stop.throwIfAborted();
    const response = await listAttempts(app, cursor);
    if (!response) {
      await writeProgress(db, progress.readTo ? { readTo: progress.readTo } : {});
      return true;
    }
    const attempts = response.data as Attempt[];
    from ??= attempts[0]?.delivered_at;
    await recordAttempts(db, attempts, wants);
    const oldest = Date.parse(attempts.at(-1)?.delivered_at ?? '');
    cursor = cursorOf(response.headers.link);
    if (!cursor || !(oldest > floor)) {
      await writeProgress(db, from ? { readTo: from } : progress);
      return false;
    }
  }
  if (cursor && from) await writeProgress(db, { ...progress, unfinished: { from, cursor } });
  return true;
}

/** Undefined where the cursor leads nowhere any more. */
async function listAttempts(app: Services['app'], cursor: string | undefined) {
  try {
    return await app.rest.apps.listWebhookDeliveries({ per_page: 100, ...(cursor ? { cursor } : {}) });
  } catch (error) {
    const { status } = error as { status?: number };
    if (cursor && (status === 400 || status === 422)) return undefined;
    throw error;
  }
}

/** Takes what failed into the record, and takes out what arrived. */
async function recordAttempts(db: Db, attempts: readonly Attempt[], wants: (event: string) => boolean): Promise<void> {
  const arrived = attempts.filter(succeeded).map(({ guid }) => guid);
  if (arrived.length > 0) await db.deleteFrom('redeliveries').where('guid', 'in', arrived).execute();
  const failed = attempts.filter((attempt) => !succeeded(attempt) && isWanted(attempt, wants));
  const byGuid = new Map(failed.map((attempt) => [attempt.guid, attempt]));
  // GitHub goes on listing the failure of one that was delivered later.
  for (const guid of arrived) byGuid.delete(guid);
  if (byGuid.size === 0) return;
  await db
    .insertInto('redeliveries')
    .values(
      [...byGuid.values()].map((attempt) => ({
        guid: attempt.guid,
        attempt: String(attempt.id),
        event: nameOf(attempt),
        repository_id: attempt.repository_id === null ? null : Number(attempt.repository_id),
        failed_at: new Date(attempt.delivered_at),
      })),
    )
    .onConflict((conflict) => conflict.column('guid').doNothing())
    .execute();
}

/**
 * Oldest first. It is written down before GitHub is asked, so that a restart doesn't ask again, and taken back where GitHub
 * didn't take the request: that was no attempt.
 */
async function askAgain({ db, app, log }: Services, stop: AbortSignal): Promise<boolean> {
  await sql`delete from redeliveries where failed_at < now() - make_interval(days => ${DAYS})
    or exists (select from deliveries where deliveries.guid = redeliveries.guid)`.execute(db);
  const { rows } = await sql<{ guid: string; attempt: string; event: string; repository_id: string | null }>`
    select guid, attempt, event, repository_id from redeliveries
    where asked < ${ASKED_AT_MOST} and (asked_at is null or asked_at < now() - asked * ${ASKED_AGAIN_AFTER}::interval)
      and (event not like 'check_run.%' or failed_at > now() - make_interval(secs => ${BUTTON_AGE_MS / 1_000}))
    order by failed_at, length(attempt), attempt limit ${ASKED_A_ROUND}`.execute(db);
  let failure: { error: unknown } | undefined;
  // What GitHub fails to deliver keeps nothing else waiting but later pushes of its repository.
  const behind = new Set<string | null>();
  for (const { guid, attempt, event, repository_id: repository } of rows) {
    stop.throwIfAborted();
    if (event === 'push' && behind.has(repository)) continue;
    await db
      .updateTable('redeliveries')
      .set({ asked: sql`asked + 1`, asked_at: sql`now()` })
      .where('guid', '=', guid)
      .execute();
    try {
      // Beyond 2^53: octokit takes a bigint, and its types don't say so.
      await app.rest.apps.redeliverWebhookDelivery({ delivery_id: BigInt(attempt) as unknown as number });
      log.info({ delivery: guid, event }, 'GitHub is asked for a delivery that never arrived');
      if (event === 'push') await untilArrived(db, guid, stop);
    } catch (error) {
      const { status } = error as { status?: number };
      if (status !== 404 && status !== 422 && status !== 400) {
        await db
          .updateTable('redeliveries')
          .set({ asked: sql`asked - 1`, asked_at: null })
          .where('guid', '=', guid)
          .execute();
        // Twice in a row, and it isn't the delivery that fails but GitHub.
        if (failure) throw error;
        failure = { error };
        if (event === 'push') behind.add(repository);
        continue;
      }
      await db.updateTable('redeliveries').set({ asked: ASKED_AT_MOST }).where('guid', '=', guid).execute();
      log.warn({ delivery: guid, event, status }, "GitHub doesn't deliver it again");
    }
  }
  if (failure) throw failure.error;
  return rows.length > 0;
}

/** Two that are on their way at once may change places, and a push that comes after a later one has no run of its own. */
async function untilArrived(db: Db, guid: string, stop: AbortSignal): Promise<void> {
  for (const until = performance.now() + IN_ORDER_MS; performance.now() < until && !stop.aborted; ) {
    const arrived = await db.selectFrom('deliveries').select('id').where('guid', '=', guid).executeTakeFirst();
    if (arrived) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function succeeded({ status_code }: Attempt): boolean {
  return status_code >= 200 && status_code < 300;
}

function nameOf({ event, action }: Attempt): string {
  return action ? `${event}.${action}` : event;
}

function isWanted(attempt: Attempt, wants: (event: string) => boolean): boolean {
  if (!wants(attempt.event) && !wants(nameOf(attempt))) return false;
  return attempt.event !== 'check_run' || Date.now() - Date.parse(attempt.delivered_at) < BUTTON_AGE_MS;
}

function cursorOf(link: string | undefined): string | undefined {
  const url = /<([^>]+)>;\s*rel="next"/.exec(link ?? '')?.[1];
  return url ? (new URL(url).searchParams.get('cursor') ?? undefined) : undefined;
}

async function readProgress(db: Db): Promise<Progress> {
  const row = await db.selectFrom('settings').select('value').where('name', '=', SETTING).executeTakeFirst();
  return row ? (JSON.parse(row.value.toString('utf8')) as Progress) : {};
}

async function writeProgress(db: Db, progress: Progress): Promise<void> {
  const value = Buffer.from(JSON.stringify(progress));
  await db
    .insertInto('settings')
    .values({ name: SETTING, value })
    .onConflict((conflict) => conflict.column('name').doUpdateSet({ value }))
    .execute();
}
