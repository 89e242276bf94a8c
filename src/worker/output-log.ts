import { sql } from 'kysely';
import { wakeUp } from '../db/notifications.js';
import type { Db } from '../db/pool.js';
import type { Run, Stage } from '../db/schema.js';
import type { Mask } from '../variables/masking.js';

/** How long text may wait for more before it goes to the record, in ms: what a person who watches doesn't notice. */
const FLUSH_MS = 200;
const RETRY_MS = 1_000;
/** A piece of text in the record, in characters: who follows it is handed whole pieces, of 256 KiB together. */
const PIECE = 64 * 1024;

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
  /** Bytes of the text to come that the record has from an earlier process. */
  #recorded = 0;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(db: Db, run: Run, stage: Stage, mask: Mask) {
    this.#db = db;
    this.#key = { run_id: run.id, stage, attempt: run.attempt };
    this.#stream = mask.stream();
  }

  /** After a restart: the same text will be appended again from its beginning; only what the record lacks is written. */
  static async resume(db: Db, run: Run, stage: Stage, mask: Mask): Promise<OutputLog> {
    const log = new OutputLog(db, run, stage, mask);
    const { rows } = await sql<{ next: number; bytes: number }>`
      select coalesce(max(sequence) + 1, 0) as next, coalesce(sum(octet_length(text)), 0) as bytes from outputs
      where run_id = ${run.id} and stage = ${stage} and attempt = ${run.attempt}`.execute(db);
    log.#sequence = Number(rows[0]?.next ?? 0);
    log.#recorded = Number(rows[0]?.bytes ?? 0);
    return log;
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
    const text = this.#skipRecorded(this.#waiting.replaceAll('\0', '\uFFFD'));
    this.#waiting = '';
    if (text !== '') this.#writing = this.#writing.then(() => this.#write(piecesOf(text)));
    return this.#writing;
  }

  #skipRecorded(text: string): string {
    if (this.#recorded === 0) return text;
    const bytes = Buffer.from(text);
    const skipped = Math.min(this.#recorded, bytes.length);
    this.#recorded -= skipped;
    return bytes.subarray(skipped).toString();
  }

  async #write(pieces: string[]): Promise<void> {
    const rows = pieces.map((text) => ({ ...this.#key, sequence: this.#sequence++, text }));
    for (;;) {
      try {
        await this.#db
          .insertInto('outputs')
          .values(rows)
          .onConflict((conflict) => conflict.doNothing())
          .returning(wakeUp('outputs', this.#key.run_id).as('told'))
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

/** No piece ends within a character. */
function piecesOf(text: string): string[] {
  const pieces: string[] = [];
  for (let start = 0; start < text.length; ) {
    let end = Math.min(start + PIECE, text.length);
    if (end < text.length && /[\uD800-\uDBFF]/.test(text.charAt(end - 1))) end -= 1;
    pieces.push(text.slice(start, end));
    start = end;
  }
  return pieces;
}
