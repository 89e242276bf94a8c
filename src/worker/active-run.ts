import type { Run, Stage } from '../db/schema.js';
import type { StageSignals } from '../terraform/stage.js';
import type { WorkerContext } from './context.js';

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

  throwIfStopped(): void {
    if (this.#release.signal.aborted) throw new RunStopped('released');
    if (this.#interrupt.signal.aborted) throw new RunStopped('interrupted');
  }
}
