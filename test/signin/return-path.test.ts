import fc from 'fast-check';
import { returnPath } from '../../src/signin/return-path.js';

test.each([
  '/',
  '/runs/run-x',
  '/?q=a%20b&state=pending',
  '/acme/infra/workspaces/network#locks',
  '/authors',
  '/a/../b',
])('%s is a place to return to', (path) => {
  expect(returnPath(path)).toBe(path === '/a/../b' ? '/b' : path);
});

test.each([
  '//evil.test',
  '/\\evil.test',
  '\\\\evil.test',
  '/\t/evil.test',
  '\t//evil.test',
  ' //evil.test',
  '/\n/evil.test',
  '/.//evil.test',
  '/x/..//evil.test',
  '/%2e//evil.test',
  'https://evil.test',
  'https:evil.test',
  'javascript:alert(1)',
  'evil.test',
  '@evil.test',
  '/\u0000',
  '/a\r\nSet-Cookie: x=y',
  '/auth/login',
  '/auth',
  '/AUTH/login',
  '/x/../auth/sign-out',
  '/%61uth/login',
  '/%E0%A4%A',
  '',
  undefined,
])('%j is none: it becomes /', (path) => {
  expect(returnPath(path)).toBe('/');
});

test('an address that no cookie has room for is none, also once it is encoded', () => {
  for (const path of [`/${'x'.repeat(500)}`, `/${'é'.repeat(90)}`]) expect(returnPath(path)).toBe('/');
});

test('wherever it leads, it is on this host, for browsers too', () => {
  const piece = fc.constantFrom(
    '/',
    '\\',
    '.',
    '..',
    '%2f',
    '%2e',
    '@',
    ':',
    '?',
    '#',
    '\t',
    '\n',
    'evil.test',
    'http',
    'a',
  );
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
      const path = returnPath(pieces.join(''));
      expect(new URL(path, 'https://signalbox.test').origin).toBe('https://signalbox.test');
      expect(returnPath(path)).toBe(path);
    }),
    { numRuns: 2_000 },
  );
});
