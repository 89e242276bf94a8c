import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';

/** Whether `redis-server` is on the PATH. Suites that need it run when it is, and say so when it is not. */
export const redisAvailable = hasRedis();
if (!redisAvailable && process.env.CI)
  throw new Error('CI has no redis-server on its PATH: suites that need it would not run.');

export interface TestRedis {
  url: string;
  /** As a machine that loses power. */
  kill(): Promise<void>;
  /** Starts it again, on the same port, empty. */
  restart(): Promise<void>;
  /** Drops all that it holds while everybody stays connected. */
  wipe(): Promise<void>;
  stop(): Promise<void>;
}

/** A real Redis server on a free loopback port, without persistence. */
export async function startRedis(): Promise<TestRedis> {
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-test-redis-'));
  const port = await freePort();
  const url = `redis://127.0.0.1:${port}`;
  let server: ChildProcess | undefined;

  const start = async () => {
    const flags = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
      '--dir',
      directory,
    ];
    server = spawn('redis-server', flags, { stdio: 'ignore' });
    const client = new Redis(url, { maxRetriesPerRequest: null, retryStrategy: () => 20 });
    client.on('error', () => undefined);
    await client.ping();
    client.disconnect();
  };
  const end = async (signal: NodeJS.Signals) => {
    const ending = server;
    if (!ending || ending.exitCode !== null || ending.signalCode !== null) return;
    const exited = new Promise((resolve) => ending.once('exit', resolve));
    ending.kill(signal);
    await exited;
  };

  await start();
  return {
    url,
    kill: () => end('SIGKILL'),
    restart: async () => {
      await end('SIGKILL');
      await start();
    },
    wipe: async () => {
      const client = new Redis(url);
      client.on('error', () => undefined);
      await client.flushall().finally(() => client.disconnect());
    },
    stop: async () => {
      await end('SIGTERM');
      await rm(directory, { recursive: true, force: true });
    },
  };
}

function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return (address as { port: number }).port;
}
