import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('../../dist/index.js', import.meta.url));

/** How long the supervisor waits before it starts a process again that ended by itself, in ms. */
const RESTART_MS = 1_000;
const PATIENCE_MS = 20_000;

/** A process of Signalbox, started again whenever it ends, as systemd would do it. */
export class Supervised {
  readonly url: string;
  starts = 0;
  #child: ChildProcess | undefined;
  #restart: NodeJS.Timeout | undefined;
  #delay = RESTART_MS;
  #stopping = false;

  constructor(
    readonly name: string,
    readonly port: number,
    private readonly directory: string,
    private readonly env: Record<string, string>,
  ) {
    this.url = `http://127.0.0.1:${port}`;
  }

  start(): void {
    const output = openSync(join(this.directory, `${this.name}.log`), 'a');
    const errors = openSync(join(this.directory, `${this.name}.err`), 'a');
    this.starts += 1;
    const child = spawn(process.execPath, ['--enable-source-maps', PROGRAM], {
      cwd: this.directory,
      env: { ...this.env, PORT: String(this.port), HOST: '127.0.0.1', DATA_DIR: join(this.directory, this.name) },
      stdio: ['ignore', output, errors],
      // A terminal's Ctrl-C is for the harness, which then ends its processes itself.
      detached: true,
    });
    closeSync(output);
    closeSync(errors);
    this.#child = child;
    child.once('exit', () => {
      this.#child = undefined;
      if (!this.#stopping) this.#restart = setTimeout(() => this.start(), this.#delay);
      this.#delay = RESTART_MS;
    });
  }

  /** `kill -9`; it is started again after `delay` ms. False: it wasn't there. */
  kill(delay: number): boolean {
    if (!this.#child) return false;
    this.#delay = delay;
    return this.#child.kill('SIGKILL');
  }

  /** Whether it answers for itself and for everything that it needs. */
  async isReady(): Promise<boolean> {
    const answer = await fetch(`${this.url}/readyz`, { signal: AbortSignal.timeout(5_000) }).catch(() => undefined);
    return answer?.ok ?? false;
  }

  /** SIGTERM, and its exit code; SIGKILL (null) when it doesn't end in 20 s. */
  async stop(): Promise<number | null> {
    this.#stopping = true;
    clearTimeout(this.#restart);
    const child = this.#child;
    if (!child) return null;
    const exited = once(child, 'exit') as Promise<[number | null]>;
    child.kill('SIGTERM');
    const impatience = setTimeout(() => child.kill('SIGKILL'), PATIENCE_MS);
    const [code] = await exited;
    clearTimeout(impatience);
    return code;
  }

  /** Stack traces of exceptions that ended it, and whatever else it said in no orderly form. */
  async crashes(): Promise<string[]> {
    const text = await readFile(join(this.directory, `${this.name}.err`), 'utf8').catch(() => '');
    return text.split(/\n(?=\S)/).filter((part) => /\n\s+at /.test(part));
  }
}
