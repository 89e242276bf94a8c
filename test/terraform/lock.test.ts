import { spawn } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from '@jest/globals';
import { init } from '../../src/terraform/init.js';
import { withLock } from '../../src/terraform/lock.js';
import { startProcess } from '../../src/terraform/process.js';
import { identify } from '../../src/terraform/process-table.js';
import { prepare, removeTemporaryDirectories, temporaryDirectory } from './support.js';

afterAll(removeTemporaryDirectories);

const lockModule = pathToFileURL(join(process.cwd(), 'src/terraform/lock.ts')).href;

function program(text: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', text], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exit = new Promise((resolve) => child.once('exit', resolve));
  const ready = new Promise((resolve) => child.stdout.once('data', resolve));
  return { child, exit, ready };
}

/** Holds a lock until `finish` is called. */
async function holding(directory: string) {
  let finish: () => void = () => {};
  const finished = new Promise<void>((resolve) => {
    finish = resolve;
  });
  let begin: () => void = () => {};
  const begun = new Promise<void>((resolve) => {
    begin = resolve;
  });
  const held = withLock(directory, () => {
    begin();
    return finished;
  });
  await begun;
  return { held, finish };
}

test('work under a lock is never done by two at once, in one process or in several', async () => {
  const directory = temporaryDirectory();
  const text = `
    import { withLock } from ${JSON.stringify(lockModule)};
    import { appendFileSync } from 'node:fs';
    await Promise.all([1, 2, 3, 4, 5].map(() => withLock(${JSON.stringify(join(directory, 'lock'))}, async () => {
      appendFileSync(${JSON.stringify(join(directory, 'journal'))}, 'begin\\n');
      await new Promise((resolve) => setTimeout(resolve, 5));
      appendFileSync(${JSON.stringify(join(directory, 'journal'))}, 'end\\n');
    })));`;
  await Promise.all([program(text).exit, program(text).exit, program(text).exit]);
  expect(readFileSync(join(directory, 'journal'), 'utf8')).toBe('begin\nend\n'.repeat(15));
  expect(readdirSync(join(directory, 'lock'))).toHaveLength(1);
});

test('a lock whose holder was killed is free', async () => {
  const directory = join(temporaryDirectory(), 'lock');
  const { child, exit, ready } = program(`
    import { withLock } from ${JSON.stringify(lockModule)};
    await withLock(${JSON.stringify(directory)}, async () => { console.log('held'); await new Promise((r) => setTimeout(r, 60_000)); });`);
  await ready;
  let held = false;
  const waiting = withLock(directory, async () => {
    held = true;
  });
  await sleep(200);
  expect(held).toBe(false);
  child.kill('SIGKILL');
  await exit;
  await waiting;
  expect(held).toBe(true);
});

test('a lock that was left to a process is held until that ends', async () => {
  const root = temporaryDirectory();
  const directory = join(root, 'lock');
  const other = startProcess({
    directory: join(root, 'stage'),
    command: ['sleep', '0.5'],
    cwd: '/',
    env: { PATH: process.env.PATH ?? '' },
  });
  await withLock(directory, (lock) => lock.leaveTo(identify(other.pid)));
  const began = performance.now();
  await withLock(directory, async () => {});
  expect(performance.now() - began).toBeGreaterThan(300);
  await other.wait();
});

test('waiting can be given up, and the next in line is served', async () => {
  const directory = join(temporaryDirectory(), 'lock');
  const order: string[] = [];
  const { held: first, finish } = await holding(directory);
  const stop = new AbortController();
  const second = withLock(directory, async () => order.push('second'), stop.signal);
  const third = withLock(directory, async () => order.push('third'));
  stop.abort(new Error('given up'));
  await expect(second).rejects.toThrow('given up');
  finish();
  await Promise.all([first, third]);
  expect(order).toEqual(['third']);
});

test('a holder of another host is believed for a minute, one of an earlier boot of this host is not', async () => {
  const directory = join(temporaryDirectory(), 'lock');
  mkdirSync(directory);
  const holders = [{ pid: 1, scope: 'elsewhere' }];
  writeFileSync(join(directory, '7'), JSON.stringify({ holders, host: hostname() }));
  await withLock(directory, async () => {});
  writeFileSync(join(directory, '9'), JSON.stringify({ holders, host: `not-${hostname()}` }));
  await expect(withLock(directory, async () => {}, AbortSignal.timeout(300))).rejects.toThrow();
});

test('init runs one at a time for one provider cache, and not at all when it was cancelled in line', async () => {
  const cache = join(temporaryDirectory(), 'cache');
  const places = await Promise.all(
    [1, 2, 3].map(() => prepare({ 'main.tf': 'resource "terraform_data" "a" {}\n' }, { TF_PLUGIN_CACHE_DIR: cache })),
  );
  const results = await Promise.all(places.map(({ stage }) => init(stage('init'))));
  expect(results.map(({ outcome }) => outcome)).toEqual(['initialised', 'initialised', 'initialised']);

  const cancel = new AbortController();
  const { held, finish } = await holding(`${cache}.lock`);
  const [place] = places;
  if (place === undefined) throw new Error('no place');
  const waiting = init({ ...place.stage('init-2'), signals: { interrupt: cancel.signal } });
  await sleep(100);
  cancel.abort();
  expect((await waiting).outcome).toBe('interrupted');
  finish();
  await held;
});
