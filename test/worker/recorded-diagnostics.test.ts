import type { Run } from '../../src/db/schema.js';
import { createMask } from '../../src/variables/masking.js';
import { recordDiagnostics } from '../../src/worker/recorded-diagnostics.js';

const run = { settings: { directory: 'infra/network' } } as Run;
const recorded = (code: string, highlight: [number, number], secrets: string[] = []) => {
  const snippet = { code, startLine: 3, highlight, values: ['var.password is "hunter2"'], context: 'resource "x" "y"' };
  const range = { filename: 'main.tf', startLine: 3, endLine: 3 };
  const diagnostic = { severity: 'error' as const, summary: 'Wrong', detail: '', range, snippet };
  const [kept] = recordDiagnostics(run, { mask: createMask(secrets) }, [diagnostic]);
  if (!kept?.snippet) throw new Error('There is no code.');
  return kept;
};
const pointed = ({ snippet }: ReturnType<typeof recorded>) => snippet?.code.slice(...snippet.highlight);

test('a diagnostic keeps the code that it speaks of, and no values', () => {
  const kept = recorded('  größe = "🚂" + wrong', [18, 23]);
  expect(kept).toMatchObject({
    file: 'infra/network/main.tf',
    snippet: { code: '  größe = "🚂" + wrong', startLine: 3, context: 'resource "x" "y"' },
  });
  expect(pointed(kept)).toBe(Buffer.from('  größe = "🚂" + wrong').subarray(18, 23).toString());
  expect(JSON.stringify(kept)).not.toContain('hunter2');
});

test('secrets in it are masked, and it still points at the same', () => {
  const code = 'password = "correct-horse" + wrong';
  const at = code.indexOf('wrong');
  const kept = recorded(code, [at, at + 5], ['correct-horse']);
  expect(kept.snippet?.code).toBe('password = "***" + wrong');
  expect(pointed(kept)).toBe('wrong');
});

test('a secret key in the address of its resource is masked', () => {
  const diagnostic = { severity: 'error' as const, summary: '', detail: '', address: 'x.y["correct-horse"]' };
  expect(recordDiagnostics(run, { mask: createMask(['correct-horse']) }, [diagnostic])).toMatchObject([
    { address: 'x.y["***"]' },
  ]);
});

test('it points at nothing when a secret reaches over an end of that', () => {
  const kept = recorded('password = correct-horse', [18, 24], ['correct-horse']);
  expect(kept.snippet).toMatchObject({ code: 'password = ***', highlight: [0, 0] });
});

test('twenty lines and 4 KiB are kept at most', () => {
  expect(recorded('x\n'.repeat(100), [0, 1]).snippet?.code.split('\n')).toHaveLength(20);
  const long = recorded('ü'.repeat(5_000), [8_000, 8_002]).snippet;
  expect(long?.code).toBe('ü'.repeat(2_048));
  expect(long?.highlight).toEqual([0, 0]);
});
