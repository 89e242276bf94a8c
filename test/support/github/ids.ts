/** GitHub's times have whole seconds: two things that happen in one second have the same `created_at`. */
export function timestamp(milliseconds = Date.now()): string {
  return new Date(milliseconds).toISOString().replace(/\.\d+Z$/, 'Z');
}

export function nodeId(kind: string, id: number | string): string {
  return Buffer.from(`${kind}:${id}`).toString('base64url');
}

/** Numbers for everything, ascending as on GitHub, and never the same for two kinds of thing (mix-ups show up). */
export class Ids {
  #last = 1000;

  next(): number {
    this.#last += 7;
    return this.#last;
  }
}
