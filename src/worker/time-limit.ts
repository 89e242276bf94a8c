import { setTimeout as sleep } from 'node:timers/promises';
import { timelineOf } from '../runs/store.js';
import type { ActiveRun } from './active-run.js';

/** How long Terraform may take to save what it has after it was interrupted for its time limit, in ms: then it is killed. */
const GRACE_MS = 5 * 60_000;

/**
 * Watches that a stage ends within PLAN_TIMEOUT or APPLY_TIMEOUT, counted from its beginning, whichever process that was in.
 * `stop` is told why when the time is over; five minutes later Terraform is killed.
 */
export function stageLimit(active: ActiveRun, stop: (reason: string) => void): { stop: () => void } {
  const ended = new AbortController();
  watch(active, stop, ended.signal).catch(() => undefined);
  return { stop: () => ended.abort() };
}

async function watch(active: ActiveRun, stop: (reason: string) => void, signal: AbortSignal): Promise<void> {
  const { stage, worker } = active;
  const { planTimeout, applyTimeout } = worker.config;
  const [name, seconds] = stage === 'plan' ? ['PLAN_TIMEOUT', planTimeout] : ['APPLY_TIMEOUT', applyTimeout];
  const elapsed = active.adopted ? await elapsedMs(active) : 0;
  await sleep(Math.max(0, seconds * 1_000 - elapsed), undefined, { signal });
  stop(`It took longer than ${name} allows (${describeSeconds(seconds)}), so Terraform was interrupted.`);
  await sleep(GRACE_MS, undefined, { signal });
  active.stoppedBecause = `It took longer than ${name} allows (${describeSeconds(seconds)}), and Terraform did not end when it was interrupted, so it was killed: its state may be incomplete.`;
  active.kill();
}

/** Since the stage began, as far as the record can be asked: a limit of hours needn't be exact. */
async function elapsedMs({ run, stage, worker }: ActiveRun): Promise<number> {
  const begun = stage === 'plan' ? ['plan_started', 'plan_restarted'] : ['apply_started'];
  const timeline = await timelineOf(worker.db, run.id).catch(() => []);
  const event = timeline.findLast(({ type }) => begun.includes(type));
  return event ? Math.max(0, Date.now() - event.at.getTime()) : 0;
}

function describeSeconds(seconds: number): string {
  if (seconds % 3600 === 0) return `${seconds / 3600} h`;
  return seconds % 60 === 0 ? `${seconds / 60} min` : `${seconds} s`;
}
