import { stripVTControlCharacters } from 'node:util';

/**
 * How text that isn't ours gets onto GitHub: in a code span or in a fence, and nowhere else. GitHub looks for mentions,
 * references, commit ids, addresses and emoji in the HTML that Markdown became, so that a backslash before `@team` hides
 * nothing; what stands in `<code>` it leaves alone.
 */

/** GitHub's limit for a summary, a text and a comment, in characters. Counted here in bytes of UTF-8, which are never fewer. */
export const MAX_BYTES = 65_535;

export function byteLength(text: string): number {
  return Buffer.byteLength(text);
}

/**
 * Text in one line as a code span, for a paragraph, a list, or a cell of `table`. Longer than `max` characters it
 * ends in `…`; empty it is `–`, since Markdown has no empty code span.
 */
export function code(text: string, max = 200): string {
  const line = shorten(oneLine(text), max);
  if (line === '') return '–';
  const ticks = '`'.repeat(longestRun(line, /`+/g) + 1);
  const pad = /^`|`$|^ .* $|^ +$/.test(line) ? ' ' : '';
  return `${ticks}${pad}${line}${pad}${ticks}`;
}

/** Text as it is, in a fence that it can't close. `info` is ours. Ends with a line break. */
export function fence(text: string, info = ''): string {
  const body = plain(text);
  const ticks = '`'.repeat(Math.max(3, longestRun(body, /`+/g) + 1));
  return `${ticks}${info}\n${body}${body === '' || body.endsWith('\n') ? '' : '\n'}${ticks}\n`;
}

/** How many bytes `fence` adds to a text at most. */
export function fenceOverhead(text: string, info = ''): number {
  return 2 * Math.max(3, longestRun(text, /`+/g) + 1) + info.length + 3;
}

/** A GitHub login: as it is where it can't be taken for anything else, in code otherwise. Never with an `@`. */
export function login(name: string): string {
  const ordinary = /^[a-z\d](?:[a-z\d-]{0,38})$/i.test(name);
  const reference = /^gh-\d+$/i.test(name) || /^[\da-f]{7,40}$/i.test(name);
  return ordinary && !reference ? name : code(name, 60);
}

/** A sentence of ours that may hold others' words: as it is where nothing in it can mean anything, in code otherwise. */
export function sentence(text: string, max = 300): string {
  const line = shorten(oneLine(text), max);
  const harmless = /^[\p{L}\d ,.;:'()-]+$/u.test(line);
  const meaningful = /:\S|www\.|[a-z]-\d|\b[\da-f]{7,40}\b/i.test(line);
  return harmless && !meaningful ? line : code(line, max);
}

/** One line for places that are plain text on GitHub, such as titles and annotations. */
export function oneLine(text: string): string {
  return plain(text)
    .replace(/[\n\t\u2028\u2029\u0085]+/g, ' ')
    .trim();
}

/**
 * Text without colour codes, with nothing in it that changes how the rest is read: control characters and those that
 * turn the direction of writing are spelled out.
 */
export function plain(text: string): string {
  return stripVTControlCharacters(text)
    .replaceAll('\r\n', '\n')
    .replace(/[^\P{Cc}\n\t]|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu, spelledOut)
    .replace(/\p{Cs}/gu, '\ufffd');
}

/** At most `max` characters, the last of which is then `…`. */
export function shorten(text: string, max: number): string {
  if (text.length <= max) return text;
  const characters = Array.from(text.slice(0, max * 2));
  return characters.length <= max && text.length <= max * 2 ? text : `${characters.slice(0, max - 1).join('')}…`;
}

/** A table of Markdown whose cells are ready, but for pipes in them. `align` has one letter a column. */
export function table(header: string[], align: string, rows: string[][]): string {
  const rule = [...align].map((letter) => (letter === 'r' ? '--:' : ':--'));
  return [header, rule, ...rows].map(tableRow).join('');
}

/**
 * In a cell `\|` is a pipe, also inside code. A backslash of the text's own before it is read in two ways by two
 * parsers, so an invisible word joiner stands between.
 */
function tableRow(cells: string[]): string {
  return `| ${cells.map((cell) => cell.replace(/\\(?=\|)/g, '\\\u2060').replaceAll('|', '\\|')).join(' | ')} |\n`;
}

/** As `table`, with as many of the rows as `limit` bytes hold, and a line that counts the others. */
export function boundedTable(header: string[], align: string, rows: string[][], limit: number): string {
  let room = limit - byteLength(table(header, align, [])) - 60;
  let fitting = 0;
  for (const row of rows) {
    room -= byteLength(tableRow(row));
    if (room < 0) break;
    fitting++;
  }
  const rest = rows.length - fitting;
  return table(header, align, rows.slice(0, fitting)) + (rest > 0 ? `\nAnd ${rest} more.\n` : '');
}

function longestRun(text: string, pattern: RegExp): number {
  let longest = 0;
  for (const [run] of text.matchAll(pattern)) longest = Math.max(longest, run.length);
  return longest;
}

function spelledOut(character: string): string {
  return `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`;
}
