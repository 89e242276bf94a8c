import fc from 'fast-check';
import { parseSettingsFile } from '../../src/workspaces/settings-file.js';

const valid = 'workspaces:\n  - name: ok\n    directory: ok\n';

async function problems(text: string, directories?: ReadonlySet<string>) {
  const { problems } = await parseSettingsFile(text, directories);
  return problems.map(({ line, message }) => `${line}: ${message}`);
}

describe('the settings file', () => {
  test('says everything about a workspace', async () => {
    const text = `
workspaces:
  - name: network
    directory: ./infra//network/
    branch: live
    auto-apply: true
    trigger-prefixes: [modules/vpc/]
    trigger-patterns: ["shared/**/*.tf"]
    apply-requirements: [approved, approved]
    supersede-pending: true
  - { name: root, directory: . }
`;
    expect(await parseSettingsFile(text, new Set(['infra/network']))).toEqual({
      problems: [],
      workspaces: [
        {
          name: 'network',
          directory: 'infra/network',
          branch: 'live',
          autoApply: true,
          triggerPrefixes: ['modules/vpc'],
          triggerPatterns: ['shared/**/*.tf'],
          applyRequirements: ['approved'],
          supersedePending: true,
          line: 3,
          lines: {
            name: 3,
            directory: 4,
            branch: 5,
            'auto-apply': 6,
            'trigger-prefixes': 7,
            'trigger-patterns': 8,
            'apply-requirements': 9,
            'supersede-pending': 10,
          },
        },
        {
          name: 'root',
          directory: '.',
          autoApply: false,
          triggerPrefixes: [],
          triggerPatterns: [],
          applyRequirements: ['mergeable', 'undiverged'],
          supersedePending: false,
          line: 11,
          lines: { name: 11, directory: 11 },
        },
      ],
    });
  });

  test('may use anchors and aliases, CRLF and a byte order mark', async () => {
    const text =
      '\uFEFFworkspaces:\r\n- name: a\r\n  directory: a\r\n  trigger-prefixes: &p [m]\r\n- name: b\r\n  directory: b\r\n  trigger-prefixes: *p\r\n';
    const { workspaces, problems } = await parseSettingsFile(text);
    expect(problems).toEqual([]);
    expect(workspaces.map(({ triggerPrefixes, line }) => [triggerPrefixes, line])).toEqual([
      [['m'], 2],
      [['m'], 5],
    ]);
  });

  test('may say that there are no workspaces', async () => {
    expect(await parseSettingsFile('workspaces: []')).toEqual({ workspaces: [], problems: [] });
  });
});

describe('a problem with the file', () => {
  test.each([
    ['', '1: the file is empty: list your workspaces under `workspaces:`'],
    ['# only a comment\n', '1: the file is empty: list your workspaces under `workspaces:`'],
    ['{}', '1: there is no key `workspaces`: list your workspaces under it'],
    ['\n\nworkspace: []', '3: the file has no key `workspace`; did you mean `workspaces`?'],
    ['- a', '1: the file must be a map with the key `workspaces`'],
    ['workspaces:', '1: `workspaces` must be a list'],
    ['workspaces:\n  name: x', '2: `workspaces` must be a list'],
    ['workspaces:\n  - &a [*a]', '2: a workspace must be a map with `name` and `directory`'],
    [`workspaces: [&a x${', *a'.repeat(101)}]`, '1: more than 100 YAML aliases'],
  ])('is told: case %#', async (text, expected) => expect(await problems(text)).toEqual([expected]));

  test('is told of a file that is too large', async () => {
    expect(await problems(`${valid}#${'x'.repeat(1024 * 1024)}`)).toEqual(['1: the file is larger than 1 MiB']);
  });

  test('is told where the file is not YAML', async () => {
    expect(await problems(`${valid}  - name: "x\n`)).toEqual([expect.stringMatching(/^[45]: not valid YAML: /)]);
    expect(await problems('a: b: c')).toEqual([expect.stringMatching(/^1: not valid YAML: /)]);
    expect(await problems('--- 1\n--- 2')).toEqual([expect.stringMatching(/not valid YAML/)]);
  });

  test.each(['[', '{a: ', '- ', '? ', '- ? ', '[a: '])(
    'is told of nesting by %j that no parser survives',
    async (open) => {
      const started = performance.now();
      expect(
        await problems(`workspaces:
  ${open.repeat(200_000)}`),
      ).toEqual(['1: the file is nested too deeply']);
      expect(performance.now() - started).toBeLessThan(10_000);
    },
  );

  test('is told of an unknown key beside the workspaces, which go on', async () => {
    const { workspaces, problems } = await parseSettingsFile(`${valid}defaults: {}\n`);
    expect(workspaces).toHaveLength(1);
    expect(problems).toEqual([{ message: 'the file has no key `defaults`', line: 4, column: 1 }]);
  });
});

