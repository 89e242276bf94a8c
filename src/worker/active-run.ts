import type { Run, Stage } from '../db/schema.js';
import type { StageSignals } from '../terraform/stage.js';
import type { WorkerContext } from './context.js';

export type Step = 'prepared' | 'init' | 'plan' | 'show' | 'apply';

/** The run was stopped between two steps. */
export class RunStopped extends Error {
  override name = 'RunStopped';
  constructor(readonly how: 'interrupted' | 'released') {
    super(`The run was ${how}.`);
  }
}

/** A stage that this worker is at. */
export class ActiveRun {
  readonly #interrupt = new AbortController();
  readonly #release = new AbortController();
  readonly signals: StageSignals;

  constructor(
    readonly worker: WorkerContext,
    readonly run: Run,
    readonly stage: Stage,
  ) {
    this.signals = { interrupt: this.#interrupt.signal, release: this.#release.signal };
  }

  /** Cancel: Terraform is asked to end, once. */
  interrupt(): void {
    this.#interrupt.abort();
  }

  /** This process goes away; Terraform goes on. */
  release(): void {
    this.#release.abort();
  }

  /** Notes in the log when a step is behind us: where a run's time goes can be read from it. */
  passed(step: Step): void {
    this.worker.log.debug({ run: this.run.id, step }, `${this.stage}: passed ${step}`);
  }

  throwIfStopped(): void {
    if (this.#release.signal.aborted) throw new RunStopped('released');
    if (this.#interrupt.signal.aborted) throw new RunStopped('interrupted');
  }
}
