import type { Db } from '../db/pool.js';
import { type PlanView, viewPlanInTurns } from '../terraform/plan-view.js';
import type { Encryption } from '../variables/encryption.js';

export type ShownPlan =
  | { shown: true; plan: PlanView }
  /** Why not, in a sentence. */
  | { shown: false; reason: string };

/** Of a larger one nothing is shown: it would be parsed in one piece of half a second. In bytes. */
const LARGEST = 64 * 1024 * 1024;
/** What is remembered in all, in bytes of the JSON that it was read from. */
const REMEMBERED = 64 * 1024 * 1024;

/** Plans on record as people read them. Those read last are remembered: a page asks for one at each of a run's changes. */
export class ShownPlans {
  readonly #db: Db;
  readonly #encryption: Encryption;
  readonly #remembered = new Map<string, { reading: Promise<ShownPlan | undefined>; bytes: number }>();
  #bytes = 0;

  constructor(db: Db, encryption: Encryption) {
    this.#db = db;
    this.#encryption = encryption;
  }

  /** Undefined: it is no longer kept, or not made yet. Throws SealBroken. */
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
    const entry = known ?? { reading: this.#read(run), bytes: kept.bytes };
    this.#remembered.set(key, entry);
    if (!known) this.#grow(key, entry);
    return entry.reading;
  }

  async #read(run: string): Promise<ShownPlan | undefined> {
    const row = await this.#db.selectFrom('plans').select('plan_json').where('run_id', '=', run).executeTakeFirst();
    if (!row) return undefined;
    const json = this.#encryption.open(`plan-json/${run}`, row.plan_json).toString();
    return { shown: true, plan: await viewPlanInTurns(json) };
  }

  #grow(key: string, entry: { reading: Promise<unknown>; bytes: number }): void {
    this.#bytes += entry.bytes;
    entry.reading.then(
      (plan) => plan ?? this.#forget(key, entry),
      () => this.#forget(key, entry),
    );
    for (const [oldest, { bytes }] of this.#remembered) {
      if (this.#bytes <= REMEMBERED || oldest === key) break;
      this.#remembered.delete(oldest);
      this.#bytes -= bytes;
    }
  }

  #forget(key: string, entry: object): void {
    const known = this.#remembered.get(key);
    if (known !== entry) return;
    this.#remembered.delete(key);
    this.#bytes -= known.bytes;
  }
}
