import type { Amount, Figures } from './figures.js';

/** Something that waits, and why. Only counts, times and words of ours: whoever reaches the port may read it. */
export interface Waiting extends Amount {
  reason: string;
}

/** What of Signalbox's work doesn't go on by itself at once. What isn't there doesn't wait. */
export interface WhatWaits {
  /** The record can't be asked, and with it everything waits: of the rest only what is on disk is known. */
  record?: string;
  /** Reports, reactions and answers on their way to GitHub. */
  github?: Waiting;
  /** Stages on their way into the queue. */
  queue?: Waiting;
  /** Webhooks that aren't handled yet. */
  deliveries?: Waiting;
  /** Runs that could go on if a worker had a slot. */
  slots?: Waiting;
  /** Snapshots of state on this worker's disk. */
  state?: { count: number; reason: string };
  lockedWorkspaces?: number;
  /** Workers that were lost or are silent. */
  lostWorkers?: number;
}

/** What is done within this time, in seconds, doesn't wait: it is under way. */
const UNDER_WAY_SECONDS = 10;

/** `figures`: undefined while the record can't be asked. `snapshots`: of state, on this worker's disk. */
export function whatWaits(figures: Figures | undefined, snapshots: number): WhatWaits {
  return {
    ...(figures ? waitsInRecord(figures) : { record: 'does not answer' }),
    ...(snapshots > 0 && { state: { count: snapshots, reason: 'on their way into the record' } }),
  };
}

function waitsInRecord(figures: Figures): WhatWaits {
  const { outbox, deliveries, queue, workspaces, workers } = figures;
  const jobs = outbox.filter(({ kind }) => kind === 'job');
  const reports = outbox.filter(({ kind }) => kind !== 'job');
  const locked = workspaces.lockedByPerson + workspaces.lockedBySystem;
  const lost = workers.filter(({ state }) => state !== 'alive').length;
  return {
    ...named('github', sum(reports), reasonForReports(reports)),
    ...named('queue', sum(jobs), jobs.some(({ error }) => error !== null) ? 'the queue fails' : 'it is under way'),
    ...named('deliveries', deliveries, reasonForDeliveries(deliveries.error)),
    ...named('slots', sum(queue), workers.some(({ state }) => state === 'alive') ? ALL_BUSY : 'no worker is alive'),
    ...(locked > 0 && { lockedWorkspaces: locked }),
    ...(lost > 0 && { lostWorkers: lost }),
  };
}

const ALL_BUSY = 'every slot is taken, or a worker is about to take it';

function named<K extends string>(key: K, { count, oldestSeconds }: Amount, reason: string) {
  if (count === 0 || oldestSeconds < UNDER_WAY_SECONDS) return {};
  return { [key]: { count, oldestSeconds: Math.round(oldestSeconds), reason } } as Record<K, Waiting>;
}

function sum(amounts: readonly Amount[]): Amount {
  return {
    count: amounts.reduce((total, { count }) => total + count, 0),
    oldestSeconds: Math.max(0, ...amounts.map(({ oldestSeconds }) => oldestSeconds)),
  };
}

/** Errors name repositories and quote GitHub: what is told is only of which sort they are. */
function reasonForReports(reports: readonly { error: string | null; oldestSeconds: number }[]): string {
  const oldestFirst = [...reports].sort((a, b) => b.oldestSeconds - a.oldestSeconds);
  const error = oldestFirst.map((report) => report.error).find((each) => each !== null);
  if (error === undefined || error === null) return 'it is under way, or no web process is';
  if (ASKS_FOR_PATIENCE.test(error)) return 'GitHub asks for patience';
  if (/progress was reported a moment ago/.test(error)) return 'progress is reported now and then only';
  return 'GitHub fails or does not answer';
}

const ASKS_FOR_PATIENCE = /asked for a pause|rate limit|abuse detection|writes (a|an) (minute|hour)|budget/i;

/** `error` begins with the name of its class. */
function reasonForDeliveries(error: string | null): string {
  if (error === null) return 'earlier ones are under way, or no web process is';
  const [name] = error.split(':');
  if (name === 'GitUnavailable') return 'the git host fails or does not answer';
  if (name === 'DiskFull') return 'the disk is full';
  if (ASKS_FOR_PATIENCE.test(error)) return 'GitHub asks for patience';
  if (/^(HttpError|RequestError|GraphqlResponseError)$/.test(name ?? '')) return 'GitHub fails or does not answer';
  return 'they fail: the log says how';
}
