import { setTimeout as sleep } from 'node:timers/promises';
import type { Log } from '../log.js';
import type { EmbeddedPostgres } from './embedded.js';

/** How often is looked whether it lives, in ms. Costs a look into /proc. */
const LOOK_MS = 1_000;
/** One that dies so soon after its start, in ms, isn't started again at once: whatever kills it is still there. */
const SHORT_LIFE_MS = 10_000;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 30_000;

export interface Supervision {
  /** Looks after it no longer. Resolves when no start is under way. */
  end(): Promise<void>;
}

/** Starts the embedded PostgreSQL again, on its port, whenever it has died: killed by hand or for want of memory. */
export function supervise(postgres: EmbeddedPostgres, log: Pick<Log, 'info' | 'warn' | 'error'>): Supervision {
  const ended = new AbortController();
  const watching = watch(postgres, log, ended.signal);
  return {
    end: async () => {
      ended.abort();
      await watching;
    },
  };
}

async function watch(
  postgres: EmbeddedPostgres,
  log: Pick<Log, 'info' | 'warn' | 'error'>,
  ended: AbortSignal,
): Promise<void> {
  let pause = 0;
  let startedAt = Number.NEGATIVE_INFINITY;
  while (!ended.aborted) {
    await pauseFor(LOOK_MS, ended);
    if (ended.aborted || (await postgres.isAlive())) continue;
    const noticed = performance.now();
    log.warn({}, 'The embedded PostgreSQL has died: it is started again');
    pause = noticed - startedAt < SHORT_LIFE_MS ? longer(pause) : 0;
    await pauseFor(pause, ended);
    if (!(await reviveUntilItLives(postgres, log, ended))) return;
    startedAt = performance.now();
    log.info({ ms: Math.round(startedAt - noticed) }, 'The embedded PostgreSQL runs again');
  }
}

/** Yields false when it was ended before. */
async function reviveUntilItLives(
  postgres: EmbeddedPostgres,
  log: Pick<Log, 'error'>,
  ended: AbortSignal,
): Promise<boolean> {
  let told = false;
  for (let pause = FIRST_PAUSE_MS; !ended.aborted; pause = longer(pause)) {
    try {
      await postgres.revive();
      return true;
    } catch (error) {
      if (!told) log.error({ err: error }, 'It is tried again until it starts');
      told = true;
      await pauseFor(pause, ended);
    }
  }
  return false;
}

function longer(pause: number): number {
  return Math.min(Math.max(pause * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
}

async function pauseFor(ms: number, signal: AbortSignal): Promise<void> {
  await sleep(ms, undefined, { signal }).catch(() => undefined);
}
