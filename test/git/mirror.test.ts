import { execFileSync } from 'node:child_process';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Mirror, Mirrors } from '../../src/git/mirror.js';
import { createLog } from '../../src/log.js';
import { GitServer, type TestRepository } from './git-server.js';

const log = createLog({ level: 'silent', format: 'json' });
let server: GitServer;
let directory: string;
let repository: TestRepository;
let mirror: Mirror;
let names = 0;

beforeAll(async () => {
  server = await GitServer.start();
});
afterAll(() => server.stop());
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-mirrors-'));
  const name = `infra-${++names}`;
  repository = server.create('acme', name);
  mirror = mirrors().of({ id: 7, owner: 'acme', name });
});
afterEach(() => {
  server.trouble = {};
  rmSync(directory, { recursive: true, force: true });
});

function mirrors(token = server.token, fetchTimeoutMs?: number): Mirrors {
  return new Mirrors({
    directory,
    githubUrl: server.url,
    tokenFor: async () => token,
    log,
    ...(fetchTimeoutMs === undefined ? {} : { fetchTimeoutMs }),
  });
}

function emptyDirectory(): string {
  return mkdtempSync(join(directory, 'checkout-'));
}

describe('fetching', () => {
  test('brings a commit without its history, and asks nothing for one that is here', async () => {
    const first = repository.commit({ 'main.tf': 'one' });
    const second = repository.commit({ 'main.tf': 'two' });
    await mirror.fetch([second]);
    expect((await mirror.read(second, 'main.tf', 100)).toString()).toBe('two');
    const count = execFileSync('git', ['rev-list', '--all', '--count'], { cwd: join(directory, '7.git') });
    expect(count.toString().trim()).toBe('1');

    const asked = server.requests.length;
    await mirror.fetch([second]);
    expect(server.requests).toHaveLength(asked);
    await mirror.fetch([first, second]);
    expect((await mirror.read(first, 'main.tf', 100)).toString()).toBe('one');
  });

  test('brings an old commit after a force push', async () => {
    const old = repository.commit({ 'main.tf': 'old' });
    const next = repository.replaceHistory({ 'main.tf': 'new' });
    await mirror.fetch([next]);
    await mirror.fetch([old]);
    expect(await mirror.changedPaths(old, next)).toEqual(['main.tf']);
  });

  test('follows a repository that was renamed, or transferred', async () => {
    const sha = repository.commit({ 'main.tf': 'x' });
    server.trouble = { movedTo: `acme/infra-${names}` };
    const old = mirrors().of({ id: 8, owner: 'somebody', name: 'old-name' });
    expect(await old.files(sha)).toEqual(['main.tf']);
  });

  test('lets ten fetches of ten commits succeed at once, in one process and in two', async () => {
    const shas = Array.from({ length: 10 }, (_, n) => repository.commit({ 'main.tf': `version ${n}` }));
    const other = mirrors().of({ id: 7, owner: 'acme', name: `infra-${names}` });
    await Promise.all(shas.map((sha, n) => (n % 2 ? mirror : other).fetch([sha])));
    for (const [n, sha] of shas.entries()) {
      expect((await mirror.read(sha, 'main.tf', 100)).toString()).toBe(`version ${n}`);
    }
  });

  test('survives a lock that a killed process left, and one that a living one holds for a while', async () => {
    const first = repository.commit({ 'main.tf': 'one' });
    const second = repository.commit({ 'main.tf': 'two' });
    await mirror.fetch([first]);
    const lock = join(directory, '7.git', 'shallow.lock');
    writeFileSync(lock, '');
    execFileSync('touch', ['-d', '10 seconds ago', lock]);
    await mirror.fetch([second]);
    expect(existsSync(lock)).toBe(false);

    const third = repository.commit({ 'main.tf': 'three' });
    writeFileSync(lock, '');
    const fetched = mirror.fetch([third]);
    setTimeout(() => rmSync(lock), 300);
    await fetched;
  });

  test('keeps the token out of arguments and off the disk', async () => {
    const sha = repository.commit({ 'main.tf': 'x' });
    server.trouble = { delayMs: 300 };
    const fetched = mirror.fetch([sha]);
    let arguments_ = '';
    for (let n = 0; n < 20; n++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      arguments_ += execFileSync('ps', ['-eo', 'args', '-ww']).toString();
    }
    await fetched;
    const basic = Buffer.from(`x-access-token:${server.token}`).toString('base64');
    expect(arguments_).toContain('refs/signalbox/');
    expect(arguments_).not.toContain(server.token);
    expect(arguments_).not.toContain(basic);
    for (const secret of [server.token, basic]) {
      expect(() => execFileSync('grep', ['-rqF', secret, directory])).toThrow();
    }
  });
});

