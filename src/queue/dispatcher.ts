import { type JobWorker, type QueueBackend, within } from './backend.js';
import { Complaints, type QueueLog } from './complaints.js';
import { DISPATCH, type DispatchQueue } from './dispatch-queue.js';
import type { StageJob } from './outbox.js';
import type { WorkspaceQueues } from './workspace-queues.js';

/** Pauses between attempts to claim while the record doesn't answer, in ms. After the last the reconciler takes over. */
const CLAIM_PAUSES_MS = [250, 1_000, 2_000, 4_000, 8_000];

/** How long closing the connections may take, in ms. */
const CLOSE_MS = 5_000;

export interface DispatcherOptions<Claimed> {
  backend: QueueBackend;
  workspaces: WorkspaceQueues;
  dispatch: DispatchQueue;
  /** How many stages this process works on at once. */
  slots: number;
  /** The claim in the record. Undefined: the stage may not start (any more). */
  start(job: StageJob): Promise<Claimed | undefined>;
  /** Works on what was claimed, to its end. */
  work(claimed: Claimed): Promise<void>;
  log: QueueLog;
}

/**
 * Takes stages from the dispatch queue while it has a slot, claims them in the record and holds the slot while they are
 * worked on. That a job comes twice, late or for nothing is ordinary: the claim decides.
 */
export class Dispatcher<Claimed> {
  readonly #options: DispatcherOptions<Claimed>;
  readonly #complaints: Complaints;
  readonly #handling = new Set<Promise<void>>();
  #inUse = 0;
  #occupied = 0;
  #worker: JobWorker | undefined;
  #stopping = false;
  #abandon: () => void = () => undefined;
  readonly #abandoned = new Promise<void>((resolve) => {
    this.#abandon = resolve;
  });

  constructor(options: DispatcherOptions<Claimed>) {
    this.#options = options;
    this.#complaints = new Complaints(options.log);
  }

  get slots(): number {
    return this.#options.slots;
  }

  /** Slots in which a claimed stage is being worked on. */
  get slotsInUse(): number {
    return this.#inUse + this.#occupied;
  }

  /** Begins to take jobs. */
  async start(): Promise<void> {
    const { backend } = this.#options;
    this.#worker = await backend.worker(DISPATCH, (job) => this.#track(this.#handle(job.data)), this.#free);
    if (this.#stopping) await this.stop();
  }

  /** Gives slots to work that came another way: stages that an earlier process has left. It is waited for as any other. */
  occupy(works: readonly Promise<void>[]): void {
    for (const work of works) {
      this.#occupied += 1;
      const ended = work.finally(() => {
        this.#occupied -= 1;
        if (this.#worker) this.#worker.concurrency = this.#free;
      });
      void this.#track(ended);
    }
  }

  /** BullMQ takes no less than one. */
  get #free(): number {
    return Math.max(1, this.#options.slots - this.#occupied);
  }

  /**
   * Takes no more jobs, waits for the stages that are being worked on (for `timeoutMs` at most, if given: they go on
   * without their slots), and closes its connections.
   */
  async stop({ timeoutMs }: { timeoutMs?: number } = {}): Promise<void> {
    this.#stopping = true;
    await this.#worker?.pause(true);
    const timer = timeoutMs === undefined ? undefined : setTimeout(this.#abandon, timeoutMs);
    while (this.#handling.size > 0) await Promise.all(this.#handling);
    clearTimeout(timer);
    await this.#close();
  }

  async #close(): Promise<void> {
    if (!this.#worker) return;
    // BullMQ's farewell to a server that is away has no end, unless it is forced.
    const reachable = await this.#options.backend.ping().then(
      () => true,
      () => false,
    );
    await within(CLOSE_MS, 'The queue', this.#worker.close(!reachable)).catch((error) => {
      this.#complaints.raise('close', 'The connections to the queue could not be closed', error);
    });
  }

  async #track(handling: Promise<void>): Promise<void> {
    this.#handling.add(handling);
    await handling;
    this.#handling.delete(handling);
  }

  async #handle(job: StageJob): Promise<void> {
    try {
      if (this.#stopping) return await this.#options.dispatch.announce(job);
      const claimed = job.speculative ? await this.#claim(job) : await this.#claimNextOf(job.workspace);
      if (claimed !== undefined) await Promise.race([this.#work(claimed), this.#abandoned]);
    } catch (error) {
      // The reconciler finds what should have started and didn't.
      this.#complaints.raise('take', 'A stage that may start could not be taken from the queue', error);
    }
  }

  /** Claims the first stage in the workspace's queue that the record lets start. */
  async #claimNextOf(workspace: number): Promise<Claimed | undefined> {
    for (;;) {
      const taken = await this.#options.workspaces.take(workspace);
      if (!taken) return undefined;
      const claimed = await this.#claim(taken.job);
      const completed = taken.complete().catch((error) => {
        this.#complaints.raise('complete', 'A claimed stage could not be taken out of its queue', error);
      });
      if (claimed !== undefined) return claimed;
      // It was stale. Another worker that looked meanwhile found the queue taken, so this one looks again.
      await completed;
    }
  }

  /** Asks the record, patiently: while it is away nothing else could use the slot. */
  async #claim(job: StageJob): Promise<Claimed | undefined> {
    for (const pause of [...CLAIM_PAUSES_MS, undefined]) {
      try {
        const claimed = await this.#options.start(job);
        this.#complaints.settle('claim', 'Stages can be claimed again');
        return claimed;
      } catch (error) {
        this.#complaints.raise('claim', `The ${job.stage} of run ${job.run} could not be claimed`, error);
        if (pause === undefined || this.#stopping) return undefined;
        await Promise.race([new Promise((resolve) => setTimeout(resolve, pause)), this.#abandoned]);
      }
    }
    return undefined;
  }

  async #work(claimed: Claimed): Promise<void> {
    this.#inUse += 1;
    try {
      await this.#options.work(claimed);
    } catch (error) {
      this.#options.log.error({ err: error }, 'Working on a stage failed');
    } finally {
      this.#inUse -= 1;
    }
  }
}
