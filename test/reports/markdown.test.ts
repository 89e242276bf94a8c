import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { micromark } from 'micromark';
import { gfm, gfmHtml } from 'micromark-extension-gfm';
import { cutMiddle, longText } from '../../src/reports/long-text.js';
import { byteLength, code, fence, login, oneLine, plain, sentence, table } from '../../src/reports/markdown.js';

/** Pieces that do something in Markdown, in HTML or on GitHub, between any other text. */
const nasty = fc.constantFrom(
  '`',
  '``',
  '```\n',
  '|',
  '\\',
  '\\|',
  '\n',
  '\r\n',
  '@team',
  '@acme/owners',
  '#12',
  'acme/infra#1',
  'GH-7',
  'a@b.com',
  'https://evil.example',
  'www.evil.example',
  '<img src=x onerror=y>',
  '<!--',
  '-->',
  '</code>',
  '[x](y)',
  '![x](y)',
  '**',
  '__',
  '~~',
  ':tada:',
  '&amp;',
  '&#64;',
  '\u202e',
  '\u2066',
  '\u0000',
  '\u001b[31m',
  '\ud800',
  ' ',
  '  ',
  '- ',
  '# ',
  '| --- |',
  '~~~',
  '    ',
  '\t',
  '1234567890abcdef1234567890abcdef12345678',
  '😀',
);
const text = fc.array(fc.oneof(nasty, fc.string({ maxLength: 5 })), { maxLength: 12 }).map((pieces) => pieces.join(''));

describe('a code span', () => {
  test('shows exactly its text in a paragraph, whatever is in it', () => {
    fc.assert(
      fc.property(text, (any) => {
        const shown = oneLine(any);
        const expected = shown === '' ? '–' : `<code>${encoded(shown)}</code>`;
        expect(render(`before ${code(any, 10_000)} after`)).toBe(`<p>before ${expected} after</p>`);
      }),
      { numRuns: 2_000 },
    );
  });

  test('stays in its cell of a table and shows its text', () => {
    fc.assert(
      fc.property(text, text, (one, other) => {
        const html = render(table(['a', 'b'], 'll', [[code(one, 10_000), code(other, 10_000)]]));
        const cells = [...html.matchAll(/<td align="left">(.*?)<\/td>/gs)].map(([, cell]) => cell);
        expect(html.match(/<tr>/g)).toHaveLength(2);
        expect(cells).toEqual([one, other].map(cellOf));
      }),
      { numRuns: 2_000 },
    );
  });

  test('is one line, and short where it has to be', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 1, max: 30 }), (any, max) => {
        const span = code(any, max);
        expect(span).not.toMatch(/[\n\r]/);
        expect(Array.from(span.replace(/^`+ ?| ?`+$/g, '').replace(/\\\u2060?(?=\|)/g, '')).length).toBeLessThanOrEqual(
          max + 2,
        );
      }),
    );
  });
});

describe('a fence', () => {
  test('holds any text, and nothing gets out of it', () => {
    fc.assert(
      fc.property(text, (any) => {
        const body = plain(any);
        const html = render(`${fence(any, 'text')}\nafter`);
        const ended = body === '' || body.endsWith('\n') ? body : `${body}\n`;
        expect(html).toBe(`<pre><code class="language-text">${encoded(ended)}</code></pre>\n<p>after</p>`);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('plain text', () => {
  test('has no colours, and spells out what would turn the direction of writing', () => {
    expect(plain('\u001b[1m\u001b[32m+ create\u001b[0m\u202e')).toBe('+ create\\u202e');
    expect(plain('a\u0007b\r\nc\td')).toBe('a\\u0007b\nc\td');
  });

  test('is well-formed, so that it survives JSON', () => {
    fc.assert(fc.property(text, (any) => expect(Buffer.from(plain(any)).toString()).toBe(plain(any))));
  });
});

test('a login pings nobody and refers to nothing', () => {
  expect(login('alice-smith')).toBe('alice-smith');
  expect(login('dependabot[bot]')).toBe('`dependabot[bot]`');
  expect(login('gh-12')).toBe('`gh-12`');
  expect(login('deadbeef')).toBe('`deadbeef`');
});

test('a sentence is plain only if nothing in it could mean anything', () => {
  expect(sentence('Auto-apply was turned off since this run was created.')).toBe(
    'Auto-apply was turned off since this run was created.',
  );
  for (const loaded of [
    'By @team.',
    'See #12',
    'www.evil.example',
    'a:b:c',
    'JIRA-12',
    'at deadbeef',
    '<b>',
    '*a*',
    'a_b_',
  ]) {
    expect(sentence(loaded)).toBe(`\`${loaded}\``);
  }
  fc.assert(
    fc.property(text, (any) => {
      const shown = sentence(any);
      if (!shown.startsWith('`') && shown !== '–') expect(render(`a ${shown} b`)).toBe(`<p>a ${shown} b</p>`);
    }),
  );
});

describe('cutting in the middle', () => {
  const where = 'all of it is on https://signalbox.example/runs/run-1';

  test('leaves what fits alone', () => {
    expect(cutMiddle('a\nb\n', 100, where)).toBe('a\nb\n');
  });

  test('keeps whole lines of both ends and says what is missing', () => {
    const lines = Array.from({ length: 1_000 }, (_, index) => `line ${index + 1}`);
    const cut = cutMiddle(`${lines.join('\n')}\n`, 400, where);
    expect(cut).toMatch(/^line 1\nline 2\n/);
    expect(cut).toMatch(/\nline 999\nline 1000\n$/);
    expect(cut).toMatch(/\n… 9\d\d lines \(\d+ kB\) left out: all of it is on https:.* …\n/);
    const kept = cut.split('\n').filter((line) => line.startsWith('line ')).length;
    expect(cut).toContain(`… ${1_000 - kept} lines`);
  });

  test('keeps the limit in bytes, for any text', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 60 }), fc.integer({ min: 0, max: 900 }), (pieces, limit) => {
        expect(byteLength(cutMiddle(pieces.join('\n'), limit, where))).toBeLessThanOrEqual(limit);
      }),
      { numRuns: 1_000 },
    );
  });

  test('cuts a single endless line too, between characters', () => {
    const cut = cutMiddle('é😀'.repeat(1_000), 300, where);
    expect(byteLength(cut)).toBeLessThanOrEqual(300);
    expect(cut).not.toContain('\ufffd');
    expect(cut).toMatch(/^é😀/);
  });

  test('counts the lines of a text of which only the ends are at hand', () => {
    const long = {
      ...longText('x\n'.repeat(500)),
      end: 'y\n'.repeat(500),
      whole: false,
      lines: 12_345,
      bytes: 5_000_000,
    };
    expect(cutMiddle(long, 300, where)).toMatch(/^x\n[\s\S]*… 12,\d+ lines \(5\.0 MB\) left out[\s\S]*y\n$/);
  });
});

function render(markdown: string): string {
  return micromark(markdown, { extensions: [gfm()], htmlExtensions: [gfmHtml()] });
}

/** As HTML has it. */
function encoded(text: string): string {
  const entities: Record<string, string> = { '<': '&lt;', '>': '&gt;', '"': '&quot;', '&': '&amp;' };
  return text.replace(/[<>"&]/g, (character) => entities[character] ?? character);
}

function cellOf(any: string): string {
  const shown = oneLine(any);
  return shown === '' ? '–' : `<code>${encoded(shown.replace(/\\(?=\|)/g, '\\\u2060'))}</code>`;
}