describe('what can go wrong', () => {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'none',
      (error: Error) => {
        expect(error.message).not.toContain(server.token);
        return error.name;
      },
    );

  test('a commit that is gone', async () => {
    const gone = repository.commit({ 'main.tf': 'secret' });
    repository.replaceHistory({ 'main.tf': 'clean' });
    repository.prune();
    await expect(mirror.fetch([gone])).rejects.toMatchObject({ name: 'CommitGone', sha: gone });
    await expect(mirror.fetch([gone])).rejects.toThrow(
      `Commit ${gone.slice(0, 7)} is no longer in acme/infra-${names}`,
    );
  });

  test('an empty repository', async () => {
    expect(await failure(mirror.fetch(['1'.repeat(40)]))).toBe('CommitGone');
  });

  test('a repository that was deleted, or that the token may not read', async () => {
    const sha = repository.commit({ 'main.tf': 'x' });
    const stranger = mirrors('ghs_wrong').of({ id: 7, owner: 'acme', name: `infra-${names}` });
    expect(await failure(stranger.fetch([sha]))).toBe('RepositoryGone');
    server.trouble = { status: 403 };
    expect(await failure(mirror.fetch([sha]))).toBe('RepositoryGone');
    server.trouble = {};
    repository.remove();
    expect(await failure(mirror.fetch([sha]))).toBe('RepositoryGone');
  });

  test('GitHub answers with 5xx or 429, cuts connections, or is not there', async () => {
    const sha = repository.commit({ 'main.tf': 'x' });
    for (const status of [500, 502, 503, 429]) {
      server.trouble = { status };
      expect(await failure(mirror.fetch([sha]))).toBe('GitUnavailable');
    }
    server.trouble = { cut: true };
    expect(await failure(mirror.fetch([sha]))).toBe('GitUnavailable');
    const nowhere = new Mirrors({ directory, githubUrl: 'http://127.0.0.1:1', tokenFor: async () => 'ghs_x', log });
    expect(await failure(nowhere.of({ id: 7, owner: 'acme', name: 'infra' }).fetch([sha]))).toBe('GitUnavailable');
    server.trouble = {};
    expect(await failure(mirror.fetch([sha]))).toBe('none');
  });

  test('GitHub hangs: the fetch ends, and leaves no process behind', async () => {
    const sha = repository.commit({ 'main.tf': 'x' });
    server.trouble = { hang: true };
    const impatient = mirrors(server.token, 500).of({ id: 7, owner: 'acme', name: `infra-${names}` });
    expect(await failure(impatient.fetch([sha]))).toBe('GitUnavailable');
    const processes = execFileSync('ps', ['-eo', 'args', '-ww']).toString();
    expect(processes.split('\n').filter((line) => line.includes(sha) || line.includes(`${server.url}/acme`))).toEqual(
      [],
    );
  });

  test('what is asked for is no SHA: nothing of it reaches git', async () => {
    await expect(mirror.fetch(['--upload-pack=touch /tmp/x'])).rejects.toThrow(TypeError);
  });

  test('the disk is full', async () => {
    const sha = repository.commit({ 'main.tf': 'x' });
    await mirror.fetch([sha]);
    const { fetchFailure } = await import('../../src/git/fetch-failure.js');
    const { GitExit } = await import('../../src/git/git-command.js');
    const exit = new GitExit('fetch', 'fatal: write error: No space left on device', false);
    expect(fetchFailure(exit, 'acme/infra')?.name).toBe('DiskFull');
    expect(exit.toError().name).toBe('DiskFull');
  });

  describe('a damaged mirror is made anew', () => {
    const damage: Record<string, (git: string) => void> = {
      'its HEAD is gone': (git) => rmSync(join(git, 'HEAD')),
      'its configuration is garbage': (git) => writeFileSync(join(git, 'config'), '[core\n\0'),
      'its objects are gone': (git) => {
        rmSync(join(git, 'objects'), { recursive: true });
        mkdirSync(join(git, 'objects'));
      },
      'its objects are garbage': (git) => {
        const files = execFileSync('find', [join(git, 'objects'), '-type', 'f'])
          .toString()
          .trim()
          .split('\n');
        for (const file of files) {
          rmSync(file);
          writeFileSync(file, 'garbage');
        }
      },
      'its objects are empty, as after a power cut': (git) => {
        const files = execFileSync('find', [join(git, 'objects'), '-type', 'f'])
          .toString()
          .trim()
          .split('\n');
        for (const file of files) {
          rmSync(file);
          writeFileSync(file, '');
        }
      },
      'its refs are empty': (git) => {
        for (const ref of readdirSync(join(git, 'refs/signalbox'))) writeFileSync(join(git, 'refs/signalbox', ref), '');
      },
    };
    test.each(Object.keys(damage))('%s', async (kind) => {
      const first = repository.commit({ 'main.tf': 'one' });
      const second = repository.commit({ 'main.tf': 'two', 'b.tf': 'b' });
      await mirror.fetch([first]);
      damage[kind]?.(join(directory, '7.git'));
      expect(await mirror.files(first)).toEqual(['main.tf']);
      expect((await mirror.read(first, 'main.tf', 10)).toString()).toBe('one');
      damage[kind]?.(join(directory, '7.git'));
      expect(await mirror.changedPaths(first, second)).toEqual(['b.tf', 'main.tf']);
      damage[kind]?.(join(directory, '7.git'));
      const checkout = emptyDirectory();
      rmSync(checkout, { recursive: true });
      mkdirSync(checkout);
      await mirror.checkout(second, checkout);
      expect(readdirSync(checkout).sort()).toEqual(['b.tf', 'main.tf']);
      expect(readdirSync(directory).filter((name) => /new|discarded|index/.test(name))).toEqual([]);
    });
  });
});

