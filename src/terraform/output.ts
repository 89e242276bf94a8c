import { type FSWatcher, watch } from 'node:fs';
import { open } from 'node:fs/promises';

/** A longer line is cut here, and the rest of it dropped: 1 MiB, in bytes. */
export const LONGEST_LINE = 1024 * 1024;

/** How often a file is looked at when the system tells us nothing about it, in ms. */
const POLL = 100;
const CHUNK = 64 * 1024;

/** One line of a file. */
export interface OutputLine {
  /** Without its line end. */
  text: string;
  /** Byte offset of what follows: reading can go on from here. */
  end: number;
  /** Bytes left out because the line was longer than {@link LONGEST_LINE}; 0 for any ordinary line. */
  dropped: number;
}

/**
 * Follows a file that another process writes to.
 *
 * @param path the file, which must exist
 * @param offset where to begin, in bytes
 * @param writer settles when nothing more will be written; what was written until then is still read. A rejection ends the
 *   iteration with that error.
 */
export async function* follow(path: string, offset: number, writer: Promise<unknown>): AsyncGenerator<Buffer, void> {
  const bell = new Bell(path);
  let ended = false;
  let failure: { error: unknown } | undefined;
  writer.then(
    () => {
      ended = true;
      bell.ring();
    },
    (error: unknown) => {
      failure = { error };
      bell.ring();
    },
  );
  const file = await open(path, 'r');
  try {
    for (let position = offset; ; ) {
      if (failure !== undefined) throw failure.error;
      const last = ended;
      const heard = bell.next();
      const { bytesRead, buffer } = await file.read(Buffer.allocUnsafe(CHUNK), 0, CHUNK, position);
      if (bytesRead > 0) {
        position += bytesRead;
        yield buffer.subarray(0, bytesRead);
      } else if (last) {
        return;
      } else if (!ended) {
        await heard;
      }
    }
  } finally {
    bell.close();
    await file.close();
  }
}

/**
 * Cuts a stream of bytes into lines, and hands on as many at once as each piece completes. A last line without a line end is
 * handed on when the stream ends.
 *
 * @param offset the byte offset of the stream's first byte, which must begin a line
 */
export async function* splitLines(pieces: AsyncIterable<Buffer>, offset: number): AsyncGenerator<OutputLine[], void> {
  let position = offset;
  let held: Buffer[] = [];
  let heldBytes = 0;
  let dropped = 0;
  const hold = (part: Buffer) => {
    const kept = part.subarray(0, LONGEST_LINE - heldBytes);
    if (kept.length > 0) held.push(kept);
    heldBytes += kept.length;
    dropped += part.length - kept.length;
  };
  const take = (): OutputLine => {
    const bytes = held.length === 1 && held[0] ? held[0] : Buffer.concat(held);
    const line = { text: bytes.toString('utf8').replace(/\r$/, ''), end: position, dropped };
    held = [];
    heldBytes = 0;
    dropped = 0;
    return line;
  };
  for await (const piece of pieces) {
    const lines: OutputLine[] = [];
    let start = 0;
    for (let at = piece.indexOf(10); at >= 0; at = piece.indexOf(10, start)) {
      hold(piece.subarray(start, at));
      position += at + 1 - start;
      start = at + 1;
      lines.push(take());
    }
    hold(piece.subarray(start));
    position += piece.length - start;
    if (lines.length > 0) yield lines;
  }
  if (heldBytes > 0) yield [take()];
}

/** Rings when a file may have changed: at once where the system can tell, otherwise every {@link POLL} ms. */
class Bell {
  #ring: () => void = () => {};
  #next = new Promise<void>(() => {});
  readonly #timer: NodeJS.Timeout;
  readonly #watcher: FSWatcher | undefined;

  constructor(path: string) {
    this.#arm();
    this.#timer = setInterval(() => this.ring(), POLL);
    try {
      this.#watcher = watch(path, { persistent: false }, () => this.ring());
      this.#watcher.on('error', () => {});
    } catch {
      // no more watches to be had: the timer does
    }
  }

  /** Resolves at the next ring after this call. */
  next(): Promise<void> {
    return this.#next;
  }

  ring(): void {
    this.#ring();
    this.#arm();
  }

  close(): void {
    clearInterval(this.#timer);
    this.#watcher?.close();
  }

  #arm(): void {
    this.#next = new Promise((resolve) => {
      this.#ring = resolve;
    });
  }
}
