import { styleText } from 'node:util';

type Format = Parameters<typeof styleText>[0];

const LONGEST_LINE = 100;

/** A person's terminal, where a line may be written over. Elsewhere everything is printed once and stays. */
export const isTerminal = process.stdout.isTTY === true && process.env.TERM !== 'dumb';

const hasColours = isTerminal && process.stdout.hasColors();

export function print(text = ''): void {
  process.stdout.write(`${text}\n`);
}

export function paint(format: Format, text: string): string {
  return hasColours && text !== '' ? styleText(format, text, { validateStream: false }) : text;
}

/** Columns to write in. */
export function lineWidth(): number {
  return Math.min(process.stdout.columns || LONGEST_LINE, LONGEST_LINE);
}

const segmenter = new Intl.Segmenter();

/** Columns that a text takes. An emoji takes two. */
export function widthOf(text: string): number {
  let columns = 0;
  for (const { segment } of segmenter.segment(plain(text))) columns += /\p{Emoji_Presentation}/u.test(segment) ? 2 : 1;
  return columns;
}

/** Breaks a paragraph between words. */
export function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && widthOf(line) + 1 + widthOf(word) > columns) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}

/** Cuts a line that is too long. What is cut loses its colours. */
export function clip(text: string, columns: number): string {
  return widthOf(text) <= columns ? text : `${[...plain(text)].slice(0, columns - 1).join('')}…`;
}

/** Columns under a heading; `align` has one letter for each: l or r. */
export function columnsOf(header: string[], align: string, rows: string[][]): string[] {
  const widths = header.map((title, column) =>
    Math.max(...[title, ...rows.map((row) => row[column] ?? '')].map(widthOf)),
  );
  const line = (cells: string[]) =>
    cells
      .map((cell, column) => {
        const padding = ' '.repeat(Math.max(0, (widths[column] ?? 0) - widthOf(cell)));
        return align[column] === 'r' ? padding + cell : cell + padding;
      })
      .join('   ')
      .trimEnd();
  return [paint('dim', line(header)), ...rows.map(line)];
}

// biome-ignore lint/suspicious/noControlCharactersInRegex: that is what colours begin with
const COLOURS = /\x1b\[[\d;]*m/g;

function plain(text: string): string {
  return text.replace(COLOURS, '');
}