describe('reading', () => {
  test('files, with submodules and links out of the repository left out', async () => {
    const sha = repository.commit({
      'a/main.tf': 'x',
      'a/ü "quoted"\n.tf': 'x',
      'common.tf': 'shared',
      'a/common.tf': { link: '../common.tf' },
      'a/passwd': { link: '/etc/passwd' },
      'a/out': { link: '../../out' },
      'a/loop': { link: 'loop' },
      dir: { link: 'a' },
    });
    expect((await mirror.files(sha)).sort()).toEqual(['a/common.tf', 'a/main.tf', 'a/ü "quoted"\n.tf', 'common.tf']);
    expect((await mirror.read(sha, 'a/common.tf', 100)).toString()).toBe('shared');
    await expect(mirror.read(sha, 'a/passwd', 100)).rejects.toThrow("a/passwd can't be read: it is a link out of");
    await expect(mirror.read(sha, 'a/loop', 100)).rejects.toThrow('it is a link to itself');
    await expect(mirror.read(sha, 'nothing', 100)).rejects.toThrow('there is no such file');
    await expect(mirror.read(sha, 'a', 100)).rejects.toThrow('it is not a file');
    await expect(mirror.read(sha, 'common.tf', 3)).rejects.toThrow('it has 6 bytes, and 3 are the limit');
  });

  test('bytes as they are', async () => {
    const sha = repository.commitTree('100644 blob $b\tbinary\n', { b: 'a\0\r\nü\n' });
    expect(await mirror.read(sha, 'binary', 100)).toEqual(Buffer.from('a\0\r\nü\n'));
  });

  test('changed paths, renamed ones by both names, whatever .gitattributes says', async () => {
    const before = repository.commit({ '.gitattributes': '* diff=evil binary\n', 'a.tf': 'same', 'b.tf': 'b' });
    const after = repository.commit({ 'a.tf': undefined, 'c.tf': 'same', 'b.tf': 'B' });
    expect((await mirror.changedPaths(before, after)).sort()).toEqual(['a.tf', 'b.tf', 'c.tf']);
    expect(await mirror.changedPaths(before, before)).toEqual([]);
  });

  test("a directory's hash changes with what is in it, and with nothing else", async () => {
    const before = repository.commit({ 'a/main.tf': 'a', 'b/main.tf': 'b' });
    const after = repository.commit({ 'b/main.tf': 'B' });
    expect(await mirror.tree(after, 'a')).toBe(await mirror.tree(before, 'a'));
    expect(await mirror.tree(after, 'b')).not.toBe(await mirror.tree(before, 'b'));
    expect(await mirror.tree(after, '.')).not.toBe(await mirror.tree(before, '.'));
    expect(await mirror.hasDirectory(after, 'a')).toBe(true);
    expect(await mirror.hasDirectory(after, 'a/main.tf')).toBe(false);
    expect(await mirror.hasDirectory(after, 'c')).toBe(false);
    await expect(mirror.tree(after, 'c')).rejects.toThrow("c can't be read: there is no such directory");
  });
});

