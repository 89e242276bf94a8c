import { execFileSync, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Run } from '../../src/db/schema.js';
import { Mirrors } from '../../src/git/mirror.js';
import { mirrorChore } from '../../src/housekeeping/mirrors.js';
import { providerChore } from '../../src/housekeeping/providers.js';
import { serverLogChore } from '../../src/housekeeping/server-log.js';
import { keptStateChore, workChore } from '../../src/housekeeping/work.js';
import { withLock } from '../../src/terraform/lock.js';
import { startProcess } from '../../src/terraform/process.js';
import { WorkDirectories } from '../../src/worker/work-directory.js';
import { log, MirrorWorld } from '../git/support.js';
import { RunsWorld } from '../runs/world.js';

const DAY_MS = 24 * 3_600_000;
const signal = new AbortController().signal;

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'signalbox-housekeeping-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

/** Writes a file, and all directories that it needs. */
function write(path: string, content: string | Buffer = 'x'): string {
  mkdirSync(join(path, '..'), { recursive: true });
  writeFileSync(path, content);
  return path;
}

function age(path: string, days: number): void {
  const then = new Date(Date.now() - days * DAY_MS);
  utimesSync(path, then, then);
}

describe('mirrors', () => {
  let git: MirrorWorld;
  beforeAll(async () => {
    git = await MirrorWorld.start();
  });
  afterAll(() => git.server.stop());
  beforeEach(() => {
    git.begin();
    mirrors = open();
  });
  afterEach(() => git.end());

  let mirrors: Mirrors;
  /** As after a start of the process: what was used before is known from the disk alone. */
  const open = () => {
    const { server, directory } = git;
    return new Mirrors({ directory, githubUrl: server.url, tokenFor: async () => server.token, log });
  };
  const mirror = (id: number) => mirrors.of({ id, owner: 'acme', name: git.name });
  /** A mirror of some 300 kB that was used last so many days ago. */
  const used = async (id: number, days: number): Promise<string> => {
    const sha = git.repository.commit({ 'main.tf': 'x' });
    await mirror(id).fetch([sha]);
    write(join(git.directory, `${id}.git`, 'objects', 'pack', 'padding'), Buffer.alloc(300_000));
    age(join(git.directory, `${id}.git`, 'HEAD'), days);
    mirrors = open();
    return sha;
  };
  const left = () =>
    readdirSync(git.directory)
      .filter((name) => name.endsWith('.git'))
      .sort();
  const tidy = (maxBytes: number) => mirrorChore(mirrors, git.directory, maxBytes).run(signal);

  test('that nobody has used for a month go, and come back when they are needed', async () => {
    const sha = await used(1, 31);
    await used(2, 29);
    expect(await tidy(0)).toBe(1);
    expect(left()).toEqual(['2.git']);
    expect(await mirror(1).files(sha)).toEqual(['main.tf']);
    expect(await tidy(0)).toBe(0);
  });

  test('go least recently used first when they are too large together', async () => {
    for (const [id, days] of [
      [1, 2],
      [2, 9],
      [3, 1],
      [4, 5],
    ] as const)
      await used(id, days);
    expect(await tidy(1_000_000)).toBe(2);
    expect(left()).toEqual(['1.git', '3.git']);
  });

  test('that are in use, or have just been, stay however large they are', async () => {
    const sha = await used(1, 9);
    await used(2, 8);
    git.server.trouble = { delayMs: 1_500 };
    const other = git.repository.commit({ 'main.tf': 'y' });
    const fetching = mirror(1).fetch([other]);
    await sleep(300);
    expect(await tidy(1)).toBe(1);
    await fetching;
    expect(left()).toEqual(['1.git']);
    expect(await tidy(1)).toBe(0);
    expect(await mirror(1).files(sha)).toEqual(['main.tf']);
  });

  test('whoever needs one that is being removed gets a new one', async () => {
    const sha = await used(1, 40);
    const tidying = tidy(0);
    const results = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        await sleep(index * 3);
        return mirror(1).files(sha);
      }),
    );
    expect(results).toEqual(Array(20).fill(['main.tf']));
    await tidying;
  });

  test('leave nothing behind of commands that were killed an hour ago', async () => {
    const leftovers = ['7.index-0a1b2c', '7.index-0a1b2c.lock', '7.git.new-0a1b2c', '7.git.discarded-0a1b2c'];
    for (const name of [...leftovers, 'home', '8.index-0a1b2c']) write(join(git.directory, name, 'file'));
    for (const name of leftovers) age(join(git.directory, name), 1);
    await tidy(0);
    expect(readdirSync(git.directory).sort()).toEqual(['8.index-0a1b2c', 'home']);
  });
});

