/** What stands in the place of a secret. */
export const MASK = '***';

/** Shorter values are not masked: `a` or `10` would take the output apart, and each mask would say where they stand. */
export const MIN_MASKED_LENGTH = 4;

/** Lines of a value are masked on their own from this length: shorter ones (`}`, `foo:`) are in every output. */
const MIN_LINE_LENGTH = 8;

/** A longer value is masked in pieces of this length: else a long one that repeats itself would be compared at each place. */
const PIECE = 64;
const OVERLAP = 16;

export interface Mask {
  /** A whole text without the secrets. */
  mask(text: string): string;
  /** The same for a text that arrives in pieces. */
  stream(): MaskStream;
}

export interface MaskStream {
  /** Takes the next piece and returns what may be shown by now: all but a tail that may be a secret's beginning. */
  push(chunk: string): string;
  /** Returns what was held back. Nothing may be pushed after it. */
  end(): string;
}

/** Whether a value is masked at all: someone who calls a shorter one sensitive deserves to be told that it is not. */
export function isMaskable(value: string): boolean {
  const text = value.trim();
  return text.length >= MIN_MASKED_LENGTH && !['true', 'false', 'null'].includes(text) && !/^\*+$/.test(text);
}

/**
 * Masks values, and what encodings make of them: JSON's and HCL's escapes (also twice, as of JSON in JSON), base64 (plain, for
 * URLs, and inside a longer text, as in Basic authentication) and URL encoding; of a value with several lines also each
 * line, since Terraform indents them. Where secrets overlap, all that any of them covers is masked. Matching is
 * case-sensitive. A long value is masked in pieces, so what is left of one that was cut is masked as well.
 *
 * Cost: linear in the text, whatever the values: 0.1 s for each MiB that looks like none of them, at worst 1 s. Measured on Node 20.
 */
