import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Mirrors } from '../../src/git/mirror.js';
import { log, MirrorWorld } from './support.js';

let world: MirrorWorld;
beforeAll(async () => {
  world = await MirrorWorld.start();
});
afterAll(() => world.server.stop());
beforeEach(() => world.begin());
afterEach(() => world.end());

describe('fetching', () => {
  test('brings a commit without its history, and asks nothing for one that is here', async () => {
    const first = world.repository.commit({ 'main.tf': 'one' });
    const second = world.repository.commit({ 'main.tf': 'two' });
    await world.mirror.fetch([second]);
    expect((await world.mirror.read(second, 'main.tf', 100)).toString()).toBe('two');
    const count = execFileSync('git', ['rev-list', '--all', '--count'], { cwd: join(world.directory, '7.git') });
    expect(count.toString().trim()).toBe('1');

    const asked = world.server.requests.length;
    await world.mirror.fetch([second]);
    expect(world.server.requests).toHaveLength(asked);
    await world.mirror.fetch([first, second]);
    expect((await world.mirror.read(first, 'main.tf', 100)).toString()).toBe('one');
  });

  test('brings an old commit after a force push', async () => {
    const old = world.repository.commit({ 'main.tf': 'old' });
    const next = world.repository.replaceHistory({ 'main.tf': 'new' });
    await world.mirror.fetch([next]);
    await world.mirror.fetch([old]);
    expect(await world.mirror.changedPaths(old, next)).toEqual(['main.tf']);
  });

  test('follows a repository that was renamed, or transferred', async () => {
    const sha = world.repository.commit({ 'main.tf': 'x' });
    world.server.trouble = { movedTo: `acme/${world.name}` };
    const { directory, server } = world;
    const mirrors = new Mirrors({ directory, githubUrl: server.url, tokenFor: async () => server.token, log });
    const old = mirrors.of({ id: 8, owner: 'somebody', name: 'old-name' });
    expect(await old.files(sha)).toEqual(['main.tf']);
  });

  test('lets ten fetches of ten commits succeed at once, in one process and in two', async () => {
    const shas = Array.from({ length: 10 }, (_, n) => world.repository.commit({ 'main.tf': `version ${n}` }));
    const other = world.newMirror();
    await Promise.all(shas.map((sha, n) => (n % 2 ? world.mirror : other).fetch([sha])));
    for (const [n, sha] of shas.entries()) {
      expect((await world.mirror.read(sha, 'main.tf', 100)).toString()).toBe(`version ${n}`);
    }
  });

  test('survives a lock that a killed process left, and one that a living one holds for a while', async () => {
    const first = world.repository.commit({ 'main.tf': 'one' });
    const second = world.repository.commit({ 'main.tf': 'two' });
    await world.mirror.fetch([first]);
    const lock = join(world.directory, '7.git', 'shallow.lock');
    writeFileSync(lock, '');
    execFileSync('touch', ['-d', '10 seconds ago', lock]);
    await world.mirror.fetch([second]);
    expect(existsSync(lock)).toBe(false);

    const third = world.repository.commit({ 'main.tf': 'three' });
    writeFileSync(lock, '');
    const fetched = world.mirror.fetch([third]);
    setTimeout(() => rmSync(lock), 300);
    await fetched;
  });

  test('keeps the token out of arguments and off the disk', async () => {
    const sha = world.repository.commit({ 'main.tf': 'x' });
    world.server.trouble = { delayMs: 300 };
    const fetched = world.mirror.fetch([sha]);
    let arguments_ = '';
    for (let n = 0; n < 20; n++) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      arguments_ += execFileSync('ps', ['-eo', 'args', '-ww']).toString();
    }
    await fetched;
    const basic = Buffer.from(`x-access-token:${world.server.token}`).toString('base64');
    expect(arguments_).toContain('refs/signalbox/');
    expect(arguments_).not.toContain(world.server.token);
    expect(arguments_).not.toContain(basic);
    for (const secret of [world.server.token, basic]) {
      expect(() => execFileSync('grep', ['-rqF', secret, world.directory])).toThrow();
    }
  });
});
