import { afterAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { apply } from '../../src/terraform/apply.js';
import { init } from '../../src/terraform/init.js';
import { plan } from '../../src/terraform/plan.js';
import { PlanTooLarge, type PlanView, viewPlan, withMasked } from '../../src/terraform/plan-view.js';
import { prepare, removeTemporaryDirectories, writeFiles } from './support.js';

afterAll(removeTemporaryDirectories);

/** What one change of a resource looks like. */
function view(change: object, rest: object = {}): PlanView['resources'][number] {
  const entry = { address: 'x.y', change: { actions: ['update'], before: {}, after: {}, ...change }, ...rest };
  const [resource] = viewPlan(JSON.stringify({ resource_changes: [entry] })).resources;
  if (!resource) throw new Error('Nothing is done with it.');
  return resource;
}

const attributes = (change: object) =>
  Object.fromEntries(
    view(change).attributes.map(({ path, before, after }) => [path, [text(before), text(after)] as const]),
  );
function text(value: PlanView['outputs'][number]['before']): string | undefined {
  return value?.kind === 'value' ? value.text : value?.kind;
}

describe('attributes', () => {
  test('are named by paths in HCL, and those that stay as they are left out', () => {
    expect(
      attributes({
        before: { id: 'i-1', tags: { 'a b': 'x', c: 'same' }, rule: [{ port: 80, on: true }], gone: 'y', size: 1 },
        after: { id: 'i-1', tags: { 'a b': 'z', c: 'same', 'q"\n': '' }, rule: [{ port: 81, on: true }], size: 1 },
      }),
    ).toEqual({
      id: ['"i-1"', '"i-1"'],
      'tags["a b"]': ['"x"', '"z"'],
      'tags["q\\"\\n"]': [undefined, '""'],
      'rule[0].port': ['80', '81'],
      gone: ['"y"', undefined],
    });
  });

  test('of several lines, and JSON, stay as they are', () => {
    const policy = '{"Statement":[1]}';
    expect(attributes({ after: { script: 'a\nb\n', policy, braces: '{no json}' } })).toEqual({
      script: [undefined, 'a\nb\n'],
      policy: [undefined, policy],
      braces: [undefined, '"{no json}"'],
    });
  });

  test('are marked where they are known only after the apply, also in parts', () => {
    expect(
      attributes({
        before: { arn: 'old', list: ['a', 'b'], whole: { k: 'v' } },
        after: { list: ['a', null] },
        after_unknown: {
          arn: true,
          list: [false, true],
          whole: true,
          nested: { deep: [{ x: true }] },
          none: { y: false },
        },
      }),
    ).toEqual({
      arn: ['"old"', 'unknown'],
      'list[1]': ['"b"', 'unknown'],
      whole: ['{\n  k = "v"\n}', 'unknown'],
      'nested.deep[0].x': [undefined, 'unknown'],
    });
  });

  test('say which of them force a replacement', () => {
    const forcing = view({
      actions: ['delete', 'create'],
      before: { ami: 'a', disk: [{ size: 1, name: 'd' }], size: 1, same: { x: 1 } },
      after: { ami: 'b', disk: [{ size: 2, name: 'd' }], size: 2, same: { x: 1 } },
      replace_paths: [['ami'], ['disk', 0, 'size'], ['same']],
    }).attributes;
    expect(forcing.filter((attribute) => attribute.forcesReplacement).map(({ path }) => path)).toEqual([
      'ami',
      'disk[0].size',
    ]);
  });

  test('have numbers as Terraform wrote them', () => {
    const json = `{"resource_changes":[{"address":"x.y","change":{"actions":["update"],
      "before":{"n":12345678901234567890,"s":"1: 12345678901234567890"},"after":{"n":12345678901234567891,"s":"[0.12345678901234567890]"}}}]}`;
    const [resource] = viewPlan(json).resources;
    expect(resource?.attributes.map(({ before, after }) => [text(before), text(after)])).toEqual([
      ['12345678901234567890', '12345678901234567891'],
      ['"1: 12345678901234567890"', '[0.12345678901234567890]'],
    ]);
  });

  test('have numbers as Terraform wrote them beside a text of several MB', () => {
    const long = 'a"\\\\'.repeat(2 * 1024 * 1024);
    const json = `{"resource_changes":[{"address":"x.y","change":{"actions":["update"],
      "before":{"n":12345678901234567890},"after":{"n":1,"long":${JSON.stringify(long)}}}}]}`;
    const [resource] = viewPlan(json).resources;
    expect(text(resource?.attributes.find(({ path }) => path === 'n')?.before)).toBe('12345678901234567890');
  });

  test('that are too many, or too much, are no view', () => {
    const of = (value: unknown) => () => view({ after: { a: value } });
    expect(of(Array(2_100_000).fill(0))).toThrow(new PlanTooLarge('has too many values'));
    expect(of(Array(210_000).fill(0))).toThrow(new PlanTooLarge('has too many attributes'));
    expect(of('x'.repeat(17 * 1024 * 1024))).toThrow(new PlanTooLarge('has too much text'));
    const secrets = Array.from({ length: 2_000 }, (_, n) => `${n}`.repeat(200));
    expect(() => view({ after: { a: secrets }, after_sensitive: { a: true } })).toThrow(
      new PlanTooLarge('has too much that is sensitive'),
    );
  });

  test('below a very long key are shown without it', () => {
    const key = 'k'.repeat(100_000);
    const rows = view({ after: { a: { [key]: Array.from({ length: 10_000 }, (_, n) => n) } } }).attributes;
    expect(rows).toHaveLength(10_000);
    expect(rows[0]).toMatchObject({ path: '(a path too long to be shown)', after: { text: '0' } });
  });

  test('that are empty are told apart from absent ones, where something is changed', () => {
    expect(attributes({ before: { a: [], b: null, c: [1] }, after: { a: ['x'], b: {}, c: [] } })).toEqual({
      'a[0]': [undefined, '"x"'],
      b: [undefined, '{}'],
      'c[0]': ['1', undefined],
    });
  });

  test('nested ten thousand deep end with a remark', () => {
    const deep = (inside: string) => `${'['.repeat(9_000)}${inside}${']'.repeat(9_000)}`;
    const json = `{"resource_changes":[{"address":"x.y","change":{"actions":["update"],"before":{"a":${deep('1')}},"after":{"a":${deep('2')}},"after_sensitive":{"a":false}}}]}`;
    const [attribute] = viewPlan(json).resources[0]?.attributes ?? [];
    expect(text(attribute?.after)).toBe('(nested too deeply to be shown)');
  });
});

describe('what is sensitive', () => {
  const SECRET = 'tr0ub4dor&3 "quoted"';
  const isHidden = (change: object) => expect(JSON.stringify(view(change))).not.toContain('tr0ub4dor');

  test('is hidden on both sides when either side marks it, and a change of it is seen', () => {
    const change = { before: { password: SECRET }, after: { password: 'new-secret' } };
    for (const marks of [{ before_sensitive: { password: true } }, { after_sensitive: { password: true } }]) {
      expect(attributes({ ...change, ...marks })).toEqual({ password: ['sensitive', 'sensitive'] });
    }
    const same = { before: { password: SECRET }, after: { password: SECRET } };
    const marked = { password: true };
    expect(attributes({ ...same, before_sensitive: marked, after_sensitive: marked })).toEqual({});
    expect(view({ ...same, after_sensitive: marked }).attributes).toMatchObject([{ change: 'same' }]);
  });

  test('is a whole subtree, where that is marked', () => {
    expect(attributes({ after: { login: { user: 'u', password: SECRET } }, after_sensitive: { login: true } })).toEqual(
      {
        login: [undefined, 'sensitive'],
      },
    );
    isHidden({
      before: { login: { password: SECRET } },
      after: { login: { password: SECRET } },
      before_sensitive: true,
    });
  });

  test('is hidden, too, where marks and value differ in shape', () => {
    for (const marks of [{ a: { b: true } }, { a: [true] }, { a: [false, { x: true }] }, { a: { b: [[true]] } }]) {
      isHidden({ after: { a: SECRET }, after_sensitive: marks });
      isHidden({ before: { a: SECRET }, after: { a: 'x' }, after_sensitive: marks });
    }
    isHidden({ after: { a: ['x', SECRET] }, after_sensitive: { a: [true] } });
    isHidden({ after: { a: { b: SECRET } }, after_sensitive: { a: [true] } });
    isHidden({
      before: { a: { b: SECRET } },
      after: {},
      before_sensitive: { a: { b: true } },
      after_unknown: { a: true },
    });
  });

  test('is hidden where a provider copied it into something that nobody marks', () => {
    const copied = view({
      after: { password: SECRET, url: `https://u:${encodeURIComponent(SECRET)}@h/`, copy: SECRET, other: 'shown' },
      after_sensitive: { password: true },
    });
    expect(JSON.stringify(copied)).not.toContain('tr0ub4dor');
    expect(copied.attributes.map(({ path, after }) => [path, text(after)])).toEqual([
      ['copy', 'sensitive'],
      ['other', '"shown"'],
      ['password', 'sensitive'],
      ['url', '"https://u:***@h/"'],
    ]);
  });

  test('is hidden wherever it stands when it came with the plan, and the plan is read without it, too', () => {
    const update = { actions: ['update'], before: { [SECRET]: 'a', n: 12345678 }, after: { [SECRET]: SECRET, n: 1 } };
    const plan = {
      resource_changes: [
        {
          address: `x.y[${JSON.stringify(SECRET)}]`,
          previous_address: `x.z[${JSON.stringify(SECRET)}]`,
          change: update,
        },
      ],
      resource_drift: [{ address: 'x.update', change: { ...update, after: { update: { nested: `a ${SECRET}` } } } }],
      output_changes: { o: { actions: ['create'], before: null, after: [SECRET], after_unknown: false } },
    };
    const json = JSON.stringify(plan);
    const seen = viewPlan(withMasked(json, [SECRET, 'update', '12345678']));
    expect(JSON.stringify(seen)).not.toContain('tr0ub4dor');
    expect(seen.resources).toMatchObject([
      {
        address: 'x.y["***"]',
        action: 'update',
        movedFrom: 'x.z["***"]',
        attributes: [
          { path: 'n', before: { kind: 'sensitive' }, after: { text: '1' } },
          { path: '["***"]', before: { text: '"a"' }, after: { kind: 'sensitive' } },
        ],
      },
    ]);
    expect(seen.outputs).toMatchObject([{ name: 'o', action: 'create', after: { text: '[\n  "***",\n]' } }]);
    expect(viewPlan(json).resources[0]?.address).toContain('tr0ub4dor');
    expect(JSON.parse(withMasked(json, [SECRET]))).toMatchObject(plan);
    for (const odd of ['{}', '[]', ' {"a":1}\n'])
      expect(JSON.parse(withMasked(odd, ['secret']))).toMatchObject(JSON.parse(odd));
  });

  /** A value of which marks make some part sensitive, made together. */
  const marked = fc.letrec<{ tree: { value: unknown; marks: unknown } }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 4 },
      fc.record({ value: fc.integer().map((n) => `secret-${n}`), marks: fc.constant(true) }),
      fc.record({
        value: fc.oneof(fc.string(), fc.integer(), fc.boolean(), fc.constant(null)),
        marks: fc.constantFrom(false, undefined, {}),
      }),
      fc.array(tie('tree'), { maxLength: 4 }).map((parts) => ({
        value: parts.map(({ value }) => value),
        marks: parts.map(({ marks }) => marks ?? false),
      })),
      fc.dictionary(fc.string({ minLength: 1, maxLength: 4 }), tie('tree'), { maxKeys: 4 }).map((parts) => ({
        value: Object.fromEntries(Object.entries(parts).map(([key, { value }]) => [key, value])),
        marks: Object.fromEntries(Object.entries(parts).map(([key, { marks }]) => [key, marks])),
      })),
    ),
  })).tree;

  test('never comes out, whatever the other side, its marks and what is unknown look like', () => {
    fc.assert(
      fc.property(marked, marked, fc.jsonValue(), fc.boolean(), (one, other, unknown, turned) => {
        const [before, after] = turned ? [other, one] : [one, other];
        const change = {
          actions: ['update'],
          before: { a: before.value },
          after: { a: after.value },
          before_sensitive: { a: before.marks },
          after_sensitive: { a: after.marks },
          after_unknown: { a: unknown },
        };
        const plan = {
          resource_changes: [{ address: 'x.y', change }],
          resource_drift: [{ address: 'x.y', change }],
          output_changes: { o: { ...change, before: before.value, before_sensitive: before.marks } },
        };
        expect(JSON.stringify(viewPlan(JSON.stringify(plan)))).not.toContain('secret-');
      }),
      { numRuns: 1_000 },
    );
  });

  test('never comes out of a value whose marks are of any other shape, but have something marked', () => {
    fc.assert(
      fc.property(marked, (marks) => {
        fc.pre(JSON.stringify(marks.marks)?.includes('true') === true);
        const change = { after: { a: 'secret-1' }, after_sensitive: { a: marks.marks } };
        expect(JSON.stringify(view(change))).not.toContain('secret-');
      }),
    );
  });
});

