import { discoverWorkspaces } from '../../src/workspaces/discovery.js';

type Tree = Record<string, string>;

function discover(tree: Tree, options?: Parameters<typeof discoverWorkspaces>[2]) {
  return discoverWorkspaces(Object.keys(tree), async (path) => tree[path] ?? fail(path), options);
}

function fail(path: string): never {
  throw new Error(`${path} was read`);
}

async function found(tree: Tree, options?: Parameters<typeof discoverWorkspaces>[2]): Promise<string[]> {
  const { workspaces } = await discover(tree, options);
  return workspaces.map(({ name, directory }) => `${name}=${directory}`);
}

const call = (source: string) => `module "m" {\n  source = "${source}"\n}\n`;

describe('discovery', () => {
  test('finds the directories with Terraform files that nobody uses as a module', async () => {
    const tree = {
      'README.md': 'module',
      'infra/network/main.tf': call('../../lib/vpc'),
      'infra/network/vars.tf': 'variable "x" {}',
      'infra/dns/main.tf.json': JSON.stringify({
        module: { a: { source: '../../lib/zone/' }, b: [{ source: './sub' }] },
      }),
      'infra/dns/sub/main.tf': '',
      'lib/vpc/main.tf': call('../subnet'),
      'lib/zone/main.tf': '',
      'lib/subnet/main.tf': '',
    };
    const { workspaces, problems } = await discover(tree);
    expect(problems).toEqual([]);
    expect(workspaces).toMatchObject([
      { name: 'infra-dns', directory: 'infra/dns', triggerPrefixes: ['lib/zone'], autoApply: false },
      { name: 'infra-network', directory: 'infra/network', triggerPrefixes: ['lib/subnet', 'lib/vpc'] },
    ]);
  });

  test('reads HCL as HCL', async () => {
    const tree = {
      'a/main.tf':
        '# module "m" { source = "../b" }\nlocals {\n  text = <<EOT\nmodule "m" {\n  source = "../c"\n}\nEOT\n}\n',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Terraform's
      'a/more.tf': 'module m {\n  source = "\\u002e./d"\n}\nmodule "n" {\n  source = "${path.module}/../e"\n}\n',
      'b/main.tf': '',
      'c/main.tf': '',
      'd/main.tf': '',
      'e/main.tf': '',
    };
    expect(await found(tree)).toEqual(['a=a', 'b=b', 'c=c', 'e=e']);
  });

  test('finds nothing without Terraform', async () => {
    expect(await discover({})).toEqual({ workspaces: [], problems: [] });
    expect(await discover({ 'a/x.md': '', 'b.tfvars': '', 'c/tf': '' })).toEqual({ workspaces: [], problems: [] });
  });

  test('passes over hidden directories, modules, examples and fixtures, but not what they use', async () => {
    const tree = {
      'main.tf': '',
      'examples/basic/main.tf': call('../../'),
      '.terraform/modules/x/main.tf': call('../../../live'),
      'live/main.tf': '',
      'modules/unused/main.tf': '',
      'envs/test/main.tf': '',
      'tests/setup/main.tf': '',
      'test/fixtures/x/main.tf': call('../../../envs'),
      'envs/main.tf': '',
    };
    expect(await found(tree)).toEqual(['envs-test=envs/test', 'live=live']);
  });

  test('is not confused by a directory that uses itself, its parents, or what lies outside', async () => {
    expect(await found({ 'a/main.tf': call('./') + call('../../..').replace('"m"', '"n"'), 'main.tf': '' })).toEqual([
      'root=.',
      'a=a',
    ]);
  });

  test('keeps a directory whose files do not parse, and says where', async () => {
    const tree = {
      'a/main.tf': '\nmodule "x" {\n  source = ./b\n}\n',
      'b/main.tf.json': '{ "module": "./',
      'c/main.tf': `module ./${'x'.repeat(256 * 1024)}`,
    };
    const { workspaces, problems } = await discover(tree);
    expect(workspaces.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(problems).toEqual([
      { path: 'a/main.tf', line: 3, message: expect.stringMatching(/^does not parse: Invalid/) },
      { path: 'b/main.tf.json', message: 'is not valid JSON' },
      { path: 'c/main.tf', message: 'is larger than 256 KiB' },
    ]);
  });

  test('survives files that make the parser fail, and reads on', async () => {
    const bomb = `# module ./\n${'b {\n'.repeat(30_000)}`;
    const tree = { 'a/main.tf': bomb, 'b/main.tf': bomb, 'c/main.tf': call('../d'), 'd/main.tf': '' };
    const { workspaces, problems } = await discover(tree);
    expect(workspaces.map(({ name }) => name)).toEqual(['a', 'b', 'c']);
    expect(problems.map(({ path }) => path)).toEqual(['a/main.tf', 'b/main.tf']);
  });

  test('passes on what reading throws', async () => {
    await expect(discoverWorkspaces(['a/main.tf'], fail)).rejects.toThrow('a/main.tf was read');
  });

  test('finds nothing among too many files, rather than too much', async () => {
    const { workspaces, problems } = await discover({ 'a/1.tf': '', 'a/2.tf': '' }, { maxFiles: 1 });
    expect(workspaces).toEqual([]);
    expect(problems).toEqual([
      { path: '.github/signalbox.yml', message: expect.stringContaining('name your workspaces') },
    ]);
  });

  test('reads 500 files in seconds', async () => {
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is Terraform's
    const body = call('../lib') + 'resource "terraform_data" "x" {\n  input = { a = "b-${var.x}" }\n}\n'.repeat(60);
    const tree = Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`w${i}/main.tf`, body.replaceAll('"x"', `"x${i}"`)]),
    );
    const started = performance.now();
    expect(await found(tree)).toHaveLength(500);
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe('a discovered name', () => {
  test('is the path in the letters that a name may have', async () => {
    expect(await found({ 'main.tf': '', 'in fra/ö.x/main.tf': '' })).toEqual(['root=.', 'in-fra---x=in fra/ö.x']);
  });

  test('is told apart by the path when it is shared, reserved or too long', async () => {
    const names = await found({
      'a/b/x.tf': '',
      'a-b/x.tf': '',
      'A-B/x.tf': '',
      'config/x.tf': '',
      [`${'l'.repeat(95)}/x.tf`]: '',
    });
    for (const name of names) expect(name).toMatch(/^.{1,81}-[0-9a-f]{8}=/);
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(5);
    expect(names).toContain(`config-${(await found({ 'config/x.tf': '' }))[0]?.slice(7)}`);
  });

  test('stays with the directory that has it on record', async () => {
    const tree = { 'a/b/x.tf': '', 'a-b/x.tf': '' };
    const [newcomer, kept] = await found(tree, { names: new Map([['a/b', 'a-b']]) });
    expect(kept).toBe('a-b=a/b');
    expect(newcomer).toMatch(/^a-b-[0-9a-f]{8}=a-b$/);
  });
});
