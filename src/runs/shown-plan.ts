import pLimit from 'p-limit';
import type { Db } from '../db/pool.js';
import { PlanTooLarge, type PlanView, viewPlanInTurns, weightOf } from '../terraform/plan-view.js';
import type { Encryption } from '../variables/encryption.js';

export type ShownPlan =
  | { shown: true; plan: PlanView }
  /** Why not, in a sentence. */
  | { shown: false; reason: string };

/** Of a larger one nothing is shown: it would be parsed in one piece of half a second. In bytes. */
const LARGEST = 64 * 1024 * 1024;
/** What is remembered in all, in bytes: the views, and as much again for the HTML that pages make of them. */
const REMEMBERED = 64 * 1024 * 1024;

interface Remembered {
  reading: Promise<ShownPlan | undefined>;
  bytes: number;
}

/** Plans on record as people read them. Those read last are remembered: a page asks for one at each of a run's changes. */
export class ShownPlans {
  readonly #db: Db;
  readonly #encryption: Encryption;
  readonly #onError: (error: Error, run: string) => void;
  readonly #remembered = new Map<string, Remembered>();
  /** Two large ones at once would take twice the memory, and neither would be there sooner. */
  readonly #oneByOne = pLimit(1);
  #bytes = 0;

  /** @param onError told, once, of a plan that is there and can't be read */
  constructor(db: Db, encryption: Encryption, onError: (error: Error, run: string) => void = () => undefined) {
    this.#db = db;
    this.#encryption = encryption;
    this.#onError = onError;
  }

  /** Undefined: it is no longer kept, or not made yet. One that can't be read isn't shown, and isn't tried again. */
  async of(run: string): Promise<ShownPlan | undefined> {
    const kept = await this.#db
      .selectFrom('plans')
      .innerJoin('runs', 'runs.id', 'plans.run_id')
      .select(({ fn }) => ['runs.attempt', fn<number>('octet_length', ['plan_json']).as('bytes')])
      .where('run_id', '=', run)
      .executeTakeFirst();
    if (!kept) return undefined;
    if (kept.bytes > LARGEST) {
      const size = `${Math.round(kept.bytes / 1024 / 1024)} MiB`;
      return { shown: false, reason: `This plan (${size} as JSON) is too large to be shown here: see its output.` };
    }
    // A plan that is made again is so in another attempt.
    const key = `${run} ${kept.attempt}`;
    const known = this.#remembered.get(key);
    // The last one asked for is the last one to go.
    this.#remembered.delete(key);
    const entry = known ?? { reading: this.#oneByOne(() => this.#read(run)), bytes: 0 };
    this.#remembered.set(key, entry);
    if (!known) this.#weighWhenRead(key, entry);
    return entry.reading;
  }

  async #read(run: string): Promise<ShownPlan | undefined> {
    const row = await this.#db.selectFrom('plans').select('plan_json').where('run_id', '=', run).executeTakeFirst();
    if (!row) return undefined;
    try {
      const json = this.#encryption.open(`plan-json/${run}`, row.plan_json).toString();
      return { shown: true, plan: await viewPlanInTurns(json) };
    } catch (error) {
      if (error instanceof PlanTooLarge) {
        return { shown: false, reason: `This plan ${error.message} to be shown here: see its output.` };
      }
      this.#onError(error as Error, run);
      return { shown: false, reason: 'This plan can’t be read: see its output.' };
    }
  }

  #weighWhenRead(key: string, entry: Remembered): void {
    entry.reading.then(
      (read) => {
        if (!read) this.#forget(key, entry);
        else if (this.#remembered.get(key) === entry) this.#grow(key, entry, read.shown ? 2 * weightOf(read.plan) : 0);
      },
      () => this.#forget(key, entry),
    );
  }

  #grow(key: string, entry: Remembered, bytes: number): void {
    entry.bytes = bytes + ENTRY_BYTES;
    this.#bytes += entry.bytes;
    for (const [oldest, { bytes }] of this.#remembered) {
      if (this.#bytes <= REMEMBERED) break;
      // One that is being read weighs nothing yet, and would be read twice.
      if (oldest === key || bytes === 0) continue;
      this.#remembered.delete(oldest);
      this.#bytes -= bytes;
    }
  }

  #forget(key: string, entry: Remembered): void {
    if (this.#remembered.get(key) !== entry) return;
    this.#remembered.delete(key);
    this.#bytes -= entry.bytes;
  }
}

/** So that those that aren't shown go, too, some time. */
const ENTRY_BYTES = 1_000;