describe('work directories', () => {
  let world: RunsWorld;
  beforeAll(async () => {
    world = await RunsWorld.open();
  });
  afterAll(() => world.close());

  let directories: WorkDirectories;
  beforeEach(() => {
    directories = new WorkDirectories(join(root, 'work'));
  });
  /** As a process that was killed has left it, so many days ago. */
  const leftBy = async (run: Run, days = 30): Promise<string> => {
    const { root: place, checkout } = await new WorkDirectories(join(root, 'work')).create({
      ...run,
      work_directory: null,
    });
    write(join(checkout, 'main.tf'));
    age(place, days);
    return place;
  };
  const ended = async (run: Run, days: number): Promise<Run> => {
    await sql`update runs set state = 'canceled', attempt = 1, ended_at = now() - make_interval(days => ${days})
      where id = ${run.id}`.execute(world.db);
    return world.now(run);
  };
  const tidy = () => workChore(world.db, directories).run(signal);
  const kept = () => (existsSync(join(root, 'work', 'kept')) ? readdirSync(join(root, 'work', 'kept')) : []);

  test('of runs that have ended go', async () => {
    const standard = await leftBy(await ended(await world.in('planning'), 2));
    const speculative = await leftBy(await ended(await world.speculative(await world.workspace()), 2));
    expect(await tidy()).toBe(2);
    expect([existsSync(standard), existsSync(speculative)]).toEqual([false, false]);
  });

  test.each(['planning', 'needs_confirmation', 'confirmed', 'applying'] as const)(
    'of a run that is %s stay, however old',
    async (state) => {
      const place = await leftBy(await world.in(state), 400);
      expect(await tidy()).toBe(0);
      expect(existsSync(place)).toBe(true);
    },
  );

  test('of a speculative run that is planning stay', async () => {
    const place = await leftBy(await world.begin(await world.speculative(await world.workspace())), 400);
    expect(await tidy()).toBe(0);
    expect(existsSync(place)).toBe(true);
  });

  test('stay for a day after the end: who was cut off may have something to hand in', async () => {
    const place = await leftBy(await ended(await world.in('applying'), 0));
    expect(await tidy()).toBe(0);
    expect(existsSync(place)).toBe(true);
  });

  test('that a run in this process has stay, whatever the record says', async () => {
    const run = await ended(await world.in('planning'), 2);
    const { root: place } = await directories.create(run);
    age(place, 30);
    expect(await tidy()).toBe(0);
    expect(existsSync(place)).toBe(true);
  });

  test('in which a Terraform lives stay until it has ended', async () => {
    const run = await ended(await world.in('applying'), 9);
    const place = await leftBy(run);
    const process = startProcess({
      directory: join(place, 'control', '1-apply'),
      command: ['sleep', '30'],
      cwd: root,
      env: { PATH: '/usr/bin:/bin' },
    });
    age(place, 9);
    expect(await tidy()).toBe(0);
    await process.kill();
    await process.wait();
    expect(await tidy()).toBe(1);
    expect(existsSync(place)).toBe(false);
  });

  test('lose no state: what the record may not have is set aside', async () => {
    const run = await ended(await world.in('applying'), 2);
    const place = await leftBy(run);
    write(join(place, 'control', 'state', '0000000001.snapshot'), 'sealed');
    write(join(place, 'checkout', run.settings.directory, 'errored.tfstate'), 'state');
    age(place, 9);
    expect(await tidy()).toBe(1);
    expect(kept()).toHaveLength(2);
    expect(kept().some((name) => name.endsWith('-errored.tfstate'))).toBe(true);
    expect(readdirSync(join(root, 'work'))).toEqual(['kept']);
  });

  test('that the record knows nothing of are left alone', async () => {
    for (const name of ['123456789', 'run-unknown', 'something else', '99999999999']) {
      write(join(root, 'work', name, 'file'));
      age(join(root, 'work', name), 400);
    }
    expect(await tidy()).toBe(0);
    expect(readdirSync(join(root, 'work'))).toHaveLength(4);
  });

  test('state that was set aside goes when its time is up, and the log says so', async () => {
    const lines: unknown[] = [];
    const at = (days: number) => new Date(Date.now() - days * DAY_MS).toISOString().replaceAll(':', '');
    const names = [`7-${at(91)}`, `8-${at(91)}-errored.tfstate`, `9-${at(89)}`];
    for (const name of [...names, 'mine']) write(join(root, 'work', 'kept', name, 'file'));
    const warn = (...line: unknown[]) => void lines.push(line[1]);
    expect(await keptStateChore(join(root, 'work'), 0, { warn }).run(signal)).toBe(0);
    expect(await keptStateChore(join(root, 'work'), 90, { warn }).run(signal)).toBe(2);
    expect(kept().sort()).toEqual([names[2], 'mine'].sort());
    expect(lines).toEqual(Array(2).fill('State that was set aside 90 days ago was removed'));
  });
});

