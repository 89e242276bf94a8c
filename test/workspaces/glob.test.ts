import fc from 'fast-check';
import picomatch from 'picomatch';
import { compileGlob } from '../../src/workspaces/glob.js';

describe('a glob', () => {
  const match = (pattern: string, path: string) => compileGlob(pattern)?.(path);

  test.each([
    [
      'shared/**/*.tf',
      ['shared/a.tf', 'shared/a/b/c.tf', 'shared/.x/.y.tf'],
      ['shared/a.md', 'x/shared/a.tf', 'shared'],
    ],
    ['**', ['a', 'a/b', '.a/.b'], []],
    ['**/x', ['x', 'a/x', 'a/b/x'], ['ax', 'a/xb', 'x/a']],
    ['a/**', ['a/b', 'a/b/c'], ['b/a', 'ab']],
    ['a/', ['a/b'], ['ab']],
    ['./a*b', ['ab', 'axxb'], ['a/b']],
    ['a**b', ['axb'], ['a/b']],
    ['a?', ['ab'], ['a', 'a/', 'abc']],
    ['[a-c!]x', ['ax', 'cx', '!x'], ['dx', '-x']],
    ['[!a-c]x', ['dx'], ['ax', '/x']],
    ['{a,b/{c,d},}.tf', ['a.tf', 'b/c.tf', 'b/d.tf', '.tf'], ['c.tf']],
    ['a{b}[c', ['a{b}[c'], ['ab']],
    ['a.b+(c)|$^\\', ['a.b+(c)|$^\\'], ['aXb']],
  ])('%s', (pattern, yes, no) => {
    expect(yes.filter((path) => !match(pattern, path))).toEqual([]);
    expect(no.filter((path) => match(pattern, path))).toEqual([]);
  });

  test('matches what picomatch matches', () => {
    const part = fc.constantFrom('a', 'b', '.a', '*', '?', '*a', 'b*', '[ab]', '[^a]', '{a,b}', '**');
    const pattern = fc.array(part, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    const segment = fc.stringMatching(/^[ab.]{0,2}[abc]$/);
    const path = fc.array(segment, { minLength: 1, maxLength: 4 }).map((segments) => segments.join('/'));
    fc.assert(
      fc.property(pattern, path, (pattern, path) => {
        // `[!a]` it doesn't know. It lets `a/**` match the directory `a` itself, which is never a changed path beside files in it.
        fc.pre(!pattern.endsWith('**'));
        expect(match(pattern, path)).toBe(picomatch(pattern, { dot: true })(path));
      }),
      { numRuns: 3_000 },
    );
  });

  test('has at most 64 alternatives', () => {
    expect(compileGlob('{a,b}'.repeat(6))).toBeDefined();
    expect(compileGlob('{a,b}'.repeat(7))).toBeUndefined();
    expect(compileGlob('{a,b}'.repeat(50))).toBeUndefined();
    expect(compileGlob('{'.repeat(250))?.('{')).toBe(false);
  });

  test.each(['*a*a*a*a*a*a*b', '**/*a*a*a*a*b', '**/a/**/a/**/a/**/b', '?*?*?*?*?*b'])(
    '%s is matched in time',
    (pattern) => {
      const started = performance.now();
      for (const path of ['a'.repeat(4_000), 'a/'.repeat(2_000)]) expect(match(pattern, path)).toBe(false);
      expect(performance.now() - started).toBeLessThan(10_000);
    },
  );
});
