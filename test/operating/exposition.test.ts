import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { expose } from '../../src/operating/exposition.js';
import { githubMetrics } from '../../src/operating/github-metrics.js';
import { processMetrics } from '../../src/operating/process-metrics.js';
import { parseExposition, seriesValue } from '../support/exposition.js';

describe('the text format', () => {
  test('has a HELP and a TYPE for each metric, and a line for each sample', () => {
    const text = expose([
      { name: 'signalbox_a', type: 'gauge', help: 'A.', samples: [{ value: 1.5 }] },
      {
        name: 'signalbox_b_total',
        type: 'counter',
        help: 'Two lines\nand a \\.',
        samples: [
          { labels: { kind: 'x', of: 'a "b"\\\n' }, value: 0 },
          { labels: { kind: 'y' }, value: Number.POSITIVE_INFINITY },
        ],
      },
    ]);
    expect(text).toBe(
      [
        '# HELP signalbox_a A.',
        '# TYPE signalbox_a gauge',
        'signalbox_a 1.5',
        '# HELP signalbox_b_total Two lines\\nand a \\\\.',
        '# TYPE signalbox_b_total counter',
        'signalbox_b_total{kind="x",of="a \\"b\\"\\\\\\n"} 0',
        'signalbox_b_total{kind="y"} +Inf',
        '',
      ].join('\n'),
    );
  });

  test('counts in each bucket of a histogram all that is below', () => {
    const buckets = [
      { le: 0.5, count: 2 },
      { le: 10, count: 1 },
    ];
    const text = expose([
      { name: 'signalbox_h', type: 'histogram', help: 'H.', samples: [{ buckets, count: 4, sum: 31.25 }] },
    ]);
    expect(text.split('\n').slice(2, -1)).toEqual([
      'signalbox_h_bucket{le="0.5"} 2',
      'signalbox_h_bucket{le="10"} 3',
      'signalbox_h_bucket{le="+Inf"} 4',
      'signalbox_h_sum 31.25',
      'signalbox_h_count 4',
    ]);
    expect(() => parseExposition(text)).not.toThrow();
  });

  test('leaves out a metric that nothing is known of', () => {
    expect(expose([{ name: 'signalbox_a', type: 'gauge', help: 'A.', samples: [] }])).toBe('');
  });

  test('keeps whatever stands in a label', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme' }), fc.double({ noNaN: true }), (label, value) => {
        const text = expose([
          { name: 'signalbox_a', type: 'gauge', help: label, samples: [{ labels: { label }, value }] },
        ]);
        expect(seriesValue(text, 'signalbox_a', { label })).toBe(value === 0 ? Math.abs(value) : value);
      }),
    );
  });
});

test('a process says what it is, and what it uses', async () => {
  const text = expose(await processMetrics({ version: '1.2.3', roles: ['web', 'worker'] })());
  expect(seriesValue(text, 'signalbox_info', { version: '1.2.3', roles: 'web,worker' })).toBe(1);
  expect(seriesValue(text, 'signalbox_start_time_seconds')).toBeLessThan(Date.now() / 1_000);
  expect(seriesValue(text, 'signalbox_start_time_seconds')).toBeGreaterThan(Date.now() / 1_000 - 3_600);
  for (const name of ['cpu_seconds_total', 'resident_memory_bytes', 'event_loop_busy_seconds_total'])
    expect(seriesValue(text, `signalbox_${name}`)).toBeGreaterThan(0);
});

test("GitHub's budget is told by installation and limit", () => {
  const limits = [
    { limit: 'requests', allowed: 5_000, remaining: 4_100 },
    { limit: 'content_minute', allowed: 80, remaining: 3 },
  ];
  const text = expose(githubMetrics([{ installation: 7, limits, pauseSeconds: 12 }]));
  expect(seriesValue(text, 'signalbox_github_budget_remaining', { installation: '7', limit: 'requests' })).toBe(4_100);
  expect(seriesValue(text, 'signalbox_github_budget_allowed', { installation: '7', limit: 'content_minute' })).toBe(80);
  expect(seriesValue(text, 'signalbox_github_pause_seconds', { installation: '7' })).toBe(12);
  expect(expose(githubMetrics([]))).toBe('');
});

describe('the parser of these tests', () => {
  test.each([
    ['no end of line', 'signalbox_a 1'],
    ['a sample without its head', 'signalbox_a 1\n'],
    ['a TYPE without its HELP', '# TYPE a gauge\na 1\n'],
    ['another name', '# HELP a A\n# TYPE a gauge\nb 1\n'],
    ['a number that is none', '# HELP a A\n# TYPE a gauge\na undefined\n'],
    ['a label that has no end', '# HELP a A\n# TYPE a gauge\na{b="c} 1\n'],
    ['a series that comes twice', '# HELP a A\n# TYPE a gauge\na{b="1"} 1\na{b="1"} 2\n'],
    ['a family that comes twice', '# HELP a A\n# TYPE a gauge\na 1\n# HELP a A\n# TYPE a gauge\n'],
    ['a histogram without an end', '# HELP a A\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n'],
  ])('refuses %s', (_, text) => {
    expect(() => parseExposition(text)).toThrow();
  });
});
