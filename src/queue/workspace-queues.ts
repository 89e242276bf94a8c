import { randomUUID } from 'node:crypto';
import type { JobQueue, QueueBackend } from './backend.js';
import type { StageJob } from './outbox.js';

export interface TakenJob {
  job: StageJob;
  /** Takes the job out of its queue, which then yields the next one. */
  complete(): Promise<void>;
}

/**
 * One BullMQ queue a workspace, each with a global concurrency of one: it carries the stage that the workspace may start.
 * Queues and fetchers are opened for each use, which costs microseconds and no connection.
 */
export class WorkspaceQueues {
  readonly #backend: QueueBackend;

  constructor(backend: QueueBackend) {
    this.#backend = backend;
  }

  /** Adds a stage. One that the queue still carries isn't added twice. */
  async add(job: StageJob): Promise<void> {
    const queue = this.#queue(job.workspace);
    // Set every time: a wiped Redis has forgotten it.
    const limited = queue.setGlobalConcurrency(1);
    const added = queue.add('stage', job, { jobId: idOf(job), removeOnComplete: true, removeOnFail: true });
    await Promise.all([limited, added]);
    this.#backend.ageOut(queue);
  }

  /** Takes the workspace's next stage, or undefined if there is none or one has been taken and isn't completed. */
  async take(workspace: number): Promise<TakenJob | undefined> {
    const token = randomUUID();
    const job = await this.#backend.fetcher(nameOf(workspace)).getNextJob(token, { block: false });
    if (!job) return undefined;
    return { job: job.data, complete: async () => void (await job.moveToCompleted(undefined, token, false)) };
  }

  /** Throws away whatever the workspace's queue holds. What may start is in the record. */
  async clear(workspace: number): Promise<void> {
    await this.#queue(workspace).obliterate({ force: true });
  }

  #queue(workspace: number): JobQueue {
    return this.#backend.queue(nameOf(workspace));
  }
}

/** Each attempt at each stage has an id of its own: the queue recognises what it has already. */
export function idOf({ run, stage, attempt }: StageJob): string {
  return `${run}-${stage}-${attempt}`;
}

function nameOf(workspace: number): string {
  return `workspace-${workspace}`;
}
