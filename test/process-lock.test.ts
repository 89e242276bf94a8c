import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DataDirectoryInUse, lockDataDirectory } from '../src/process-lock.js';

const ROOT = fileURLToPath(new URL('../', import.meta.url));
/** Says 'mine' or why not, and then lives until it is killed. */
const HOLDER = `
  import { lockDataDirectory } from './src/process-lock.ts';
  lockDataDirectory(process.argv[1]).then(
    () => process.stdout.write('mine'),
    (error) => process.stdout.write(error.name),
  );
  setInterval(() => {}, 1000);
`;

let directory: string;
let others: ChildProcess[];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-lock-'));
  others = [];
});
afterEach(async () => {
  await Promise.all(others.map(kill));
  rmSync(directory, { recursive: true, force: true });
});

/** Another process that tries to take the directory, and what it said. */
async function another(): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', HOLDER, directory], {
    cwd: ROOT,
    env: { PATH: process.env.PATH },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  others.push(child);
  const [said] = await once(child.stdout, 'data');
  return String(said);
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

test('a directory belongs to one process, until that gives it back', async () => {
  const unlock = await lockDataDirectory(directory);
  expect(await another()).toBe('DataDirectoryInUse');
  await unlock();
  expect(readdirSync(directory)).toEqual([]);
  expect(await another()).toBe('mine');
  await expect(lockDataDirectory(directory)).rejects.toThrow(DataDirectoryInUse);
  await expect(lockDataDirectory(directory)).rejects.toThrow(/is in use by process \d+\. Stop it, or give/);
});

test('a killed process holds nothing, nor does a later one with its number', async () => {
  expect(await another()).toBe('mine');
  await Promise.all(others.map(kill));
  const unlock = await lockDataDirectory(directory);
  await unlock();
  writeFileSync(join(directory, 'process'), `${process.ppid} 12345`);
  await (await lockDataDirectory(directory))();
  writeFileSync(join(directory, 'process'), '');
  await (await lockDataDirectory(directory))();
  expect(existsSync(join(directory, 'process'))).toBe(false);
});

test('of several that find what a killed one has left, one gets it', async () => {
  writeFileSync(join(directory, 'process'), '999999 1');
  const said = await Promise.all([another(), another(), another()]);
  expect(said.sort()).toEqual(['DataDirectoryInUse', 'DataDirectoryInUse', 'mine']);
  expect(readdirSync(directory)).toEqual(['process']);
});

test('whoever gives it back takes nothing from others', async () => {
  const unlock = await lockDataDirectory(directory);
  writeFileSync(join(directory, 'process'), '1 2');
  await unlock();
  expect(readFileSync(join(directory, 'process'), 'utf8')).toBe('1 2');
});
