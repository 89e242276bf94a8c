/** Answers that are good for a while. Who asks for one that somebody else is waiting for, waits along. */
export class ShortMemory<T> {
  readonly #milliseconds: number;
  readonly #size: number;
  readonly #answers = new Map<string, { asked: number; answer: Promise<T> }>();

  /** `size`: beyond so many answers the oldest are asked for again. */
  constructor(options: { milliseconds: number; size: number }) {
    this.#milliseconds = options.milliseconds;
    this.#size = options.size;
  }

  /** What `ask` yields, or yielded within the time, counted from when it was asked. Failures aren't remembered. */
  recall(key: string, ask: () => Promise<T>): Promise<T> {
    const now = performance.now();
    const known = this.#answers.get(key);
    if (known && now - known.asked < this.#milliseconds) return known.answer;
    const answer = ask();
    this.#answers.delete(key);
    this.#answers.set(key, { asked: now, answer });
    answer.catch(() => {
      if (this.#answers.get(key)?.answer === answer) this.#answers.delete(key);
    });
    for (const oldest of this.#answers.keys()) {
      if (this.#answers.size <= this.#size) break;
      this.#answers.delete(oldest);
    }
    return answer;
  }

  /** Forgets what keys beginning so have. */
  forget(prefix: string): void {
    for (const key of this.#answers.keys()) if (key.startsWith(prefix)) this.#answers.delete(key);
  }
}
