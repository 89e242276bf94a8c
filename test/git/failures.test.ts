import { execFileSync } from 'node:child_process';
import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { MirrorWorld } from './support.js';

let world: MirrorWorld;
beforeAll(async () => {
  world = await MirrorWorld.start();
});
afterAll(() => world.server.stop());
beforeEach(() => world.begin());
afterEach(() => world.end());

describe('what can go wrong', () => {
  const failure = (promise: Promise<unknown>) =>
    promise.then(
      () => 'none',
      (error: Error) => {
        expect(error.message).not.toContain(world.server.token);
        return error.name;
      },
    );

  test('a commit that is gone', async () => {
    const gone = world.repository.commit({ 'main.tf': 'secret' });
    world.repository.replaceHistory({ 'main.tf': 'clean' });
    world.repository.prune();
    await expect(world.mirror.fetch([gone])).rejects.toMatchObject({ name: 'CommitGone', sha: gone });
    await expect(world.mirror.fetch([gone])).rejects.toThrow(
      `Commit ${gone.slice(0, 7)} is no longer in acme/${world.name}`,
    );
  });

  test('an empty repository', async () => {
    expect(await failure(world.mirror.fetch(['1'.repeat(40)]))).toBe('CommitGone');
  });

  test('a repository that was deleted, or that the token may not read', async () => {
    const sha = world.repository.commit({ 'main.tf': 'x' });
    const stranger = world.newMirror({ token: 'ghs_wrong' });
    expect(await failure(stranger.fetch([sha]))).toBe('RepositoryGone');
    world.server.trouble = { status: 403 };
    expect(await failure(world.mirror.fetch([sha]))).toBe('RepositoryGone');
    world.server.trouble = {};
    world.repository.remove();
    expect(await failure(world.mirror.fetch([sha]))).toBe('RepositoryGone');
  });

  test('GitHub answers with 5xx or 429, cuts connections, or is not there', async () => {
    const sha = world.repository.commit({ 'main.tf': 'x' });
    for (const status of [500, 502, 503, 429]) {
      world.server.trouble = { status };
      expect(await failure(world.mirror.fetch([sha]))).toBe('GitUnavailable');
    }
    world.server.trouble = { cut: true };
    expect(await failure(world.mirror.fetch([sha]))).toBe('GitUnavailable');
    const nowhere = world.newMirror({ githubUrl: 'http://127.0.0.1:1' });
    expect(await failure(nowhere.fetch([sha]))).toBe('GitUnavailable');
    world.server.trouble = {};
    expect(await failure(world.mirror.fetch([sha]))).toBe('none');
  });

  test('GitHub hangs: the fetch ends, and leaves no process behind', async () => {
    const sha = world.repository.commit({ 'main.tf': 'x' });
    world.server.trouble = { hang: true };
    const impatient = world.newMirror({ fetchTimeoutMs: 500 });
    expect(await failure(impatient.fetch([sha]))).toBe('GitUnavailable');
    const processes = execFileSync('ps', ['-eo', 'args', '-ww']).toString();
    expect(
      processes.split('\n').filter((line) => line.includes(sha) || line.includes(`${world.server.url}/acme`)),
    ).toEqual([]);
  });

  test('what is asked for is no SHA: nothing of it reaches git', async () => {
    await expect(world.mirror.fetch(['--upload-pack=touch /tmp/x'])).rejects.toThrow(TypeError);
  });

  test('the disk is full', async () => {
    const sha = world.repository.commit({ 'main.tf': 'x' });
    await world.mirror.fetch([sha]);
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
      const first = world.repository.commit({ 'main.tf': 'one' });
      const second = world.repository.commit({ 'main.tf': 'two', 'b.tf': 'b' });
      await world.mirror.fetch([first]);
      damage[kind]?.(join(world.directory, '7.git'));
      expect(await world.mirror.files(first)).toEqual(['main.tf']);
      expect((await world.mirror.read(first, 'main.tf', 10)).toString()).toBe('one');
      damage[kind]?.(join(world.directory, '7.git'));
      expect(await world.mirror.changedPaths(first, second)).toEqual(['b.tf', 'main.tf']);
      damage[kind]?.(join(world.directory, '7.git'));
      const checkout = world.emptyDirectory();
      rmSync(checkout, { recursive: true });
      mkdirSync(checkout);
      await world.mirror.checkout(second, checkout);
      expect(readdirSync(checkout).sort()).toEqual(['b.tf', 'main.tf']);
      expect(readdirSync(world.directory).filter((name) => /new|discarded|index/.test(name))).toEqual([]);
    });
  });
});
