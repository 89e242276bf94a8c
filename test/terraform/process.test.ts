import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { watchLimits } from '../../src/terraform/limits.js';
import { follow, LONGEST_LINE, type OutputLine, splitLines } from '../../src/terraform/output.js';
import {
  adoptProcess,
  type HeldProcess,
  ProcessExistsError,
  ProcessReleasedError,
  startProcess,
} from '../../src/terraform/process.js';
import { findProcesses, identify, isAlive, parseStat } from '../../src/terraform/process-table.js';
import { SmallDisk, smallDiskAvailable } from '../support/small-disk.js';
import { isRunning, removeTemporaryDirectories, temporaryDirectory, until } from './support.js';

const env = { PATH: process.env.PATH ?? '' };

function start(script: string, directory = join(temporaryDirectory(), 'stage')) {
  const held = startProcess({ directory, command: ['/bin/sh', '-c', script], cwd: '/', env });
  return { held, directory };
}

async function texts(lines: AsyncIterable<OutputLine[]>): Promise<string[]> {
  const all: string[] = [];
  for await (const some of lines) all.push(...some.map(({ text }) => text));
  return all;
}

const pidIn = (path: string) => Number(readFileSync(path, 'utf8'));

afterAll(removeTemporaryDirectories);

describe('a held process', () => {
  test('gives its output and its exit code', async () => {
    const { held } = start('echo one; echo two; echo wrong >&2; exit 7');
    expect(await texts(held.lines())).toEqual(['one', 'two']);
    expect(await held.wait()).toEqual({ exitCode: 7 });
    expect(await held.errorOutput()).toBe('wrong\n');
  });

  test('shows lines while it runs, and reads on from any of them', async () => {
    const { held } = start('echo first; sleep 0.7; echo second');
    const began = performance.now();
    const arrivals: [string, number, number][] = [];
    for await (const lines of held.lines()) {
      for (const { text, end } of lines) arrivals.push([text, end, performance.now() - began]);
    }
    expect(arrivals.map(([text]) => text)).toEqual(['first', 'second']);
    expect(arrivals[0]?.[2]).toBeLessThan(600);
    expect((arrivals[1]?.[2] ?? 0) - (arrivals[0]?.[2] ?? 0)).toBeGreaterThan(500);
    expect(await texts(held.lines(arrivals[0]?.[1]))).toEqual(['second']);
  });

  test('knows its environment and nothing of ours', async () => {
    const { held } = start('env; readlink /proc/$$/fd/0; test -e /proc/$$/fd/3 || echo closed');
    const all = await texts(held.lines());
    const names = all.filter((line) => line.includes('=')).map((line) => line.split('=')[0]);
    expect(names.sort().filter((name) => !['_', 'OLDPWD', 'PWD', 'SHLVL'].includes(name ?? ''))).toEqual([
      'PATH',
      'SIGNALBOX_RUN',
    ]);
    expect(all.slice(-2)).toEqual(['/dev/null', 'closed']);
  });

  test('gets SIGINT once, as a terminal would send it', async () => {
    const { held, directory } = start('trap "echo interrupted; exit 1" INT; echo ready; while :; do sleep 0.05; done');
    const lines = texts(held.lines());
    await until(() => readFileSync(join(directory, 'stdout'), 'utf8') === 'ready\n');
    expect(await held.interrupt()).toBe(true);
    expect(await held.interrupt()).toBe(false);
    expect(await held.wait()).toEqual({ exitCode: 1 });
    expect(await lines).toEqual(['ready', 'interrupted']);
    expect(held.interrupted).toBe(true);
    expect(held.killed).toBe(false);
  });

  test('leaves its exit code also when its whole group is interrupted', async () => {
    const { held, directory } = start('trap "sleep 0.1; exit 5" INT; echo ready; while :; do sleep 0.05; done');
    await until(() => readFileSync(join(directory, 'stdout'), 'utf8') === 'ready\n');
    process.kill(-held.pid, 'SIGINT');
    expect(await held.wait()).toEqual({ exitCode: 5 });
    expect(await adoptProcess(directory)?.wait()).toEqual({ exitCode: 5 });
  });

  test('that is ended by a signal says by which', async () => {
    const { held } = start('kill -TERM $$');
    expect(await held.wait()).toEqual({ exitCode: 143, signal: 'SIGTERM' });
  });

  test('is killed with all that it started', async () => {
    const pids = join(temporaryDirectory(), 'pids');
    const { held, directory } = start(`sleep 300 & echo $! >${pids}; sleep 300`);
    await until(() => existsSync(pids) && pidIn(pids) > 0);
    await held.kill();
    expect(isRunning(pidIn(pids))).toBe(false);
    expect(await held.wait()).toEqual({ exitCode: undefined, signal: 'SIGKILL' });
    expect(await adoptProcess(directory)?.wait()).toEqual({ exitCode: undefined });
    expect(adoptProcess(directory)?.killed).toBe(true);
  });

  test('leaves nothing behind after reap, neither in its group nor in sessions of their own', async () => {
    const pids = join(temporaryDirectory(), 'pid');
    const { held } = start(`
      sleep 300 & echo $! >${pids}.group
      setsid sh -c 'echo $$ >${pids}.session; sleep 301 & sleep 300' &
      setsid sh -c '(sleep 300 & echo $! >${pids}.orphan)' &
      while [ ! -s ${pids}.session ] || [ ! -s ${pids}.orphan ]; do sleep 0.01; done`);
    expect(await held.wait()).toEqual({ exitCode: 0 });
    const left = ['group', 'session', 'orphan'].map((name) => pidIn(`${pids}.${name}`));
    expect(left.map(isRunning)).toEqual([true, true, true]);
    expect(await held.reap()).toEqual([]);
    expect(left.map(isRunning)).toEqual([false, false, false]);
  });

  test('is the only one that its directory ever holds', async () => {
    const { held, directory } = start('exit 0');
    await held.wait();
    expect(() => start('exit 0', directory)).toThrow(ProcessExistsError);
    expect(adoptProcess(join(directory, 'elsewhere'))).toBeUndefined();
  });

  test('goes on when it is released', async () => {
    const { held, directory } = start('sleep 0.5; echo done; exit 3');
    const lines = texts(held.lines());
    held.release();
    await expect(held.wait()).rejects.toThrow(ProcessReleasedError);
    await expect(lines).rejects.toThrow(ProcessReleasedError);
    const adopted = adoptProcess(directory);
    expect(await adopted?.wait()).toEqual({ exitCode: 3 });
  });

  test('that can not be found ends as a shell says it', async () => {
    const held = startProcess({
      directory: join(temporaryDirectory(), 'stage'),
      command: ['/no/such/program'],
      cwd: '/',
      env,
    });
    expect(await held.wait()).toEqual({ exitCode: 127 });
    expect(await held.errorOutput()).toContain('/no/such/program');
  });

  test('is adopted after whoever started it was killed, with its exit code and all of its output', async () => {
    const directory = join(temporaryDirectory(), 'stage');
    const module = pathToFileURL(join(process.cwd(), 'src/terraform/process.ts')).href;
    const parent = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        '--input-type=module',
        '-e',
        `import { startProcess } from ${JSON.stringify(module)};
         const held = startProcess({
           directory: ${JSON.stringify(directory)},
           command: ['/bin/sh', '-c', 'for i in 1 2 3 4 5 6 7 8 9 10; do echo line $i; sleep 0.1; done; exit 9'],
           cwd: '/', env: { PATH: process.env.PATH },
         });
         for await (const lines of held.lines()) console.log(lines.length);`,
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    await new Promise((resolve) => parent.stdout.once('data', resolve));
    parent.kill('SIGKILL');
    await new Promise((resolve) => parent.once('exit', resolve));
    expect(existsSync(join(directory, 'exit'))).toBe(false);

    const adopted = adoptProcess(directory) as HeldProcess;
    expect(await texts(adopted.lines())).toEqual(Array.from({ length: 10 }, (_, at) => `line ${at + 1}`));
    expect(await adopted.wait()).toEqual({ exitCode: 9 });
    expect(await adopted.reap()).toEqual([]);
  });

  test('whose holding shell alone was killed is waited for, and its exit code is unknown', async () => {
    const { held, directory } = start('echo up; sleep 0.6; echo down');
    await until(() => readFileSync(join(directory, 'stdout'), 'utf8') === 'up\n');
    process.kill(held.pid, 'SIGKILL');
    expect(await texts(held.lines())).toEqual(['up', 'down']);
    expect(await held.wait()).toEqual({ exitCode: undefined, signal: 'SIGKILL' });
  });
});

