import { utimes } from 'node:fs/promises';
import { join } from 'node:path';

/** How often it is noted on disk that a mirror is used, in ms. */
const NOTE_MS = 60_000;

/** Who uses which mirror: one that is in use isn't removed, and one that is being removed isn't used. */
export class MirrorUse {
  readonly #users = new Map<number, number>();
  readonly #removing = new Map<number, Promise<unknown>>();
  readonly #last = new Map<number, number>();
  readonly #noted = new Map<number, number>();

  /** Does something with a repository's mirror, which may not be there yet. */
  async during<T>(id: number, directory: string, work: () => Promise<T>): Promise<T> {
    while (this.#removing.has(id)) await this.#removing.get(id);
    this.#users.set(id, (this.#users.get(id) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const others = (this.#users.get(id) ?? 1) - 1;
      if (others > 0) this.#users.set(id, others);
      else this.#users.delete(id);
      this.#last.set(id, Date.now());
      await this.#note(id, directory);
    }
  }

  /**
   * Removes a mirror that nobody uses, nor has for `ms`; whoever wants to meanwhile waits. Yields whether it was removed.
   */
  async remove(id: number, ms: number, remove: () => Promise<void>): Promise<boolean> {
    if (this.#users.has(id) || this.#removing.has(id)) return false;
    if (Date.now() - (this.#last.get(id) ?? Number.NEGATIVE_INFINITY) < ms) return false;
    const removing = remove().finally(() => this.#removing.delete(id));
    this.#removing.set(
      id,
      removing.catch(() => undefined),
    );
    this.#noted.delete(id);
    this.#last.delete(id);
    await removing;
    return true;
  }

  /** The time of a mirror's HEAD, which nothing else changes, is when it was last used. */
  async #note(id: number, directory: string): Promise<void> {
    const now = Date.now();
    if (now - (this.#noted.get(id) ?? 0) < NOTE_MS) return;
    this.#noted.set(id, now);
    await utimes(join(directory, 'HEAD'), new Date(now), new Date(now)).catch(() => undefined);
  }
}
