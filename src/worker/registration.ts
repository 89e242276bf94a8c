import { randomBytes, randomUUID } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { ClaimingWorker } from '../runs/claim.js';
import { writeDurably } from '../state/write-durably.js';

/** What the record says to a sign of life. `replaced`: another process is this worker by now. */
export type Standing = 'present' | 'lost' | 'replaced';

/**
 * This worker in the record. A worker is a DATA_DIR, whatever it is called and however often its process is another one: so
 * a restart finds its own runs again, and two workers of one name don't take each other's.
 */
export class Registration {
  readonly #db: Db;

  private constructor(
    db: Db,
    readonly worker: ClaimingWorker,
  ) {
    this.#db = db;
  }

  static async open(options: { db: Db; dataDirectory: string; name: string; slots: number }): Promise<Registration> {
    const { db, dataDirectory, name, slots } = options;
    const worker = { id: await identityOf(dataDirectory), name, process: randomUUID() };
    // That it was declared lost stays until it has seen to what it had under way.
    const now = { name, slots, process: worker.process, seen_at: sql<Date>`now()`, started_at: sql<Date>`now()` };
    await db
      .insertInto('workers')
      .values({ id: worker.id, ...now })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ ...now, stopped_at: null }))
      .execute();
    return new Registration(db, worker);
  }

  /** Gives a sign of life. */
  async beat(): Promise<Standing> {
    const { id, process } = this.worker;
    const row = await this.#db
      .updateTable('workers')
      .set({ seen_at: sql`now()` })
      .where('id', '=', id)
      .where('process', '=', process)
      .returning('lost_at')
      .executeTakeFirst();
    if (!row) return 'replaced';
    return row.lost_at === null ? 'present' : 'lost';
  }

  /** Nothing of what was taken from it runs here any more: it may claim again. */
  async comeBack(): Promise<void> {
    await this.#set({ lost_at: null });
  }

  /** It stops in order, and has no runs. */
  async leave(): Promise<void> {
    await this.#set({ stopped_at: sql`now()` });
  }

  async #set(columns: object): Promise<void> {
    const { id, process } = this.worker;
    await this.#db.updateTable('workers').set(columns).where('id', '=', id).where('process', '=', process).execute();
  }
}

async function identityOf(dataDirectory: string): Promise<string> {
  const file = join(dataDirectory, 'worker-id');
  const known = await readFile(file, 'utf8').catch(() => '');
  if (/^worker-[0-9a-f]{16}$/.test(known)) return known;
  const id = `worker-${randomBytes(8).toString('hex')}`;
  await mkdir(dataDirectory, { recursive: true, mode: 0o700 });
  await writeDurably(dataDirectory, file, Buffer.from(id));
  return id;
}