export function createMask(values: readonly string[]): Mask {
  const work = createMaskInSteps(values);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** The same in steps, between which others may have their turn: a megabyte of values takes seconds. */
export function* createMaskInSteps(values: readonly string[]): Generator<void, Mask> {
  const found = new Set<string>();
  for (const value of values.filter(isMaskable)) {
    for (const form of parts(value).flatMap(forms)) found.add(form);
    yield;
  }
  const sorted = [...found].sort();
  yield;
  const patterns = new Patterns(sorted);
  return {
    mask: (text) => new Stream(patterns).end(text),
    stream: () => new Stream(patterns),
  };
}

class Stream implements MaskStream {
  readonly #patterns: Patterns;
  #held = '';
  /** How far, from the start of what is held, the last secret found reaches; before the start: -1. */
  #maskedUntil = -1;

  constructor(patterns: Patterns) {
    this.#patterns = patterns;
  }

  push(chunk: string): string {
    return this.#advance(this.#held + chunk, false);
  }

  end(rest = ''): string {
    return this.#advance(this.#held + rest, true);
  }

  #advance(text: string, isLast: boolean): string {
    const codes = codesOf(text);
    let out = '';
    let shown = Math.max(0, this.#maskedUntil);
    let at = 0;
    for (; at < text.length; at++) {
      const length = this.#patterns.matchAt(codes, at, isLast);
      if (length === 'undecided') break;
      if (length === 0) continue;
      if (at > this.#maskedUntil) {
        out += text.slice(shown, at) + MASK;
      }
      this.#maskedUntil = Math.max(this.#maskedUntil, at + length);
      shown = this.#maskedUntil;
    }
    if (at > shown) out += text.slice(shown, at);
    this.#held = text.slice(at);
    this.#maskedUntil = Math.max(-1, this.#maskedUntil - at);
    return out;
  }
}

/**
 * Patterns in the order of their characters: those that begin alike stand together, and however many do, a few of them are
 * looked at. At most places a look at three characters says that none begins there.
 */
class Patterns {
  /** All of them, one after the other: typed arrays are compared several times as fast as strings. */
  readonly #codes: Uint16Array;
  /** Where each begins, and at last where they end. */
  readonly #starts: Int32Array;
  /** The longest other pattern that this one begins with, as an index; -1: none. */
  readonly #within: Int32Array;
  /** By a hash of three characters: whether a pattern begins with such. */
  readonly #beginnings = new Uint8Array(0x10000);

  /** @param sorted as JavaScript does, each once */
  constructor(sorted: readonly string[]) {
    this.#codes = codesOf(sorted.join(''));
    this.#starts = new Int32Array(sorted.length + 1);
    this.#within = new Int32Array(sorted.length);
    const open: number[] = [];
    for (const [index, pattern] of sorted.entries()) {
      const start = this.#starts[index] ?? 0;
      this.#starts[index + 1] = start + pattern.length;
      this.#beginnings[keyAt(this.#codes, start)] = 1;
      while (open.length > 0 && !pattern.startsWith(sorted[open.at(-1) ?? 0] ?? '')) open.pop();
      this.#within[index] = open.at(-1) ?? -1;
      open.push(index);
    }
  }

  /** The length of the longest secret that begins there, or 'undecided' if more text could make it a longer one. */
  matchAt(text: Uint16Array, at: number, isLast: boolean): number | 'undecided' {
    const left = text.length - at;
    if (left < MIN_MASKED_LENGTH ? isLast : this.#beginnings[keyAt(text, at)] === 0) return 0;
    const { before, alikeBefore, alikeAfter } = this.#place(text, at);
    if (alikeAfter === left && !isLast) return 'undecided';
    // Whatever the text begins with, the pattern that stands before it begins with, too.
    let found = before;
    while (found >= 0 && this.#lengthOf(found) > alikeBefore) found = this.#within[found] ?? -1;
    return found < 0 ? 0 : this.#lengthOf(found);
  }

  #lengthOf(index: number): number {
    return (this.#starts[index + 1] ?? 0) - (this.#starts[index] ?? 0);
  }

  /**
   * Between which patterns the text from there on stands, and how much of its beginning each of the two has. `before`: the last
   * one that doesn't come after it, -1 if all do.
   */
  #place(text: Uint16Array, at: number): { before: number; alikeBefore: number; alikeAfter: number } {
    const codes = this.#codes;
    let [before, after] = [-1, this.#within.length];
    let [alikeBefore, alikeAfter] = [0, 0];
    while (after - before > 1) {
      const middle = (before + after) >> 1;
      const start = this.#starts[middle] ?? 0;
      const length = this.#lengthOf(middle);
      const most = Math.min(length, text.length - at);
      // All that stand between two have in common what the two have.
      let alike = Math.min(alikeBefore, alikeAfter);
      while (alike < most && codes[start + alike] === text[at + alike]) alike++;
      if (alike === length || (alike < most && (codes[start + alike] ?? 0) < (text[at + alike] ?? 0))) {
        [before, alikeBefore] = [middle, alike];
      } else {
        [after, alikeAfter] = [middle, alike];
      }
    }
    return { before, alikeBefore, alikeAfter };
  }
}

function codesOf(text: string): Uint16Array {
  const codes = new Uint16Array(text.length);
  Buffer.from(codes.buffer).write(text, 'utf16le');
  return codes;
}

function keyAt(codes: Uint16Array, at: number): number {
  return ((codes[at] ?? 0) * 961 + (codes[at + 1] ?? 0) * 31 + (codes[at + 2] ?? 0)) & 0xffff;
}

function parts(value: string): string[] {
  const lines = value.split(/\r\n|\n|\r/).map((line) => line.trim());
  const long = lines.length > 1 ? lines.filter((line) => line.length >= MIN_LINE_LENGTH && isMaskable(line)) : [];
  return [...new Set([value, value.trim(), ...long].flatMap(pieces))];
}

/** They overlap: encoded, a piece is found without its first and its last character. */
function pieces(text: string): string[] {
  const found: string[] = [];
  for (let from = 0; from + PIECE < text.length; ) {
    const to = beforeCharacter(text, from + PIECE);
    found.push(text.slice(from, to));
    from = beforeCharacter(text, to - OVERLAP);
  }
  return [...found, text.slice(beforeCharacter(text, Math.max(0, text.length - PIECE)))];
}

/** The same place, or the one before, if it is between the two halves of a character. */
function beforeCharacter(text: string, at: number): number {
  return (text.codePointAt(at - 1) ?? 0) > 0xffff ? at - 1 : at;
}

function forms(text: string): string[] {
  const escaped = [...new Set([text, text.replaceAll(/([$%])\{/g, '$1$1{')])].flatMap((form) => {
    const json = JSON.stringify(form).slice(1, -1);
    // Go's encoder, and so jsonencode(), escapes these as well.
    const go = json.replaceAll(/[<>&\u2028\u2029]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`);
    return [form, json, go, JSON.stringify(json).slice(1, -1), JSON.stringify(go).slice(1, -1)];
  });
  // A lone surrogate can't be encoded as UTF-8.
  const encoded = Buffer.from(text).toString() === text ? [...base64Forms(text), ...urlForms(text)] : [];
  return [...escaped, ...encoded].filter((form) => form.length >= MIN_MASKED_LENGTH);
}

/** Alone it has one form; after other bytes one of three, of whose ends only whole characters belong to the secret. */
function base64Forms(text: string): string[] {
  const bytes = Buffer.from(text);
  const inside = [0, 1, 2].map((offset) => {
    const shifted = Buffer.concat([Buffer.alloc(offset), bytes]);
    const characters = shifted.toString('base64').replaceAll('=', '');
    return characters.slice(Math.ceil((offset * 8) / 6), Math.floor((shifted.length * 8) / 6));
  });
  // Fewer characters would be found in other base64 by chance.
  const telling = inside.filter((form) => form.length >= MIN_LINE_LENGTH);
  const whole = bytes.toString('base64');
  const all = [whole, whole.replaceAll('=', ''), ...telling];
  return [...all, ...all.map((form) => form.replaceAll('+', '-').replaceAll('/', '_'))];
}

function urlForms(text: string): string[] {
  const plain = encodeURIComponent(text);
  const strict = plain.replaceAll(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
  return [plain, strict].flatMap((form) => [
    form,
    form.replaceAll('%20', '+'),
    form.replaceAll(/%../g, (c) => c.toLowerCase()),
  ]);
}
