import { hookOf, type Message, plannedChangeOf } from './messages.js';

/** How far an apply has come, in resources. */
export interface Progress {
  /** Those whose change it was asked to make. A replacement is one. */
  planned: number;
  applied: number;
  failed: number;
  /** Addresses of those it has begun and not ended, in the order of their beginning. */
  inFlight: string[];
  /** Addresses of those it has done, in the order of their ends. It grows: copies for each message would be quadratic. */
  done: readonly string[];
}

/** Steps that a planned action takes; what isn't here takes none (a move, an import, a resource that is forgotten). */
const STEPS: Readonly<Record<string, number>> = { create: 1, update: 1, delete: 1, replace: 2 };

/** Counts along an apply's messages. It must see them all, from the first. */
export class ProgressTracker {
  /** Steps left, by address. */
  readonly #left = new Map<string, number>();
  readonly #inFlight = new Set<string>();
  readonly #failed = new Set<string>();
  readonly #done: string[] = [];
  readonly #isDone = new Set<string>();
  #planned = 0;
  #applied = 0;

  /** @returns whether the progress is another one than before */
  see(message: Message): boolean {
    const planned = plannedChangeOf(message);
    if (planned !== undefined) {
      const steps = STEPS[planned.action] ?? 0;
      if (steps === 0 || this.#left.has(planned.address)) return false;
      this.#left.set(planned.address, steps);
      this.#planned += 1;
      return true;
    }
    const hook = hookOf(message);
    if (hook === undefined) return false;
    switch (message.type) {
      case 'apply_start':
        this.#inFlight.add(hook.address);
        return true;
      case 'apply_complete':
        this.#inFlight.delete(hook.address);
        if (!this.#isDone.has(hook.address)) this.#done.push(hook.address);
        this.#isDone.add(hook.address);
        this.#step(hook.address);
        return true;
      case 'apply_errored':
        this.#inFlight.delete(hook.address);
        this.#failed.add(hook.address);
        return true;
      default:
        return false;
    }
  }

  get progress(): Progress {
    return {
      planned: this.#planned,
      applied: this.#applied,
      failed: this.#failed.size,
      inFlight: [...this.#inFlight],
      done: this.#done,
    };
  }

  #step(address: string): void {
    const left = this.#left.get(address);
    if (left === undefined || left === 0) return;
    this.#left.set(address, left - 1);
    if (left === 1) this.#applied += 1;
  }
}