(smallDiskAvailable ? describe : describe.skip)('on a full disk', () => {
  let disk: SmallDisk;
  beforeEach(() => {
    disk = SmallDisk.mount();
  });
  afterEach(() => disk.unmount());

  const patient = 'trap "echo interrupted" INT; echo ready; while :; do sleep 0.05; done';
  const printed = (directory: string) => readFileSync(join(directory, 'stdout'), 'utf8');

  async function ready() {
    const { held, directory } = start(patient, join(disk.directory, 'stage'));
    await until(() => printed(directory) === 'ready\n');
    return { held, directory };
  }

  test.each(['no room', 'no files left'])('with %s a process is killed all the same', async (how) => {
    const { held } = await ready();
    if (how === 'no room') disk.fill();
    else disk.fillWithFiles();
    await held.kill();
    expect(isRunning(held.pid)).toBe(false);
    expect(held.killed).toBe(true);
    await held.wait();
  });

  test.each(['no room', 'no files left'])('with %s a process is interrupted all the same, once', async (how) => {
    const { held, directory } = await ready();
    if (how === 'no room') disk.fill();
    else disk.fillWithFiles();
    try {
      expect(await held.interrupt()).toBe(true);
      expect(await held.interrupt()).toBe(false);
      expect(held.interrupted).toBe(true);
      disk.empty();
      if (how === 'no room') {
        await until(() => printed(directory).endsWith('interrupted\n'));
        // Whoever holds it next knows, too: a second SIGINT would keep Terraform from saving its state.
        expect(adoptProcess(directory)?.interrupted).toBe(true);
        expect(await adoptProcess(directory)?.interrupt()).toBe(false);
      }
    } finally {
      await held.kill();
    }
  });

  test('the limit that a process went beyond is known, also to whoever adopts it', async () => {
    const { held, directory } = await ready();
    disk.fill();
    held.exceed('It had too much');
    held.exceed('It had even more');
    expect(held.exceeded).toBe('It had too much');
    expect(adoptProcess(directory)?.exceeded).toBe('It went beyond one of its limits');
    await held.kill();
  });

  test('a limit is kept', async () => {
    const { held } = await ready();
    disk.fill();
    const limits = { processes: 1, memory: 1, disk: 1, output: 0.1, places: [disk.directory], patience: 100 };
    const endWatch = watchLimits(held, limits);
    expect(await held.wait()).toMatchObject({ exitCode: undefined });
    await endWatch();
    expect(held.exceeded).toContain('RUN_OUTPUT');
  });
});

