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
    ['force-cancel', { verb: 'force-cancel', workspaces: [] }],
    ['/Force-Cancel dns', { verb: 'force-cancel', workspaces: ['dns'] }],
    ['unlock', { verb: 'unlock', workspaces: [] }],
    ['unlock network DNS', { verb: 'unlock', workspaces: ['network', 'dns'] }],
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

describe('lock', () => {
  test.each([
    ['lock', { workspaces: [] }],
    ['/lock', { workspaces: [] }],
    ['lock network', { workspaces: ['network'] }],
    ['lock network DNS', { workspaces: ['network', 'dns'] }],
    ['lock network until the migration is over', { workspaces: ['network'], reason: 'until the migration is over' }],
    ['lock network dns move to another zone', { workspaces: ['network', 'dns'], reason: 'move to another zone' }],
    ['lock network: dns moves', { workspaces: ['network'], reason: 'dns moves' }],
    ['lock network : dns moves', { workspaces: ['network'], reason: 'dns moves' }],
    ['lock network dns:', { workspaces: ['network', 'dns'] }],
    ['/lock this later please', { workspaces: [], reason: 'this later please' }],
    ['signalbox lock: network is moved', { workspaces: [], reason: 'network is moved' }],
    ['@signalbox lock : web', { workspaces: [], reason: 'web' }],
    ['/lock FYI: freeze', { workspaces: [], reason: 'FYI: freeze' }],
    ['lock network \u0000\u0007`x` | <b> @team', { workspaces: ['network'], reason: '`x` | <b> @team' }],
    ['lock network why\r\nand more', { workspaces: ['network'], reason: 'why' }],
    ['lock dns web are frozen', { workspaces: ['dns', 'web'], reason: 'are frozen' }],
  ])('takes names first, and the rest of the line for the reason: %j', (body, expected) =>
    expect(parseCommand(body, known)).toEqual({ verb: 'lock', ...expected }),
  );

  test.each([
    ['/lock netwrok', 'netwrok'],
    ['/lock netwrok while we move', 'netwrok'],
    ['lock dns networks are frozen', 'networks'],
    ['/lock WEB', 'WEB'],
  ])('asks back where a reason would begin with what is nearly a name: %j', (body, word) =>
    expect(parseCommand(body, known)).toEqual({ verb: 'lock', unknown: [word] }),
  );

  test('of a name that is followed by any words locks that name, and says why in one short line', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 900 }), (text) => {
        const command = parseCommand(`lock network: ${text}`, known);
        expect(command).toMatchObject({ verb: 'lock', workspaces: ['network'] });
        const { reason = '-' } = command as { reason?: string };
        expect(Array.from(reason).length).toBeLessThanOrEqual(300);
        expect(reason).not.toMatch(/[\p{Cc}\p{Cs}\u2028\u2029]/u);
        expect(reason.trim()).toBe(reason);
        expect(reason).not.toBe('');
      }),
    );
  });

  test('reads what is no name as the reason, whatever names there are', () => {
    const word = fc.stringMatching(/^[a-z0-9-]{1,12}$/);
    fc.assert(
      fc.property(fc.uniqueArray(word, { maxLength: 8 }), fc.array(word, { maxLength: 8 }), (names, words) => {
        const command = parseCommand(`/lock ${words.join(' ')}`, names);
        if (!command || 'unknown' in command) return;
        const count = words.findIndex((each) => !names.includes(each));
        const [named, rest] = count < 0 ? [words, []] : [words.slice(0, count), words.slice(count)];
        expect(command.workspaces).toEqual([...new Set(named)]);
        expect(command.reason ?? '').toBe(rest.join(' '));
      }),
    );
  });

  test('bare and without a name before the reason is conversation', () => {
    fc.assert(
      fc.property(fc.stringMatching(/^\S/), (text) => {
        const [first = ''] = text.split(/[ \t\r\n]/);
        const isName = known.some((name) => name.toLowerCase() === first.replace(/:$/, '').toLowerCase());
        if (isName || first === '') return;
        expect(parseCommand(`lock ${text}`, known)).toBeUndefined();
      }),
    );
  });
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
    'lock this later please',
    'lock netwrok',
    'lock: network',
    'lock : network',
    'lock network, please',
    'unlock network please',
    'force cancel',
    'force-cancels',
    'forcecancel',
    'apply: network',
    '/apply: network',
    'constructor',
    'ap\u0000ply',
  ])('is %j', (body) => expect(parseCommand(body, known)).toBeUndefined());

  test('is what begins with anything but a command, whatever follows', () => {
    const first = fc
      .string()
      .filter((line) => !/apply|plan|discard|cancel|lock|help/i.test(line) && !/[\r\n]/.test(line));
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
      if (verb === 'lock') return;
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
  'a-'.repeat(32_768),
  `/lock ${'x'.repeat(65_530)}`,
  `/lock${' workspac-9'.repeat(5_957)}`,
  `/lock${' workspace-9'.repeat(5_460)}`,
  '\r'.repeat(65_536),
])('a comment as long as GitHub allows is read quickly (case %#)', (body) => {
  const names = Array.from({ length: 1_000 }, (_, index) => `workspace-${index}`);
  const started = performance.now();
  parseCommand(body, names);
  // What takes the square of its length would take minutes.
  expect(performance.now() - started).toBeLessThan(10_000);
});
