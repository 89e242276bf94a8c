import fc from 'fast-check';
import { parseCommand, VERBS } from '../../src/github/command.js';

const known = ['network', 'dns', 'Web', 'web'];

describe('a command', () => {
  test.each([
    ['apply', { verb: 'apply', workspaces: [] }],
    ['Apply  \r\n\r\nbecause it is late', { verb: 'apply', workspaces: [] }],
    ['/plan', { verb: 'plan', workspaces: [] }],
    ['signalbox discard', { verb: 'discard', workspaces: [] }],
    ['@signalbox cancel', { verb: 'cancel', workspaces: [] }],
    ['/Signalbox help', { verb: 'help', workspaces: [] }],
    ['apply network dns', { verb: 'apply', workspaces: ['network', 'dns'] }],
    ['apply\tNETWORK network', { verb: 'apply', workspaces: ['network'] }],
    ['apply web Web', { verb: 'apply', workspaces: ['web', 'Web'] }],
  ])('is %j', (body, expected) => expect(parseCommand(body, known)).toEqual(expected));

  test.each([
    ['/apply netwrok', { verb: 'apply', unknown: ['netwrok'] }],
    ['signalbox apply dns netwrok x x', { verb: 'apply', unknown: ['netwrok', 'x'] }],
    ['@signalbox plan WEB', { verb: 'plan', unknown: ['WEB'] }],
  ])('that is addressed gets its unknown names back: %j', (body, expected) =>
    expect(parseCommand(body, known)).toEqual(expected),
  );
});

describe('conversation', () => {
  test.each([
    '',
    'apply this later',
    'apply netwrok',
    'apply WEB',
    'apply.',
    'apply, please',
    'apply constructor',
    'applying',
    'please apply',
    'signalbox',
    'signalbox apply is broken, again',
    'signalboxapply',
    'signalbox, apply',
    '/lgtm',
    '/ apply',
    '//apply',
    '\napply',
    '> apply',
    '    apply',
    '\tapply',
    '`apply`',
    '```\napply\n```',
    '<!-- apply -->',
    '<!--\napply\n-->',
    '- apply',
    'lock network',
    'constructor',
    'ap\u0000ply',
  ])('is %j', (body) => expect(parseCommand(body, known)).toBeUndefined());

  test('is what begins with anything but a command, whatever follows', () => {
    const first = fc.string().filter((line) => !/apply|plan|discard|cancel|help/i.test(line) && !/[\r\n]/.test(line));
    fc.assert(
      fc.property(first, fc.string(), (line, rest) => expect(parseCommand(`${line}\n${rest}`, known)).toBeUndefined()),
    );
  });
});

test('any known names are understood after any form of any verb', () => {
  const space = fc.constantFrom(' ', '  ', '\t');
  fc.assert(
    fc.property(
      fc.constantFrom('', '/', 'signalbox ', '@signalbox ', '/signalbox '),
      fc.constantFrom(...VERBS),
      fc.boolean(),
      fc.uniqueArray(fc.stringMatching(/^[A-Za-z0-9_-]{1,20}$/), {
        selector: (name) => name.toLowerCase(),
        maxLength: 6,
      }),
      space,
      fc.constantFrom('', ' ', '\r\n', '\n\nWhy not?'),
      (address, verb, isUpper, names, gap, end) => {
        const body = `${address}${isUpper ? verb.toUpperCase() : verb}${names.map((name) => gap + name).join('')}${end}`;
        expect(parseCommand(body, names)).toEqual({ verb, workspaces: names });
      },
    ),
  );
});

test('a bare verb never names a workspace that does not exist', () => {
  fc.assert(
    fc.property(fc.constantFrom(...VERBS), fc.string(), (verb, rest) => {
      const command = parseCommand(`${verb} ${rest}`, known);
      expect(command && 'unknown' in command).toBeFalsy();
      for (const name of command && 'workspaces' in command ? command.workspaces : []) expect(known).toContain(name);
    }),
  );
});

test.each([
  'a'.repeat(65_536),
  `apply ${' '.repeat(65_530)}`,
  `${' '.repeat(65_536)}apply`,
  '/'.repeat(65_536),
  `apply${' x'.repeat(32_760)}`,
  '\r'.repeat(65_536),
])('a comment as long as GitHub allows is read quickly (case %#)', (body) => {
  const names = Array.from({ length: 1_000 }, (_, index) => `workspace-${index}`);
  const started = performance.now();
  for (let i = 0; i < 10; i++) parseCommand(body, names);
  expect(performance.now() - started).toBeLessThan(1_000);
});
