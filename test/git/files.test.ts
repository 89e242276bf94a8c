import { execFileSync } from 'node:child_process';
import { existsSync, lstatSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { MirrorWorld } from './support.js';

let world: MirrorWorld;
beforeAll(async () => {
  world = await MirrorWorld.start();
});
afterAll(() => world.server.stop());
beforeEach(() => world.begin());
afterEach(() => world.end());

describe('reading', () => {
  test('files, with submodules and links out of the repository left out', async () => {
    const sha = world.repository.commit({
      'a/main.tf': 'x',
      'a/ü "quoted"\n.tf': 'x',
      'common.tf': 'shared',
      'a/common.tf': { link: '../common.tf' },
      'a/passwd': { link: '/etc/passwd' },
      'a/out': { link: '../../out' },
      'a/loop': { link: 'loop' },
      dir: { link: 'a' },
    });
    expect((await world.mirror.files(sha)).sort()).toEqual([
      'a/common.tf',
      'a/main.tf',
      'a/ü "quoted"\n.tf',
      'common.tf',
    ]);
    expect((await world.mirror.read(sha, 'a/common.tf', 100)).toString()).toBe('shared');
    await expect(world.mirror.read(sha, 'a/passwd', 100)).rejects.toThrow(
      "a/passwd can't be read: it is a link out of",
    );
    await expect(world.mirror.read(sha, 'a/loop', 100)).rejects.toThrow('it is a link to itself');
    await expect(world.mirror.read(sha, 'nothing', 100)).rejects.toThrow('there is no such file');
    await expect(world.mirror.read(sha, 'a', 100)).rejects.toThrow('it is not a file');
    await expect(world.mirror.read(sha, 'common.tf', 3)).rejects.toThrow('it has 6 bytes, and 3 are the limit');
  });

  test('bytes as they are', async () => {
    const sha = world.repository.commitTree('100644 blob $b\tbinary\n', { b: 'a\0\r\nü\n' });
    expect(await world.mirror.read(sha, 'binary', 100)).toEqual(Buffer.from('a\0\r\nü\n'));
  });

  test('changed paths, renamed ones by both names, whatever .gitattributes says', async () => {
    const before = world.repository.commit({ '.gitattributes': '* diff=evil binary\n', 'a.tf': 'same', 'b.tf': 'b' });
    const after = world.repository.commit({ 'a.tf': undefined, 'c.tf': 'same', 'b.tf': 'B' });
    expect((await world.mirror.changedPaths(before, after)).sort()).toEqual(['a.tf', 'b.tf', 'c.tf']);
    expect(await world.mirror.changedPaths(before, before)).toEqual([]);
  });

  test("a directory's hash changes with what is in it, and with nothing else", async () => {
    const before = world.repository.commit({ 'a/main.tf': 'a', 'b/main.tf': 'b' });
    const after = world.repository.commit({ 'b/main.tf': 'B' });
    expect(await world.mirror.tree(after, 'a')).toBe(await world.mirror.tree(before, 'a'));
    expect(await world.mirror.tree(after, 'b')).not.toBe(await world.mirror.tree(before, 'b'));
    expect(await world.mirror.tree(after, '.')).not.toBe(await world.mirror.tree(before, '.'));
    expect(await world.mirror.hasDirectory(after, 'a')).toBe(true);
    expect(await world.mirror.hasDirectory(after, 'a/main.tf')).toBe(false);
    expect(await world.mirror.hasDirectory(after, 'c')).toBe(false);
    await expect(world.mirror.tree(after, 'c')).rejects.toThrow("c can't be read: there is no such directory");
  });
});

describe('checking out', () => {
  test('every file as it is, whatever the attributes say', async () => {
    const sha = world.repository.commit({
      '.gitattributes': 'hidden.tf export-ignore\nsubst.tf export-subst\n*.tf filter=evil\n',
      'hidden.tf': 'here',
      'subst.tf': '$Format:%H$',
      'deep/er/main.tf': 'x',
    });
    const checkout = world.emptyDirectory();
    expect(await world.mirror.checkout(sha, checkout)).toEqual({ warnings: [] });
    expect(readFileSync(join(checkout, 'hidden.tf'), 'utf8')).toBe('here');
    expect(readFileSync(join(checkout, 'subst.tf'), 'utf8')).toBe('$Format:%H$');
    expect(readFileSync(join(checkout, 'deep/er/main.tf'), 'utf8')).toBe('x');
    expect(existsSync(join(checkout, '.git'))).toBe(false);
    await expect(world.mirror.checkout(sha, checkout)).rejects.toThrow('is not empty');
  });

  test('links stay links, wherever they lead', async () => {
    const sha = world.repository.commit({ abs: { link: '/etc' }, up: { link: '../../../etc/passwd' } });
    const checkout = world.emptyDirectory();
    await world.mirror.checkout(sha, checkout);
    expect(lstatSync(join(checkout, 'abs')).isSymbolicLink()).toBe(true);
    expect(lstatSync(join(checkout, 'up')).isSymbolicLink()).toBe(true);
  });

  test('submodules and LFS pointers are warned about', async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`;
    const submodule = '1'.repeat(40);
    const sha = world.repository.commitTree(
      `100644 blob $a\t.gitattributes\n100644 blob $m\tmain.tf\n100644 blob $p\tmodel.bin\n160000 commit ${submodule}\tvendor\n`,
      { a: '*.bin filter=lfs diff=lfs merge=lfs -text\n', m: 'x'.repeat(300), p: pointer },
    );
    const checkout = world.emptyDirectory();
    expect((await world.mirror.checkout(sha, checkout)).warnings).toEqual([
      'Submodules are not checked out: vendor.',
      'Git LFS keeps these files elsewhere; only their pointers are here: model.bin.',
    ]);
    expect(readFileSync(join(checkout, 'model.bin'), 'utf8')).toBe(pointer);
    expect((await world.mirror.entries(sha)).map(({ path, kind }) => `${path} ${kind}`)).toEqual([
      '.gitattributes file',
      'main.tf file',
      'model.bin lfs',
      'vendor submodule',
    ]);
  });

  test.each(['.git', '.GIT', 'git~1', '.', '..'])('a path with %s in it is refused', async (name) => {
    const inner = world.repository.commitTree(`100644 blob $x\tconfig\n`, {
      x: '[core]\n\tfsmonitor = touch /tmp/pwned\n',
    });
    const tree = execFileSync('git', ['rev-parse', `${inner}^{tree}`], { cwd: world.repository.bare })
      .toString()
      .trim();
    const sha = world.repository.commitTree(`040000 tree ${tree}\t${name}\n`);
    const checkout = world.emptyDirectory();
    await expect(world.mirror.checkout(sha, checkout)).rejects.toMatchObject({ name: 'CommitRefused' });
    expect(readdirSync(checkout)).toEqual([]);
  });

  test('a link and a directory of one name: nothing is written through the link', async () => {
    const outside = world.emptyDirectory();
    const inner = world.repository.commitTree('100644 blob $x\tescaped\n', { x: 'escaped' });
    const tree = execFileSync('git', ['rev-parse', `${inner}^{tree}`], { cwd: world.repository.bare })
      .toString()
      .trim();
    const sha = world.repository.commitTree(`120000 blob $l\ta\n040000 tree ${tree}\ta\n`, { l: outside });
    await world.mirror.checkout(sha, world.emptyDirectory()).catch(() => undefined);
    expect(readdirSync(outside)).toEqual([]);
  });

  test('a few objects that unfold to billions of files are refused', async () => {
    let tree = world.repository.makeTree(
      `100644 blob ${execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: world.repository.bare, input: 'x' }).toString().trim()}\tf\n`,
    );
    for (let level = 0; level < 10; level++) {
      const wide = Array.from({ length: 10 }, (_, n) => `040000 tree ${tree}\td${n}${'-'.repeat(20)}\n`).join('');
      tree = world.repository.makeTree(wide);
    }
    const sha = world.repository.commitTree(`040000 tree ${tree}\tbomb\n`);
    const checkout = world.emptyDirectory();
    await expect(world.mirror.checkout(sha, checkout)).rejects.toThrow('more files than Signalbox can handle');
    expect(readdirSync(checkout)).toEqual([]);
  });

  test('more than 4 GiB are refused', async () => {
    const { checkSize } = await import('../../src/git/checkout.js');
    const entry = { path: 'x', kind: 'file', mode: '100644', object: '', size: 3 * 1024 ** 3 } as const;
    expect(() => checkSize([entry])).not.toThrow();
    expect(() => checkSize([entry, entry])).toThrow("The commit's files are 6.0 GiB together; the limit is 4 GiB.");
  });
});