describe('checking out', () => {
  test('every file as it is, whatever the attributes say', async () => {
    const sha = repository.commit({
      '.gitattributes': 'hidden.tf export-ignore\nsubst.tf export-subst\n*.tf filter=evil\n',
      'hidden.tf': 'here',
      'subst.tf': '$Format:%H$',
      'deep/er/main.tf': 'x',
    });
    const checkout = emptyDirectory();
    expect(await mirror.checkout(sha, checkout)).toEqual({ warnings: [] });
    expect(readFileSync(join(checkout, 'hidden.tf'), 'utf8')).toBe('here');
    expect(readFileSync(join(checkout, 'subst.tf'), 'utf8')).toBe('$Format:%H$');
    expect(readFileSync(join(checkout, 'deep/er/main.tf'), 'utf8')).toBe('x');
    expect(existsSync(join(checkout, '.git'))).toBe(false);
    await expect(mirror.checkout(sha, checkout)).rejects.toThrow('is not empty');
  });

  test('links stay links, wherever they lead', async () => {
    const sha = repository.commit({ abs: { link: '/etc' }, up: { link: '../../../etc/passwd' } });
    const checkout = emptyDirectory();
    await mirror.checkout(sha, checkout);
    expect(lstatSync(join(checkout, 'abs')).isSymbolicLink()).toBe(true);
    expect(lstatSync(join(checkout, 'up')).isSymbolicLink()).toBe(true);
  });

  test('submodules and LFS pointers are warned about', async () => {
    const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${'0'.repeat(64)}\nsize 12345\n`;
    const submodule = '1'.repeat(40);
    const sha = repository.commitTree(
      `100644 blob $a\t.gitattributes\n100644 blob $m\tmain.tf\n100644 blob $p\tmodel.bin\n160000 commit ${submodule}\tvendor\n`,
      { a: '*.bin filter=lfs diff=lfs merge=lfs -text\n', m: 'x'.repeat(300), p: pointer },
    );
    const checkout = emptyDirectory();
    expect((await mirror.checkout(sha, checkout)).warnings).toEqual([
      'Submodules are not checked out: vendor.',
      'Git LFS keeps these files elsewhere; only their pointers are here: model.bin.',
    ]);
    expect(readFileSync(join(checkout, 'model.bin'), 'utf8')).toBe(pointer);
    expect((await mirror.entries(sha)).map(({ path, kind }) => `${path} ${kind}`)).toEqual([
      '.gitattributes file',
      'main.tf file',
      'model.bin lfs',
      'vendor submodule',
    ]);
  });

  test.each(['.git', '.GIT', 'git~1', '.', '..'])('a path with %s in it is refused', async (name) => {
    const inner = repository.commitTree(`100644 blob $x\tconfig\n`, { x: '[core]\n\tfsmonitor = touch /tmp/pwned\n' });
    const tree = execFileSync('git', ['rev-parse', `${inner}^{tree}`], { cwd: repository.bare })
      .toString()
      .trim();
    const sha = repository.commitTree(`040000 tree ${tree}\t${name}\n`);
    const checkout = emptyDirectory();
    await expect(mirror.checkout(sha, checkout)).rejects.toMatchObject({ name: 'CommitRefused' });
    expect(readdirSync(checkout)).toEqual([]);
  });

  test('a link and a directory of one name: nothing is written through the link', async () => {
    const outside = emptyDirectory();
    const inner = repository.commitTree('100644 blob $x\tescaped\n', { x: 'escaped' });
    const tree = execFileSync('git', ['rev-parse', `${inner}^{tree}`], { cwd: repository.bare })
      .toString()
      .trim();
    const sha = repository.commitTree(`120000 blob $l\ta\n040000 tree ${tree}\ta\n`, { l: outside });
    await mirror.checkout(sha, emptyDirectory()).catch(() => undefined);
    expect(readdirSync(outside)).toEqual([]);
  });

  test('a few objects that unfold to billions of files are refused', async () => {
    let tree = repository.makeTree(
      `100644 blob ${execFileSync('git', ['hash-object', '-w', '--stdin'], { cwd: repository.bare, input: 'x' }).toString().trim()}\tf\n`,
    );
    for (let level = 0; level < 10; level++) {
      const wide = Array.from({ length: 10 }, (_, n) => `040000 tree ${tree}\td${n}${'-'.repeat(20)}\n`).join('');
      tree = repository.makeTree(wide);
    }
    const sha = repository.commitTree(`040000 tree ${tree}\tbomb\n`);
    const checkout = emptyDirectory();
    await expect(mirror.checkout(sha, checkout)).rejects.toThrow('more files than Signalbox can handle');
    expect(readdirSync(checkout)).toEqual([]);
  });

  test('more than 4 GiB are refused', async () => {
    const { checkSize } = await import('../../src/git/checkout.js');
    const entry = { path: 'x', kind: 'file', mode: '100644', object: '', size: 3 * 1024 ** 3 } as const;
    expect(() => checkSize([entry])).not.toThrow();
    expect(() => checkSize([entry, entry])).toThrow("The commit's files are 6.0 GiB together; the limit is 4 GiB.");
  });
});