describe('the cache of providers', () => {
  const name = (version: string) => join('registry.terraform.io', 'acme', 'cloud', version, 'linux_amd64');
  let cache: string;
  let work: string;
  beforeEach(() => {
    cache = join(root, 'providers');
    work = join(root, 'work');
    for (const [version, days] of [
      ['1.0.0', 3],
      ['2.0.0', 9],
      ['3.0.0', 1],
    ] as const) {
      write(join(cache, name(version), 'terraform-provider-cloud'), Buffer.alloc(400_000));
      age(join(cache, name(version)), days);
    }
  });
  const left = () =>
    readdirSync(join(cache, 'registry.terraform.io', 'acme', 'cloud'))
      .filter((version) => existsSync(join(cache, name(version))))
      .sort();
  const tidy = (maxBytes: number) => providerChore(cache, async () => [work], maxBytes).run(signal);

  test('loses the oldest when it is too large, and nothing else', async () => {
    expect(await tidy(0)).toBe(0);
    expect(await tidy(5_000_000)).toBe(0);
    expect(await tidy(900_000)).toBe(1);
    expect(left()).toEqual(['1.0.0', '3.0.0']);
    expect(readdirSync(root).sort()).toEqual(['providers', 'providers.lock']);
  });

  test('keeps what a run has linked to', async () => {
    const links = join(work, '7', 'checkout', 'infra', '.terraform', 'providers', name('2.0.0'));
    mkdirSync(join(links, '..'), { recursive: true });
    symlinkSync(join(cache, name('2.0.0')), links);
    expect(await tidy(1)).toBe(2);
    expect(left()).toEqual(['2.0.0']);
  });

  test('is left alone while an init is under way', async () => {
    const stopped = new AbortController();
    await withLock(`${cache}.lock`, async () => {
      setTimeout(() => stopped.abort(), 500);
      expect(await providerChore(cache, async () => [work], 1).run(stopped.signal)).toBe(0);
    });
    expect(left()).toHaveLength(3);
    expect(await tidy(900_000)).toBe(1);
  });

  test('what a tidying that died has moved out goes at the next one', async () => {
    write(join(root, 'providers.removed-0-1', 'linux_amd64', 'file'));
    await tidy(0);
    expect(existsSync(join(root, 'providers.removed-0-1'))).toBe(false);
  });
});

test("the embedded PostgreSQL's log is cut when it is large, and what is written meanwhile goes on", async () => {
  const path = write(join(root, 'log'), Buffer.alloc(11 * 1024 ** 2, 'x'));
  const writer = spawn('sh', ['-c', 'while :; do echo line; sleep 0.05; done >> "$0"', path]);
  expect(await serverLogChore(path).run(signal)).toBe(1);
  await sleep(300);
  writer.kill('SIGKILL');
  expect(statSync(path).size).toBeLessThan(1_000);
  expect(execFileSync('head', ['-c', '4', path]).toString()).toBe('line');
  expect(await serverLogChore(path).run(signal)).toBe(0);
  expect(await serverLogChore(join(root, 'none')).run(signal)).toBe(0);
});
