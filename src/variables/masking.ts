/** What stands in the place of a secret. */
export const MASK = '***';

/** Shorter values are not masked: `a` or `10` would take the output apart, and each mask would say where they stand. */
export const MIN_MASKED_LENGTH = 4;

/** Lines of a value are masked on their own from this length: shorter ones (`}`, `foo:`) are in every output. */
const MIN_LINE_LENGTH = 8;

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
 * case-sensitive. Cost: linear in the text, for ordinary values.
 */
export function createMask(values: readonly string[]): Mask {
  const patterns = new Patterns(values.filter(isMaskable).flatMap(parts).flatMap(forms));
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
    let out = '';
    let shown = Math.max(0, this.#maskedUntil);
    let at = 0;
    for (; at < text.length; at++) {
      const length = this.#patterns.matchAt(text, at, isLast);
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

/** Patterns by a hash of their first three characters, the longest first. */
class Patterns {
  readonly #all: string[];
  readonly #buckets: (string[] | undefined)[] = new Array(0x10000);
  readonly #longest: number;

  constructor(patterns: readonly string[]) {
    this.#all = [...new Set(patterns)].sort((a, b) => b.length - a.length);
    this.#longest = this.#all[0]?.length ?? 0;
    for (const pattern of this.#all) {
      const key = keyAt(pattern, 0);
      const bucket = this.#buckets[key];
      if (bucket) bucket.push(pattern);
      else this.#buckets[key] = [pattern];
    }
  }

  /** The length of the longest secret that begins there, or 'undecided' if more text could make it a longer one. */
  matchAt(text: string, at: number, isLast: boolean): number | 'undecided' {
    const left = text.length - at;
    if (left < MIN_MASKED_LENGTH && isLast) return 0;
    const bucket = left < MIN_MASKED_LENGTH ? this.#all : this.#buckets[keyAt(text, at)];
    if (!bucket) return 0;
    const tail = left < this.#longest && !isLast ? text.slice(at) : undefined;
    for (const pattern of bucket) {
      if (pattern.length <= left) {
        if (text.startsWith(pattern, at)) return pattern.length;
      } else if (tail !== undefined && pattern.startsWith(tail)) return 'undecided';
    }
    return 0;
  }
}

function keyAt(text: string, at: number): number {
  return (text.charCodeAt(at) * 961 + text.charCodeAt(at + 1) * 31 + text.charCodeAt(at + 2)) & 0xffff;
}

function parts(value: string): string[] {
  const lines = value.split(/\r\n|\n|\r/).map((line) => line.trim());
  const long = lines.length > 1 ? lines.filter((line) => line.length >= MIN_LINE_LENGTH && isMaskable(line)) : [];
  return [...new Set([value, value.trim(), ...long])];
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
