import { describe, expect, test } from '@jest/globals';
import { stripColour } from '../../src/terraform/colour.js';
import { type Diagnostic, parseDiagnostic, renderDiagnostic } from '../../src/terraform/diagnostic.js';
import { diagnosticOf, parseMessage, renderMessage, saysInterrupted } from '../../src/terraform/messages.js';
import { ProgressTracker } from '../../src/terraform/progress.js';

const line = (type: string, text: string, fields: object = {}) =>
  parseMessage(JSON.stringify({ '@level': 'info', '@message': text, type, ...fields }));
const rendered = (...of: Parameters<typeof line>) => renderMessage(line(...of));
const resource = (address: string) => ({ resource: { addr: address } });

describe('a message', () => {
  test.each([
    ['not JSON at all', 'not JSON at all\n'],
    ['{ broken', '{ broken\n'],
    ['{"a":1}', '{"a":1}\n'],
    ['', '\n'],
  ])('that is none passes as it is: %s', (text, expected) => {
    expect(renderMessage(parseMessage(text))).toBe(expected);
  });

  test('that people are not shown is left out', () => {
    for (const type of ['version', 'planned_change', 'resource_drift', 'refresh_complete', 'provision_complete']) {
      expect(rendered(type, 'x')).toBeUndefined();
    }
    expect(rendered('change_summary', 'Plan: 1 to add', { changes: { add: 1, operation: 'plan' } })).toBeUndefined();
    expect(
      rendered('outputs', 'Outputs: 1', { outputs: { a: { sensitive: false, action: 'create' } } }),
    ).toBeUndefined();
  });

  test('of a type that is new is shown', () => {
    expect(rendered('something_new', 'Look!')).toBe('Look!\n');
  });

  test('of a provisioner reads as in Terraform', () => {
    const hook = { ...resource('a.b'), provisioner: 'local-exec', output: 'hello' };
    expect(stripColour(rendered('provision_progress', 'a.b: (local-exec): hello', { hook }) ?? '')).toBe(
      'a.b (local-exec): hello\n',
    );
  });

  test('with outputs shows their values, and hides the sensitive ones', () => {
    const outputs = {
      s: { sensitive: true, value: 'secret', type: 'string' },
      m: { sensitive: false, value: { k: [1, true, null], e: {}, l: [] } },
    };
    expect(stripColour(rendered('outputs', 'Outputs: 2', { outputs }) ?? '')).toBe(
      '\nOutputs:\n\ns = <sensitive>\nm = {\n  "k" = [\n    1,\n    true,\n    null,\n  ]\n  "e" = {}\n  "l" = []\n}\n',
    );
  });

  test('says whether Terraform was interrupted', () => {
    expect(saysInterrupted(line('log', '\nInterrupt received.\nPlease wait'))).toBe(true);
    expect(saysInterrupted(line('provision_progress', 'Interrupt received.'))).toBe(false);
  });
});

describe('a diagnostic', () => {
  const full: Diagnostic = {
    severity: 'error',
    summary: 'Invalid value',
    detail: 'It is too short.\n',
    address: 'a.b',
    range: { filename: 'main.tf', startLine: 12, endLine: 13 },
    snippet: {
      context: 'variable "x"',
      code: '  é = var.x\n  b = 2',
      startLine: 12,
      highlight: [7, 12],
      values: ['var.x is "foo"'],
    },
  };

  test('reads as with -no-color once the colour is gone', () => {
    expect(stripColour(renderDiagnostic(full))).toBe(`
Error: Invalid value

  with a.b,
  on main.tf line 12, in variable "x":
  12:   é = var.x
  13:   b = 2
    ├────────────────
    │ var.x is "foo"

It is too short.
`);
    expect(renderDiagnostic(full)).toContain('\u001b[4mvar.x\u001b[0m');
  });

  test('may be short', () => {
    const text = renderDiagnostic({ severity: 'warning', summary: 'Careful', detail: '' });
    expect(stripColour(text)).toBe('\nWarning: Careful\n');
  });

  test('is read as far as it makes sense', () => {
    expect(parseDiagnostic({ severity: 'error', summary: 'S', range: 'odd', snippet: 3 })).toEqual({
      severity: 'error',
      summary: 'S',
      detail: '',
    });
    expect(parseDiagnostic({})).toBeUndefined();
    expect(diagnosticOf(line('diagnostic', 'text'))).toBeUndefined();
    expect(rendered('diagnostic', 'text')).toBe('text\n');
  });
});

test('colour and every other terminal sequence is stripped', () => {
  const text =
    '\u001b[1m\u001b[38;5;12mbold\u001b[0m \u001b]8;;http://x\u0007link\u001b]8;;\u001b\\ \u001b[2K\u001b(Bend\u001b7';
  expect(stripColour(text)).toBe('bold link end');
});

describe('progress', () => {
  test('counts a replacement once, when both of its halves are done', () => {
    const tracker = new ProgressTracker();
    const see = (type: string, address: string, action: string) =>
      tracker.see(
        line(type, '', { [type === 'planned_change' ? 'change' : 'hook']: { ...resource(address), action } }),
      );
    see('planned_change', 'a', 'replace');
    see('planned_change', 'b', 'create');
    see('planned_change', 'c', 'move');
    see('apply_start', 'a', 'delete');
    expect(tracker.progress).toEqual({ planned: 2, applied: 0, failed: 0, inFlight: ['a'], done: [] });
    see('apply_complete', 'a', 'delete');
    see('apply_start', 'b', 'create');
    see('apply_start', 'a', 'create');
    see('apply_errored', 'b', 'create');
    expect(tracker.progress).toEqual({ planned: 2, applied: 0, failed: 1, inFlight: ['a'], done: ['a'] });
    see('apply_complete', 'a', 'create');
    expect(tracker.progress).toEqual({ planned: 2, applied: 1, failed: 1, inFlight: [], done: ['a'] });
    expect(see('refresh_start', 'a', 'read')).toBe(false);
  });
});