describe('a problem with a workspace', () => {
  const withKey = (key: string) => `${valid}  - name: bad\n    directory: bad\n    ${key}\n`;

  test.each([
    ['auto_aply: true', 'a workspace has no key `auto_aply`; did you mean `auto-apply`?'],
    ['apply-requirement: []', 'a workspace has no key `apply-requirement`; did you mean `apply-requirements`?'],
    ['terraform-version: 1', 'a workspace has no key `terraform-version`'],
    ['<<: {}', 'a workspace has no key `<<`; YAML merge keys are not supported'],
    ['auto-apply: yes', '`auto-apply` must be true or false'],
    ['auto-apply:', '`auto-apply` must be true or false'],
    ['supersede-pending: 1', '`supersede-pending` must be true or false'],
    ['branch: 1.0', '`branch` must be text: write "1.0"'],
    ['branch: refs/heads/main', '`branch` is a full ref: write the name alone, without `refs/heads/`'],
    ['branch: "release/*"', '`branch` is not a name that a branch can have (patterns are not supported)'],
    ['branch:', '`branch` must be text'],
    ['trigger-prefixes: modules', '`trigger-prefixes` must be a list'],
    ['trigger-prefixes: [../x]', 'each of `trigger-prefixes` has `..`, which could leave the repository'],
    ['trigger-patterns: [1]', 'each of `trigger-patterns` must be text: write "1"'],
    ['trigger-patterns: ["!x"]', 'each of `trigger-patterns` begins with `!`: patterns only add triggers'],
    [
      'trigger-patterns: ["{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}{a,b}"]',
      'each of `trigger-patterns` has braces with more than 64 alternatives',
    ],
    [
      'apply-requirements: [aproved]',
      'each of `apply-requirements` must be one of mergeable, undiverged, approved, not `aproved`; did you mean `approved`?',
    ],
    ['name: again', '`name` is given twice'],
  ])('leaves out that one only: %s', async (key, message) => {
    const { workspaces, problems } = await parseSettingsFile(withKey(key));
    expect(workspaces.map(({ name }) => name)).toEqual(['ok']);
    expect(problems).toMatchObject([{ line: 6, message }]);
  });

  test.each([
    ['/infra', 'is absolute'],
    ['a/../../b', 'has `..`'],
    ['a\\b', 'has a backslash'],
    ['', 'is empty'],
    ['a\u0007b', 'has a control character'],
  ])('is a directory such as %j', async (directory, part) => {
    const found = await problems(`workspaces:\n  - name: a\n    directory: ${JSON.stringify(directory)}\n`);
    expect(found).toEqual([expect.stringContaining(`3: \`directory\` ${part}`)]);
  });

  test.each(['a b', 'a/b', 'ä', 'x'.repeat(91), '', 'Config'])('is a name such as %j', async (name) => {
    const found = await problems(`workspaces:\n  - directory: a\n    name: ${JSON.stringify(name)}\n`);
    expect(found).toEqual([expect.stringMatching(/^3: `name` /)]);
  });

  test('is a missing name or directory', async () => {
    expect(await problems('workspaces:\n  - {}\n  -\n  - x\n')).toEqual([
      '2: the workspace has no `name`',
      '2: the workspace has no `directory`',
      '3: a workspace must be a map with `name` and `directory`',
      '4: a workspace must be a map with `name` and `directory`',
    ]);
  });

  test('is a name that another has, whatever its case: neither goes on', async () => {
    const text = `${valid}  - name: OK\n    directory: b\n  - name: c\n    directory: c\n`;
    const { workspaces, problems } = await parseSettingsFile(text);
    expect(workspaces.map(({ name }) => name)).toEqual(['c']);
    expect(problems).toMatchObject([
      { line: 4, message: "two workspaces are named `ok` and `OK` (case doesn't tell): lines 2 and 4" },
    ]);
  });

  test('is a directory that does not exist, by a set or by asking', async () => {
    expect(await problems(valid, new Set(['other']))).toEqual(['3: the directory `ok` does not exist']);
    const asked = await parseSettingsFile(valid, async (directory) => directory === 'ok');
    expect(asked.problems).toEqual([]);
  });

  test('is given with the columns and lines that it covers', async () => {
    const text = 'workspaces:\n  - name: a\n    directory: a\n    trigger-prefixes:\n      x: 1\n      y: 2\n';
    expect((await parseSettingsFile(text)).problems).toEqual([
      { message: '`trigger-prefixes` must be a list', line: 5, column: 7, endLine: 6 },
    ]);
  });

  test('is counted beyond a hundred', async () => {
    const found = await problems(`workspaces:\n${'  - x\n'.repeat(150)}`);
    expect(found).toHaveLength(101);
    expect(found.at(-1)).toBe('1: and 50 more problems');
  });
});

test('any text gets an answer whose lines are in the file', async () => {
  const piece = fc.constantFrom(
    'workspaces:',
    '\n',
    '  - ',
    'name: ',
    'directory: ',
    'a',
    '"',
    '[',
    '{',
    '&x ',
    '*x',
    ': ',
    '!!map ',
    '? ',
    '| ',
    '<<: ',
    '1',
    '\t',
  );
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        fc.string(),
        fc.array(piece).map((pieces) => pieces.join('')),
      ),
      async (text) => {
        const { problems } = await parseSettingsFile(text);
        for (const { line } of problems) {
          expect(line).toBeGreaterThanOrEqual(1);
          expect(line).toBeLessThanOrEqual(text.split('\n').length);
        }
      },
    ),
    { numRuns: 500 },
  );
});
