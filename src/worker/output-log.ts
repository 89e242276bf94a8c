import type { Db } from '../db/pool.js';
import type { Run, Stage } from '../db/schema.js';
import type { Mask } from '../variables/masking.js';

/** How long text may wait for more before it goes to the record, in ms: what a person who watches doesn't notice. */
const FLUSH_MS = 200;
const RETRY_MS = 1_000;

/**
 * Takes a stage's output into the record, in order, secrets masked. Text that the record can't take now, because the
 * database is away, is kept and written when it is back.
 */
export class OutputLog {
  readonly #db: Db;
  readonly #key: { run_id: string; stage: Stage; attempt: number };
  readonly #stream: ReturnType<Mask['stream']>;
  #waiting = '';
  #sequence = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(db: Db, run: Run, stage: Stage, mask: Mask) {
    this.#db = db;
    this.#key = { run_id: run.id, stage, attempt: run.attempt };
    this.#stream = mask.stream();
  }

  append(text: string): void {
    this.#waiting += this.#stream.push(text);
    this.#timer ??= setTimeout(() => void this.#flush(), FLUSH_MS);
  }

  /** Resolves when everything that was appended is in the record. */
  async end(): Promise<void> {
    this.#waiting += this.#stream.end();
    await this.#flush();
  }

  #flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const text = this.#waiting.replaceAll('\0', '\uFFFD');
    this.#waiting = '';
    if (text !== '') this.#writing = this.#writing.then(() => this.#write(text, this.#sequence++));
    return this.#writing;
  }

  async #write(text: string, sequence: number): Promise<void> {
    for (;;) {
      try {
        await this.#db
          .insertInto('outputs')
          .values({ ...this.#key, sequence, text })
          .onConflict((conflict) => conflict.doNothing())
          .execute();
        return;
      } catch (error) {
        // What the record refuses for good (its run was removed) would keep the run from ever ending.
        if (/^(22|23|42)/.test((error as { code?: string }).code ?? '')) return;
        await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
      }
    }
  }
}
