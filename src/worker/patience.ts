import { setTimeout as sleep } from 'node:timers/promises';
import { isAway } from '../db/outage.js';
import type { Db } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { GitUnavailable } from '../git/git-error.js';
import type { Mirror, Mirrors } from '../git/mirror.js';
import type { Log } from '../log.js';
import { enqueue } from '../queue/outbox.js';
import { lockRun } from '../runs/store.js';
import { addEvent, reportsOf } from '../runs/transition.js';
import type { StageSignals } from '../terraform/stage.js';
import { describeDuration } from '../units.js';
import { RunFailure } from './failure.js';

const LONGEST_PAUSE_MS = 30_000;

export interface PatienceOptions {
  /** How long a git host that is away is waited for, in ms. */
  ms: number;
  log: Pick<Log, 'info' | 'warn' | 'debug'>;
  /** The first pause; it doubles up to half a minute. Default 1,000. */
  firstPauseMs?: number;
  /** A wait is told of when it has lasted so long: most hiccups are over by then. Default 5,000. */
  tellAfterMs?: number;
}

/** The stage that waits: an ActiveRun. */
interface Waiting {
  run: Run;
  signals: StageSignals;
  worker: { db: Db; mirrors: Pick<Mirrors, 'of'> };
  /** Throws RunStopped. */
  throwIfStopped(): void;
}

/** Waits for a git host that is away. Runs that wait keep their slots: others would wait for the same host. */
export class Patience {
  readonly #options: Required<PatienceOptions>;
  /** A host is away, and the log says so. */
  #away = false;

  constructor(options: PatienceOptions) {
    this.#options = { firstPauseMs: 1_000, tellAfterMs: 5_000, ...options };
  }

  /**
   * Brings the run's commit into the mirror of its repository, whatever that is called by then. While the record is away
   * the time doesn't count: nothing could be made of it before it is back. Throws RunStopped as soon as the run is
   * stopped, RunFailure when patience is at its end, and what waiting doesn't cure.
   */
  async fetchCommit(active: Waiting): Promise<Mirror> {
    const { run, worker } = active;
    return this.#tryUntilReached(active, async () => {
      const repository = await worker.db
        .selectFrom('repositories')
        .selectAll()
        .where('id', '=', run.repository_id)
        .executeTakeFirstOrThrow();
      const mirror = worker.mirrors.of(repository);
      await mirror.fetch([run.commit_sha]);
      return mirror;
    });
  }

  async #tryUntilReached<T>(active: Waiting, attempt: () => Promise<T>): Promise<T> {
    const { ms, firstPauseMs, tellAfterMs } = this.#options;
    let waited = 0;
    let told = false;
    for (let pause = firstPauseMs; ; pause = Math.min(pause * 2, LONGEST_PAUSE_MS)) {
      const began = performance.now();
      try {
        const reached = await unlessStopped(active, attempt());
        this.#reached();
        if (told) await this.#tell(active, 'waiting_ended', undefined);
        return reached;
      } catch (error) {
        active.throwIfStopped();
        const gitIsAway = error instanceof GitUnavailable;
        if (!gitIsAway && !isAway(error)) throw error;
        this.#missed(active, error as Error);
        let wait = pause * (0.75 + Math.random() / 4);
        if (gitIsAway) {
          waited += performance.now() - began;
          if (waited >= ms) throw ms === 0 ? error : new RunFailure(`${error.message} ${tried(waited)}`);
          if (!told && waited >= Math.min(tellAfterMs, ms / 2)) {
            const reason = `${error.reason.slice(0, 1).toUpperCase()}${error.reason.slice(1)}`;
            told = await this.#tell(active, 'waiting', `${reason}: waiting for up to ${describeDuration(ms)}.`);
          }
          wait = Math.min(wait, ms - waited);
          waited += wait;
        }
        await pauseUnlessStopped(active, wait);
      }
    }
  }

  /** An outage is logged once, however many runs it meets. */
  #missed({ run }: Waiting, { message }: Error): void {
    if (!this.#away) this.#options.log.warn({ run: run.id, err: { message } }, 'Runs wait for their commits');
    this.#away = true;
  }

  #reached(): void {
    if (this.#away) this.#options.log.info({}, 'Commits can be fetched again');
    this.#away = false;
  }

  /** Says on the run's timeline, and so in its check run, that it waits, or no longer does. Yields whether it could. */
  async #tell({ run, worker }: Waiting, type: string, detail: string | undefined): Promise<boolean> {
    try {
      await worker.db.transaction().execute(async (tx) => {
        const now = await lockRun(tx, run.id);
        if (now.state !== run.state || now.attempt !== run.attempt) return;
        await addEvent(tx, now, type, { detail });
        await enqueue(tx, ...reportsOf(now));
      });
      return true;
    } catch (error) {
      this.#options.log.debug({ run: run.id, err: error }, 'That the run waits could not be recorded');
      return false;
    }
  }
}

function tried(ms: number): string {
  return `Signalbox tried for ${describeDuration(ms)}.`;
}

/** A fetch that hangs is left to its own time limit: what it brings is of use to the next run. */
async function unlessStopped<T>(active: Waiting, work: Promise<T>): Promise<T> {
  const signal = stopOf(active);
  let stop = () => {};
  const stopped = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([work, stopped]);
  } finally {
    signal.removeEventListener('abort', stop);
    for (const promise of [work, stopped]) promise.catch(() => undefined);
  }
}

async function pauseUnlessStopped(active: Waiting, ms: number): Promise<void> {
  await sleep(ms, undefined, { signal: stopOf(active) }).catch(() => undefined);
  active.throwIfStopped();
}

function stopOf({ signals }: Waiting): AbortSignal {
  const { interrupt, kill, release } = signals;
  return AbortSignal.any([interrupt, kill, release].filter((signal) => signal !== undefined));
}
