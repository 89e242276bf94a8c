import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import { Complaints, type QueueLog } from './complaints.js';
import type { DispatchQueue } from './dispatch-queue.js';
import { enqueue, type StageJob } from './outbox.js';
import { idOf, type WorkspaceQueues } from './workspace-queues.js';

const EVERY_MS = 15_000;

/** Key of the advisory lock under which one process at a time reconciles: "SBXR". */
const LOCK = 0x53425852;

export interface ReconcilerOptions {
  db: Db;
  workspaces: WorkspaceQueues;
  dispatch: DispatchQueue;
  /** Stages that could start, according to the record, and haven't for a while (20 s). */
  startable(): Promise<StageJob[]>;
  log: QueueLog;
}

/**
 * Compares the queues with the record, which alone knows what may start: adds again what a wiped Redis, or a worker that
 * died at a bad moment, has lost.
 */
export class Reconciler {
  readonly #options: ReconcilerOptions;
  readonly #complaints: Complaints;
  #timer: NodeJS.Timeout | undefined;
  #reconciling: Promise<void> = Promise.resolve();
  #stopped = false;

  constructor(options: ReconcilerOptions) {
    this.#options = options;
    this.#complaints = new Complaints(options.log);
  }

  /** Reconciles now and every 15 seconds. */
  start(): void {
    this.#reconciling = this.#reconcileSafely().then(() => {
      if (!this.#stopped) this.#timer = setTimeout(() => this.start(), EVERY_MS);
    });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#timer);
    await this.#reconciling;
  }

  /** Queues what is missing, and yields it. Nothing is queued twice if several processes do this at once. */
  async reconcile(): Promise<StageJob[]> {
    const { db, dispatch, workspaces, startable } = this.#options;
    const candidates = await startable();
    if (candidates.length === 0) return [];
    return db.transaction().execute(async (tx) => {
      const { rows } = await sql<{ mine: boolean }>`select pg_try_advisory_xact_lock(${LOCK}) as mine`.execute(tx);
      if (!rows[0]?.mine) return [];
      const waiting = await dispatch.waiting();
      const undelivered = await tx
        .selectFrom('outbox')
        .select('subject')
        .where('kind', '=', 'job')
        .where('subject', 'in', candidates.map(idOf))
        .execute();
      const subjects = new Set(undelivered.map(({ subject }) => subject));
      const missing = candidates.filter((job) => !subjects.has(idOf(job)) && !waiting.carries(job));
      for (const job of missing) {
        // Nobody looks into this queue. What it holds would only be in the way: a job that was taken by a worker which
        // died before it could claim it saturates the queue for good.
        if (!job.speculative) await workspaces.clear(job.workspace);
      }
      await enqueue(tx, ...missing.map((job) => ({ kind: 'job' as const, job })));
      return missing;
    });
  }

  async #reconcileSafely(): Promise<void> {
    try {
      const missing = await this.reconcile();
      if (missing.length > 0) {
        this.#options.log.info(
          { stages: missing.map(idOf) },
          'Stages that were missing in the queue were queued again',
        );
      }
      this.#complaints.settle('reconcile', 'The queue can be compared with the record again');
    } catch (error) {
      this.#complaints.raise('reconcile', "The queue can't be compared with the record", error);
    }
  }
}
