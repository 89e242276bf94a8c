import { randomUUID } from 'node:crypto';
import type { JobQueue, QueueBackend } from './backend.js';
import { dispatchPriority } from './dispatch-order.js';
import type { StageJob } from './outbox.js';
import { idOf, type WorkspaceQueues } from './workspace-queues.js';

export const DISPATCH = 'dispatch';

/** More waiting jobs than this aren't looked at. */
const MANY = 10_000;

/**
 * The queue that all workers wait on. For a workspace it says that there is a stage to start, which is in the
 * workspace's own queue; a speculative plan, which needs no turn, it carries itself.
 */
export class DispatchQueue {
  readonly #queue: JobQueue;
  readonly #workspaces: WorkspaceQueues;
  readonly #now: () => number;

  /** `now` yields ms since 1970. */
  constructor(backend: QueueBackend, workspaces: WorkspaceQueues, now: () => number = Date.now) {
    this.#queue = backend.queue(DISPATCH);
    this.#workspaces = workspaces;
    this.#now = now;
  }

  /** Hands a stage that may start to the workers. */
  async add(job: StageJob): Promise<void> {
    if (!job.speculative) await this.#workspaces.add(job);
    await this.announce(job);
  }

  /** Has a worker look for the stage, or for whatever the workspace has to start instead. */
  async announce(job: StageJob): Promise<void> {
    // BullMQ silently drops a job whose id it still keeps, and a job here is kept while its stage runs.
    await this.#queue.add('stage', job, {
      jobId: randomUUID(),
      priority: dispatchPriority(job, this.#now()),
      removeOnComplete: true,
      removeOnFail: true,
    });
  }

  /** Which stages wait for a worker. Judge a job with `carries`. */
  async waiting(): Promise<Waiting> {
    const jobs = await this.#queue.getJobs(['prioritized', 'waiting', 'delayed'], 0, MANY - 1);
    return new Waiting(jobs.filter((job) => job !== undefined).map((job) => job.data));
  }
}

export class Waiting {
  readonly #keys: Set<string>;

  constructor(jobs: StageJob[]) {
    this.#keys = new Set(jobs.map(keyOf));
  }

  get size(): number {
    return this.#keys.size;
  }

  /** Whether a worker will look for this stage without being asked again. */
  carries(job: StageJob): boolean {
    return this.#keys.has(keyOf(job));
  }
}

function keyOf(job: StageJob): string {
  return job.speculative ? idOf(job) : `workspace ${job.workspace}`;
}
