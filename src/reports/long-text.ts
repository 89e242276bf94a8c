import { byteLength, plain } from './markdown.js';

/**
 * A text that may be too long to be held, let alone shown: how it begins and how it ends. A text that is held as a whole
 * is its own beginning and end.
 */
export interface LongText {
  begin: string;
  end: string;
  whole: boolean;
  /** Of all of it. */
  lines: number;
  bytes: number;
}

export function longText(text: string): LongText {
  return { begin: text, end: text, whole: true, lines: countLines(text), bytes: byteLength(text) };
}

/**
 * The text in at most `limit` bytes: as it is when it fits, else its first and last lines with a line between them that
 * says how much is missing and `where` the whole of it is.
 */
export function cutMiddle(text: string | LongText, limit: number, where: string): string {
  const long = typeof text === 'string' ? longText(plain(text)) : cleaned(text);
  if (long.whole && byteLength(long.begin) <= limit) return long.begin;
  const note = (lines: number, bytes: number) => `… ${count(lines, 'line')} (${size(bytes)}) left out: ${where} …`;
  const room = limit - byteLength(note(long.lines, long.bytes)) - 40;
  if (room <= 0) return '';
  const head = leading(long.begin, Math.floor(room / 2));
  const tail = trailing(long.end, room - byteLength(head));
  const lines = Math.max(1, long.lines - countLines(head) - countLines(tail));
  const bytes = Math.max(0, long.bytes - byteLength(head) - byteLength(tail));
  return `${head}${head === '' || head.endsWith('\n') ? '' : '\n'}${note(lines, bytes)}\n${tail}`;
}

function cleaned(text: LongText): LongText {
  if (text.whole) return longText(plain(text.begin));
  return { ...text, begin: plain(text.begin), end: plain(text.end) };
}

/** Whole lines from the beginning; part of the first one where that alone is too long. */
function leading(text: string, limit: number): string {
  const cut = prefix(text, limit);
  if (cut.length === text.length) return cut;
  const line = cut.lastIndexOf('\n');
  return line < 0 ? cut : cut.slice(0, line + 1);
}

/** Whole lines from the end; part of the last one where that alone is too long. */
function trailing(text: string, limit: number): string {
  const cut = suffix(text, limit);
  if (cut.length === text.length) return cut;
  if (text[text.length - cut.length - 1] === '\n') return cut;
  const line = cut.indexOf('\n');
  return line < 0 || line === cut.length - 1 ? cut : cut.slice(line + 1);
}

function prefix(text: string, limit: number): string {
  const bytes = Buffer.from(text.slice(0, limit));
  let end = Math.min(bytes.length, limit);
  while (end > 0 && isContinuation(bytes[end])) end--;
  return bytes.subarray(0, end).toString();
}

function suffix(text: string, limit: number): string {
  if (limit <= 0) return '';
  const bytes = Buffer.from(text.slice(-limit));
  let start = Math.max(0, bytes.length - limit);
  while (start < bytes.length && isContinuation(bytes[start])) start++;
  return bytes.subarray(start).toString();
}

function isContinuation(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80;
}

function countLines(text: string): number {
  if (text === '') return 0;
  let lines = text.endsWith('\n') ? 0 : 1;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines++;
  return lines;
}

function count(number: number, noun: string): string {
  return `${number.toLocaleString('en')} ${noun}${number === 1 ? '' : 's'}`;
}

function size(bytes: number): string {
  if (bytes < 1_000) return `${bytes} bytes`;
  if (bytes < 1_000_000) return `${Math.round(bytes / 1_000)} kB`;
  return `${(bytes / 1_000_000).toFixed(1)} MB`;
}
