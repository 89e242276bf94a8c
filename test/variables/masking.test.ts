import fc from 'fast-check';
import { createMask, isMaskable, MASK } from '../../src/variables/masking.js';

/** A text as the stream shows it, cut after each of the given lengths in turn. */
function streamed(values: string[], text: string, lengths: number[]): string {
  const stream = createMask(values).stream();
  let out = '';
  let at = 0;
  for (let turn = 0; at < text.length; turn++) {
    const length = lengths[turn % lengths.length] ?? 1;
    out += stream.push(text.slice(at, at + length));
    at += length;
  }
  return out + stream.end();
}

describe('a mask', () => {
  const mask = (values: string[], text: string) => createMask(values).mask(text);

  test.each([
    ['as it is', 'pass: hunter2!', 'pass: ***'],
    ['in base64', `x ${Buffer.from('hunter2!').toString('base64')} y`, 'x *** y'],
    ['in base64 without padding', `x ${Buffer.from('hunter2!').toString('base64url')}.y`, 'x ***.y'],
    ['in a URL', 'https://u:hunter2%21@host', 'https://u:***@host'],
  ])('hides a value %s', (_, text, expected) => expect(mask(['hunter2!'], text)).toBe(expected));

  test('hides what encodings make of a value', () => {
    const value = 'p"a\\ss <w>& \nö/+';
    const shown = [
      JSON.stringify(value),
      JSON.stringify(JSON.stringify(value)),
      encodeURIComponent(value),
      new URLSearchParams({ value }).toString(),
      JSON.stringify(value).replaceAll('<', '\\u003c').replaceAll('>', '\\u003e').replaceAll('&', '\\u0026'),
    ];
    for (const text of shown) expect(mask([value], text)).toMatch(/^[\\"]*(value=)?\*\*\*[\\"]*$/);
  });

  test('hides a password in Basic authentication, whatever stands before it', () => {
    const secret = 'correct-horse-battery';
    for (const user of ['a', 'ab', 'abc', 'abcd']) {
      const text = Buffer.from(`${user}:${secret}:tail`).toString('base64');
      const out = mask([secret], text);
      expect(out).toContain(MASK);
      expect(Buffer.from(out.replace(MASK, ''), 'base64').toString()).not.toContain('horse');
    }
  });

  test('hides the lines of a value with several, indented too', () => {
    const pem = '-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhk\n-----END KEY-----\n';
    expect(mask([pem], `      MIIEvQIBADANBg\r\n      kqhk`)).toBe('      ***\r\n      kqhk');
    expect(mask([pem], pem)).toBe('***');
  });

  test('hides all that overlapping secrets cover, the longest first', () => {
    expect(mask(['abcdef', 'defghij'], 'x abcdefghij y')).toBe('x *** y');
    expect(mask(['pass', 'password'], 'password pass')).toBe('*** ***');
  });

  test('leaves alone what is too short, or a word of every output', () => {
    const values = ['', 'a', 'abc', '   \n', 'true', 'false', 'null', '****'];
    expect(values.filter(isMaskable)).toEqual([]);
    expect(mask(values, 'a = true, abc = null ****')).toBe('a = true, abc = null ****');
    expect(mask([], 'text')).toBe('text');
  });

  test('takes a value that is no valid Unicode', () => expect(mask(['\ud800abc'], 'x\ud800abc')).toBe('x***'));

  test('hides a long value as a whole, in every encoding, and what is left of one that was cut', () => {
    const value = Array.from({ length: 400 }, (_, n) => `"${n}" 🚂`).join(', ');
    for (const text of [
      value,
      JSON.stringify(value),
      JSON.stringify(JSON.stringify(value)),
      encodeURIComponent(value),
    ]) {
      expect(mask([value], text)).toMatch(/^[\\"]*\*\*\*[\\"]*$/);
    }
    expect(mask([value], Buffer.from(value).toString('base64'))).toMatch(/^\*\*\*.?=*$/);
    expect(mask([value], `x ${value.slice(0, 1_500)}`)).toMatch(/^x \*\*\*/);
    expect(mask([value], value.slice(-1_500))).toMatch(/\*\*\*$/);
  });

  test('finds the longest of those that begin alike, in any order', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 4, maxLength: 12 });
    fc.assert(
      fc.property(
        fc.array(text, { minLength: 1, maxLength: 20 }),
        fc.array(text, { maxLength: 9 }),
        (secrets, pieces) => {
          const whole = pieces.join('c');
          const covered = [...whole].map(() => false);
          for (const secret of secrets) {
            for (let at = whole.indexOf(secret); at >= 0; at = whole.indexOf(secret, at + 1)) {
              covered.fill(true, at, at + secret.length);
            }
          }
          const expected = [...whole].map((c, at) => (!covered[at] ? c : covered[at - 1] ? '' : MASK)).join('');
          expect(mask(secrets, whole)).toBe(expected);
        },
      ),
    );
  });

  test.each([
    ['ten thousand values that begin alike', Array.from({ length: 10_000 }, (_, n) => `arn:aws:iam::${n}`), 'arn:aws:'],
    ['a long value that repeats itself', [`${'a'.repeat(200_000)}b`], 'aaaaaaaa'],
  ])('is fast with %s, on text that looks like them', (_, values, text) => {
    const mask = createMask(values);
    const started = performance.now();
    mask.mask(text.repeat(25_000));
    expect(performance.now() - started).toBeLessThan(3_000);
  });

  test('is fast on long output with many patterns', () => {
    const pem = Array.from({ length: 50 }, (_, i) => Buffer.alloc(48, i).toString('base64')).join('\n');
    const mask = createMask([pem, 'hunter2!']);
    const started = performance.now();
    mask.mask('aws_instance.web[0]: Still creating... [10s elapsed]\n'.repeat(100_000));
    expect(performance.now() - started).toBeLessThan(3_000);
  });
});

describe('a stream', () => {
  test('holds back only what may become a secret', () => {
    const stream = createMask(['hunter2!']).stream();
    expect(stream.push('the password is hun')).toBe('the password is ');
    expect(stream.push('ter')).toBe('');
    expect(stream.push('2! and')).toBe('*** and');
    expect(stream.push(' hunt')).toBe(' ');
    expect(stream.end()).toBe('hunt');
  });

  const letters = fc.constantFrom('a', 'b', '\n', '"', '/');
  const secret = fc.string({ unit: letters, minLength: 1, maxLength: 12 });
  const chunks = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1, maxLength: 5 });

  test('shows no secret, however it is cut', () => {
    const text = (secrets: string[]) =>
      fc.array(fc.oneof(fc.string({ unit: letters, maxLength: 5 }), fc.constantFrom(...secrets)), { maxLength: 12 });
    const cases = fc
      .array(secret, { minLength: 1, maxLength: 4 })
      .chain((secrets) => fc.tuple(fc.constant(secrets), text(secrets), chunks));
    fc.assert(
      fc.property(cases, ([secrets, pieces, lengths]) => {
        const out = streamed(secrets, pieces.join(''), lengths);
        for (const value of secrets.filter(isMaskable)) {
          expect(out).not.toContain(value);
          expect(out).not.toContain(JSON.stringify(value).slice(1, -1));
        }
        expect(out).toBe(createMask(secrets).mask(pieces.join('')));
      }),
      { numRuns: 500 },
    );
  });

  test('changes nothing in a text without secrets', () => {
    fc.assert(
      fc.property(fc.string(), chunks, (text, lengths) => expect(streamed(['ZZZZ-secret'], text, lengths)).toBe(text)),
    );
  });
});
