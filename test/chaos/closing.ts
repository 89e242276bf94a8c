import { setTimeout as sleep } from 'node:timers/promises';
import type { Day } from './day.js';
import { LOST_AFTER_SECONDS, type Place } from './place.js';

/**
 * How long nothing at all may happen while something is still to be done, in ms: a delivery that failed once more when it
 * was asked for is asked for again after five minutes, and a lost worker is noticed late.
 */
const PATIENCE_MS = 360_000 + 2 * LOST_AFTER_SECONDS * 1_000;
/** How long the end of the day may take however much happens in it, in ms. */
const LIMIT_MS = 15 * 60_000;
/**
 * At rest is what stays so, in ms, also after each of some looks for what webhooks didn't tell. Those come every three minutes
 * by themselves; here they are asked for.
 */
const REST_MS = 10_000;
const LOOKS = 3;
/** The buttons, the locks and the pull requests that others wait for are seen to so often, in ms. */
const DECIDE_MS = 4_000;

interface Unrest {
  working: number;
  waiting: number;
  deliveries: number;
  effects: number;
}

/**
 * The end of the day: people decide what waits for them, and everything else ends by itself. Yields how long it took in
 * ms, or undefined when it didn't come to rest in its time.
 */
export async function comeToRest(place: Place, day: Day, tell: (text: string) => void): Promise<number | undefined> {
  const started = Date.now();
  let restingSince: number | undefined;
  let decidedAt = 0;
  let looks = 0;
  let last = '';
  let changedAt = started;
  while (Date.now() < Math.min(changedAt + PATIENCE_MS, started + LIMIT_MS)) {
    await sleep(250);
    const unrest = await look(place).catch(() => undefined);
    const text = JSON.stringify(unrest);
    if (text !== last) {
      tell(`coming to rest: ${text}`);
      changedAt = Date.now();
    }
    last = text;
    if (!unrest || unrest.working + unrest.waiting + unrest.deliveries + unrest.effects > 0) {
      restingSince = undefined;
      looks = 0;
      if (!unrest || Date.now() < decidedAt + DECIDE_MS) continue;
      decidedAt = Date.now();
      const decided = await day.decide();
      if (!decided && unrest.working + unrest.deliveries === 0) await day.release();
      continue;
    }
    restingSince ??= Date.now();
    if (Date.now() < restingSince + REST_MS * (looks + 1)) continue;
    if (looks === LOOKS) return restingSince - started;
    looks += 1;
    changedAt = Date.now();
    await place.query(`select pg_notify('signalbox', 'missed ')`).catch(() => undefined);
  }
  return undefined;
}

/** What waits for a person, or for a run that does, is counted apart from what goes on by itself. */
async function look(place: Place): Promise<Unrest> {
  await place.github.settled();
  const [row] = await place.query<{ [Name in keyof Unrest]: string }>(`
    select
      (select count(*) from runs r where state in ('planning', 'confirmed', 'applying') or (state = 'pending' and
        (speculative or not exists (select from workspaces w where w.id = r.workspace_id and (
          w.held_pull_request is not null or w.locked_at is not null
          or exists (select from runs h where h.workspace_id = w.id and not h.speculative
            and h.state = 'needs_confirmation')))))) working,
      (select count(*) from runs where ended_at is null) waiting,
      (select count(*) from deliveries where done_at is null) + (select count(*) from redeliveries
        where asked < 3 and event not like 'check_run.%'
          and not exists (select from deliveries d where d.guid = redeliveries.guid)) deliveries,
      (select count(*) from outbox) effects`);
  if (!row) throw new Error('The record answered nothing.');
  return {
    working: Number(row.working),
    waiting: Number(row.waiting),
    deliveries: Number(row.deliveries),
    effects: Number(row.effects),
  };
}