test('resources stand in the order of what a reviewer must see first, with the reason in plain words', () => {
  const entry = (address: string, actions: string[], rest: object = {}, importing?: object) => ({
    address,
    change: { actions, before: {}, after: {}, ...(importing && { importing }) },
    ...rest,
  });
  const { resources } = viewPlan(
    JSON.stringify({
      resource_changes: [
        entry('x.created', ['create']),
        entry('x.same', ['no-op']),
        entry('x.forgotten', ['forget']),
        entry('x.moved', ['no-op'], { previous_address: 'x.old' }),
        entry('x.imported', ['no-op'], {}, { id: 'i-1' }),
        entry('x.unknown_import', ['create'], {}, { unknown: true }),
        entry('x.replaced', ['create', 'forget']),
        entry('x.b', ['delete'], { action_reason: 'delete_because_no_resource_config' }),
        entry('x.a', ['delete'], { deposed: 'abcd', action_reason: 'delete_because_of_something_new' }),
        entry('data.x.read', ['read']),
        entry('x.updated', ['update']),
      ],
    }),
  );
  expect(resources.map(({ attributes: _, ...rest }) => rest)).toEqual([
    { address: 'x.a', action: 'destroy', deposed: 'abcd', reason: 'delete because of something new.' },
    { address: 'x.b', action: 'destroy', reason: 'It is no longer in the configuration.' },
    {
      address: 'x.replaced',
      action: 'replace',
      reason: 'The old object stays as it is, and Terraform no longer manages it.',
    },
    { address: 'x.updated', action: 'update' },
    { address: 'x.created', action: 'create' },
    { address: 'x.unknown_import', action: 'create', imported: true },
    { address: 'data.x.read', action: 'read' },
    { address: 'x.moved', action: 'move', movedFrom: 'x.old' },
    { address: 'x.imported', action: 'import', imported: 'i-1' },
    { address: 'x.forgotten', action: 'forget' },
  ]);
});

