import fc from 'fast-check';
import { colour, stripColour } from '../../../src/terraform/colour.js';
import { type AnsiState, parseAnsi, type Span } from '../../../src/web/browser/ansi.js';

const spansOf = (text: string) => parseAnsi(text).spans.map(({ text, classes }) => [text, classes]);

test('colours become classes, and line ends end a span', () => {
  expect(spansOf(`plain ${colour.red(colour.bold('Error: '))}${colour.bold('wrong\nhere')}`)).toEqual([
    ['plain ', ''],
    ['Error: ', 'ansi-bold ansi-fg-red'],
    ['wrong\n', 'ansi-bold'],
    ['here', 'ansi-bold'],
  ]);
  expect(spansOf('\u001b[2;3;4;91;104ma\u001b[22;23mb\u001b[24;39;49mc\u001b[md')).toEqual([
    ['a', 'ansi-dim ansi-italic ansi-underline ansi-fg-red-bright ansi-bg-blue-bright'],
    ['b', 'ansi-underline ansi-fg-red-bright ansi-bg-blue-bright'],
    ['c', ''],
    ['d', ''],
  ]);
});

test('of more colours the nearest of 16 is taken', () => {
  expect(
    spansOf('\u001b[38;5;9ma\u001b[38;5;196mb\u001b[38;2;0;200;0mc\u001b[48;5;255md\u001b[0;38;5;999me\u001b[38;9mf'),
  ).toEqual([
    ['a', 'ansi-fg-red-bright'],
    ['b', 'ansi-fg-red-bright'],
    ['c', 'ansi-fg-green'],
    ['d', 'ansi-fg-green ansi-bg-white'],
    ['e', ''],
    ['f', ''],
  ]);
});

test('a carriage return ends a line, once also before a line feed, and wherever it is cut', () => {
  expect(spansOf('10%\r20%\r\ndone')).toEqual([
    ['10%\n', ''],
    ['20%\n', ''],
    ['done', ''],
  ]);
  const { spans, state } = parseAnsi('a\r');
  expect([...spans, ...parseAnsi('\nb', state).spans].map(({ text }) => text)).toEqual(['a\n', 'b']);
});

const texts = fc.array(
  fc.oneof(
    fc.string(),
    fc.constantFrom(
      '\r',
      '\n',
      '\u001b',
      '\u001b[',
      '1;31',
      'm',
      '\u001b[38;5;1',
      '\u001b]0;title',
      '\u0007',
      '\u001b\\',
      '<script>',
      '\u001b[?25l',
    ),
  ),
);
const joined = (spans: Span[]) => spans.map(({ text }) => text).join('');

function inPieces(pieces: string[]): Span[] {
  let state: AnsiState = {};
  return pieces.flatMap((piece) => {
    // As it goes from the server to the browser.
    const parsed = parseAnsi(piece, JSON.parse(JSON.stringify(state)));
    state = parsed.state;
    return parsed.spans;
  });
}

test('the text is the one without colour, wherever it is cut', () => {
  fc.assert(
    fc.property(texts, (pieces) => {
      const whole = pieces.join('');
      const { spans, state } = parseAnsi(whole);
      const rest = stripColour(state.held ?? '');
      const held = inPieces(pieces);
      expect(joined(held)).toBe(joined(spans));
      expect(joined(spans) + rest).toBe(stripColour(whole).replace(/\r\n?/g, '\n'));
    }),
    { numRuns: 2_000 },
  );
});

test('a character looks the same, wherever the text is cut; classes are of a known kind; no span has more than a line', () => {
  const looks = (spans: Span[]) =>
    spans.flatMap(({ text, classes }) => [...text].map((character) => [character, classes]));
  fc.assert(
    fc.property(texts, (pieces) => {
      const { spans } = parseAnsi(pieces.join(''));
      expect(looks(inPieces(pieces))).toEqual(looks(spans));
      for (const { text, classes } of spans) {
        expect(classes).toMatch(/^(ansi-[a-z-]+( ansi-[a-z-]+)*)?$/);
        expect(text.slice(0, -1)).not.toContain('\n');
      }
    }),
    { numRuns: 1_000 },
  );
});
