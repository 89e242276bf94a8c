import type { Run, Stage } from '../db/schema.js';
import type { StageSignals } from '../terraform/stage.js';
import type { WorkerContext } from './context.js';

export type Step = 'prepared' | 'init' | 'plan' | 'show' | 'apply';

/** The run was stopped between two steps. */
export class RunStopped extends Error {
  override name = 'RunStopped';
  constructor() {
    super('The run was interrupted.');
  }
}

/** A stage that this worker is at. */
export class ActiveRun {
  readonly #interrupt = new AbortController();
  readonly #kill = new AbortController();
  readonly signals: StageSignals;
  /** The record has given the run to somebody else, or ended it. Whatever comes out here is only handed in. */
  takenAway = false;
  /** What whoever looks after a run that was taken away should know: sentences. */
  readonly remarks: string[] = [];
  /** Terraform's apply was begun, as far as anybody can tell. */
  begun = false;
  /** Why we stopped it ourselves: a sentence. */
  stoppedBecause: string | undefined;

  constructor(
    readonly worker: WorkerContext,
    readonly run: Run,
    readonly stage: Stage,
    /** It was begun by an earlier process of this worker. */
    readonly adopted: boolean,
  ) {
    this.signals = { interrupt: this.#interrupt.signal, kill: this.#kill.signal };
  }

  /** Cancel: Terraform is asked to end, once. */
  interrupt(): void {
    this.#interrupt.abort();
  }

  /** Force-cancel: Terraform and everything that it started are ended at once. */
  kill(): void {
    this.#interrupt.abort();
    this.#kill.abort();
  }

  takeAway(): void {
    this.takenAway = true;
    this.interrupt();
  }

  /** Notes in the log when a step is behind us: where a run's time goes can be read from it. */
  passed(step: Step): void {
    this.worker.log.debug({ run: this.run.id, step }, `${this.stage}: passed ${step}`);
  }

  throwIfStopped(): void {
    if (this.#interrupt.signal.aborted) throw new RunStopped();
  }
}