test.each([
  'null',
  '[]',
  '{}',
  '{"resource_changes":{}}',
  '{"resource_changes":[null,{"change":null},1]}',
  '{"output_changes":[1]}',
])('nothing is seen in %s', (json) => {
  expect(viewPlan(json)).toEqual({ resources: [], drift: [], outputs: [] });
});

test('what Terraform 1.x says of a real plan is seen', async () => {
  const before = `
    variable "secret" {
      sensitive = true
      default   = "hunter2-hunter2"
    }
    resource "terraform_data" "changed" { input = { plain = "a", hidden = var.secret } }
    resource "terraform_data" "replaced" { triggers_replace = ["a"] }
    resource "terraform_data" "destroyed" {}
    resource "terraform_data" "old" {}
    resource "terraform_data" "forgotten" {}
    resource "terraform_data" "each" {
      for_each = toset(["<script>alert(1)</script>", "quo\\"te", "new\\nline"])
    }
    resource "terraform_data" "tainted" {
      provisioner "local-exec" {
        command    = "false"
        on_failure = continue
      }
    }
    output "changes" { value = "one" }
    output "goes" { value = 1 }
    output "secret" {
      value     = var.secret
      sensitive = true
    }`;
  const after = `
    variable "secret" {
      sensitive = true
      default   = "hunter3-hunter3"
    }
    resource "terraform_data" "changed" { input = { plain = "b", hidden = var.secret } }
    resource "terraform_data" "replaced" { triggers_replace = ["b"] }
    resource "terraform_data" "triggered" {
      lifecycle { replace_triggered_by = [terraform_data.replaced] }
    }
    moved {
      from = terraform_data.old
      to   = terraform_data.new
    }
    resource "terraform_data" "new" {}
    removed {
      from = terraform_data.forgotten
      lifecycle { destroy = false }
    }
    resource "terraform_data" "each" {
      for_each = toset(["<script>alert(1)</script>", "quo\\"te"])
    }
    resource "terraform_data" "tainted" {
      provisioner "local-exec" {
        command    = "false"
        on_failure = continue
      }
    }
    import {
      to = terraform_data.imported
      id = "an-id"
    }
    resource "terraform_data" "imported" {}
    resource "terraform_data" "created" { input = [terraform_data.replaced.id, "known"] }
    output "changes" { value = { two = terraform_data.replaced.id, known = 2 } }
    output "secret" {
      value     = var.secret
      sensitive = true
    }`;
  const run = await prepare({ 'main.tf': before });
  await init(run.stage('init'));
  const first = await plan({ ...run.stage('plan'), planFile: run.planFile });
  if (first.outcome !== 'changes') throw new Error(JSON.stringify(first));
  expect(viewPlan(first.json).resources.map(({ action }) => action)).toEqual(Array(9).fill('create'));
  expect((await apply({ ...run.stage('apply'), planFile: run.planFile })).outcome).toBe('applied');
  writeFiles(run.workspaceDirectory, { 'main.tf': after });
  const second = await plan({ ...run.stage('plan2'), planFile: run.planFile });
  if (second.outcome !== 'changes') throw new Error(JSON.stringify(second));

  const seen = viewPlan(second.json);
  expect(JSON.stringify(seen)).not.toMatch(/hunter\d/);
  expect(seen.resources.map(({ address, action }) => `${action} ${address}`)).toEqual([
    'destroy terraform_data.destroyed',
    'destroy terraform_data.each["new\\nline"]',
    'replace terraform_data.replaced',
    'update terraform_data.changed',
    'create terraform_data.created',
    'create terraform_data.triggered',
    'move terraform_data.new',
    'import terraform_data.imported',
    'forget terraform_data.forgotten',
  ]);
  const of = (address: string) => seen.resources.find((resource) => resource.address === `terraform_data.${address}`);
  expect(of('destroyed')?.reason).toBe('It is no longer in the configuration.');
  expect(of('each["new\\nline"]')?.reason).toBe('Its key is no longer in its for_each.');
  expect(of('replaced')).toMatchObject({
    reason: 'A change to it can only be made by replacing it.',
    attributes: [
      { path: 'id', change: 'change', after: { kind: 'unknown' } },
      { path: 'triggers_replace[0]', before: { text: '"a"' }, after: { text: '"b"' }, forcesReplacement: true },
    ],
  });
  expect(of('changed')?.attributes).toMatchObject([
    { path: 'id', change: 'same' },
    { path: 'input.hidden', before: { kind: 'sensitive' }, after: { kind: 'sensitive' } },
    { path: 'input.plain', before: { text: '"a"' }, after: { text: '"b"' } },
    { path: 'output', after: { kind: 'unknown' } },
  ]);
  expect(of('created')?.attributes).toMatchObject([
    { path: 'id', change: 'add', after: { kind: 'unknown' } },
    { path: 'input[0]', after: { kind: 'unknown' } },
    { path: 'input[1]', after: { text: '"known"' } },
    { path: 'output', after: { kind: 'unknown' } },
  ]);
  expect(of('new')).toMatchObject({ movedFrom: 'terraform_data.old' });
  expect(of('imported')).toMatchObject({ imported: 'an-id' });
  expect(seen.outputs).toEqual([
    {
      name: 'changes',
      action: 'update',
      before: { kind: 'value', text: '"one"' },
      after: { kind: 'value', text: '{\n  known = 2\n  two = (known after apply)\n}' },
    },
    { name: 'goes', action: 'destroy', before: { kind: 'value', text: '1' } },
    { name: 'secret', action: 'update', before: { kind: 'sensitive' }, after: { kind: 'sensitive' } },
  ]);
});