describe('the process table', () => {
  test('reads a line with blanks and brackets in the name', () => {
    const line = `12 (a) b (c)) S 1 12 12 0 -1 4194560 ${'0 '.repeat(12)}98765 0`;
    expect(parseStat(line)).toEqual({ pid: 12, state: 'S', parent: 1, group: 12, session: 12, startTime: 98765 });
  });

  test('takes another process with the same pid, or of another boot, for dead', async () => {
    const self = identify(process.pid);
    expect(isAlive(self)).toBe(true);
    expect(isAlive({ ...self, startTime: (self.startTime ?? 0) + 1 })).toBe(false);
    expect(isAlive({ ...self, scope: 'another boot' })).toBe(false);
    expect(await findProcesses({ ...self, scope: 'another boot' }, 'PATH=x')).toEqual([]);
  });
});

describe('following a file', () => {
  test('puts half lines together and reads on from any line', async () => {
    const path = join(temporaryDirectory(), 'out');
    writeFileSync(path, 'a\nhal');
    let finish: () => void = () => {};
    const writer = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const lines: OutputLine[] = [];
    const reading = (async () => {
      for await (const some of splitLines(follow(path, 0, writer), 0)) lines.push(...some);
    })();
    await until(() => lines.length === 1);
    appendFileSync(path, 'f é');
    await sleep(30);
    appendFileSync(path, '\r\n\nlast');
    await until(() => lines.length === 3);
    finish();
    await reading;
    expect(lines.map(({ text }) => text)).toEqual(['a', 'half é', '', 'last']);
    const resumed: OutputLine[] = [];
    const from = lines[1]?.end ?? 0;
    for await (const some of splitLines(follow(path, from, writer), from)) resumed.push(...some);
    expect(resumed).toEqual(lines.slice(2));
  });

  test('cuts a huge line, and reads the next one whole', async () => {
    const path = join(temporaryDirectory(), 'out');
    writeFileSync(path, `${'x'.repeat(3 * LONGEST_LINE)}\nnext\n`);
    const lines: OutputLine[] = [];
    for await (const some of splitLines(follow(path, 0, Promise.resolve()), 0)) lines.push(...some);
    expect(lines.map(({ text, dropped }) => [text.length, dropped])).toEqual([
      [LONGEST_LINE, 2 * LONGEST_LINE],
      [4, 0],
    ]);
    expect(lines[1]?.end).toBe(3 * LONGEST_LINE + 6);
  });
});
