import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { until } from './queue/support.js';

/** Says who it is, and ends as it is told by an environment variable, or with 0 when it is asked to. */
const PROGRAM = `
  const { appendFileSync } = require('node:fs');
  process.on('SIGTERM', () => setTimeout(() => process.exit(0), 300));
  appendFileSync('started', process.pid + '\\n');
  if (process.env.FAIL) process.exit(Number(process.env.FAIL));
  setInterval(() => {}, 1000);
`;

let directory: string;
let container: ChildProcess | undefined;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'signalbox-test-restart-'));
  await mkdir(join(directory, 'dist'));
  await writeFile(join(directory, 'dist', 'index.js'), PROGRAM);
});
afterEach(async () => {
  for (const pid of await started()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {}
  }
  container?.kill('SIGKILL');
  await rm(directory, { recursive: true, force: true });
});

function start(env: Record<string, string> = {}): Promise<number | null> {
  const script = fileURLToPath(new URL('../src/restart.sh', import.meta.url));
  container = spawn('sh', [script], { cwd: directory, env: { PATH: process.env.PATH ?? '', ...env }, stdio: 'ignore' });
  return new Promise((resolve) => container?.once('close', resolve));
}

async function started(): Promise<number[]> {
  const text = await readFile(join(directory, 'started'), 'utf8').catch(() => '');
  return text.split('\n').filter(Boolean).map(Number);
}

test('a process that was killed is started again, and the container ends when it is asked to', async () => {
  const end = start();
  await until(async () => (await started()).length === 1, 10_000);
  process.kill((await started())[0] as number, 'SIGKILL');
  await until(async () => (await started()).length === 2, 10_000);
  container?.kill('SIGTERM');
  expect(await end).toBe(0);
  expect(await started()).toHaveLength(2);
});

test('a start that fails is not tried again: its exit code is the container’s', async () => {
  expect(await start({ FAIL: '1' })).toBe(1);
  expect(await started()).toHaveLength(1);
});
