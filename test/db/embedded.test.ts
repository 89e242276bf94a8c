import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { EmbeddedPostgresError, startEmbeddedPostgres } from '../../src/db/embedded.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const STARTER = `
  import { startEmbeddedPostgres } from './src/db/embedded.ts';
  const { url } = await startEmbeddedPostgres(process.argv[1], { throwaway: true });
  process.stdout.write(url);
  setInterval(() => {}, 1000);
`;

let above: string;
let directory: string;
let children: ChildProcess[];
beforeEach(() => {
  above = mkdtempSync(join(tmpdir(), 'signalbox-embedded-'));
  directory = join(above, 'postgres');
  children = [];
});
afterEach(async () => {
  for (const child of children) await killed(child);
  const pid = serverPid();
  if (pid !== undefined) await (await startEmbeddedPostgres(directory)).stop();
  rmSync(above, { recursive: true, force: true });
});

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(text)).rows;
  } finally {
    await client.end();
  }
}

/** Starts it in a process of its own, with these variables, and yields the address. */
async function startElsewhere(env: Record<string, string> = {}): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', STARTER, directory], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  children.push(child);
  const [url] = await once(child.stdout, 'data');
  return { child, url: String(url) };
}

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

function serverPid(): number | undefined {
  const file = join(directory, 'data', 'postmaster.pid');
  return existsSync(file) ? Number(readFileSync(file, 'utf8').split('\n')[0]) : undefined;
}

test('it starts, keeps what it is told, and stops', async () => {
  const first = await startEmbeddedPostgres(directory, { throwaway: true });
  await query(first.url, 'create table kept (x int); insert into kept values (7)');
  await first.stop();
  expect(serverPid()).toBeUndefined();
  await expect(query(first.url, 'select 1')).rejects.toThrow('ECONNREFUSED');
  const second = await startEmbeddedPostgres(directory, { throwaway: true });
  expect(await query(second.url, 'select x from kept')).toEqual([{ x: 7 }]);
  await second.stop();
});

test('it asks for a password, listens on loopback only, and shows its files to nobody', async () => {
  const server = await startEmbeddedPostgres(directory, { throwaway: true });
  const without = new URL(server.url);
  without.password = 'wrong';
  await expect(query(without.href, 'select 1')).rejects.toThrow('password authentication failed');
  expect(await query(server.url, 'show listen_addresses')).toEqual([{ listen_addresses: '127.0.0.1' }]);
  expect(await query(server.url, 'show unix_socket_directories')).toEqual([{ unix_socket_directories: '' }]);
  expect(readFileSync(join(directory, 'data', 'pg_hba.conf'), 'utf8')).not.toMatch(/^[^#].*\btrust\b/m);
  expect(statSync(directory).mode & 0o777).toBe(0o700);
  expect(statSync(join(directory, 'password')).mode & 0o777).toBe(0o600);
  await server.stop();
});

test('one whose starter was killed is used as it is', async () => {
  const { child, url } = await startElsewhere();
  await query(url, 'create table kept (x int)');
  const pid = serverPid();
  await killed(child);
  const again = await startEmbeddedPostgres(directory);
  expect(again.url).toBe(url);
  expect(serverPid()).toBe(pid);
  expect(await query(again.url, 'select * from kept')).toEqual([]);
  await again.stop();
});

test('one that was killed itself is started again', async () => {
  const first = await startEmbeddedPostgres(directory);
  await query(first.url, 'create table kept (x int)');
  execFileSync('kill', ['-9', String(serverPid())]);
  await new Promise((resolve) => setTimeout(resolve, 300));
  const again = await startEmbeddedPostgres(directory);
  expect(await query(again.url, 'select * from kept')).toEqual([]);
  await again.stop();
});

test('one that was killed is not taken for whoever has its process number now', async () => {
  const first = await startEmbeddedPostgres(directory, { throwaway: true });
  await first.stop();
  const lines = [process.pid, join(directory, 'data'), 1, 5432, '', '127.0.0.1', ''];
  writeFileSync(join(directory, 'data', 'postmaster.pid'), lines.join('\n'));
  const again = await startEmbeddedPostgres(directory, { throwaway: true });
  expect(await query(again.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  await again.stop();
});

test('nothing of our environment is in its own', async () => {
  await startElsewhere({ WEBHOOK_SECRET: 'planted-secret', PRIVATE_KEY: 'planted-key', DATABASE_URL: 'planted-url' });
  const environment = readFileSync(`/proc/${serverPid()}/environ`, 'utf8');
  expect(environment).toContain('PATH=');
  expect(environment).not.toMatch(/planted|SECRET|PRIVATE_KEY|DATABASE_URL/);
});

test('a first start that was cut short is begun again', async () => {
  mkdirSync(join(directory, 'data.new'), { recursive: true });
  writeFileSync(join(directory, 'data.new', 'PG_VERSION'), '18\n');
  writeFileSync(join(directory, 'password'), 'half');
  const server = await startEmbeddedPostgres(directory, { throwaway: true });
  expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
  expect(existsSync(join(directory, 'data.new'))).toBe(false);
  await server.stop();
});

test('what stands in the way is told in a line, with a way out', async () => {
  const server = await startEmbeddedPostgres(directory, { throwaway: true });
  await server.stop();
  writeFileSync(join(directory, 'data', 'postgresql.auto.conf'), 'max_connections = none\n');
  const starting = startEmbeddedPostgres(directory, { throwaway: true });
  await expect(starting).rejects.toThrow(EmbeddedPostgresError);
  await expect(starting).rejects.toThrow(/^The embedded PostgreSQL can't be started: .+\nSet DATABASE_URL/);
});

// Nobody else has such a directory.
if (process.getuid?.() === 0) {
  test('it works below a directory that only root may enter', async () => {
    const closed = join(above, 'root-only');
    mkdirSync(closed, { mode: 0o700 });
    const server = await startEmbeddedPostgres(join(closed, 'postgres'), { throwaway: true });
    expect(await query(server.url, 'select 1 as one')).toEqual([{ one: 1 }]);
    await server.stop();
  });
}
