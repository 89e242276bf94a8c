import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { LocalGitHub } from './github/index.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const START_MS = 60_000;

export interface SignalboxOptions {
  github: LocalGitHub;
  dataDirectory: string;
  /** Added to the environment, which is otherwise nothing but PATH. */
  env?: Record<string, string>;
  /** Gets what it logs. */
  onLog?: (text: string) => void;
  port?: number;
  /** In a process group of its own: a terminal's Ctrl-C is for its parent alone. */
  detached?: boolean;
}

/** One Signalbox process, built as `npm start` runs it. */
export class Signalbox {
  readonly port: number;
  readonly process: ChildProcess;
  /** Everything that it has logged. */
  log = '';

  private constructor(port: number, process: ChildProcess) {
    this.port = port;
    this.process = process;
  }

  /** Starts the built program and resolves when it is ready. */
  static async start(options: SignalboxOptions): Promise<Signalbox> {
    const port = options.port ?? (await freePort());
    const child = spawn(process.execPath, ['--enable-source-maps', join(ROOT, 'dist/index.js')], {
      cwd: ROOT,
      env: {
        ...environmentFor(options.github),
        PORT: String(port),
        HOST: '127.0.0.1',
        DATA_DIR: options.dataDirectory,
        ...options.env,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: options.detached ?? false,
    });
    const signalbox = new Signalbox(port, child);
    for (const stream of [child.stdout, child.stderr]) {
      stream?.setEncoding('utf8').on('data', (text: string) => {
        signalbox.log += text;
        options.onLog?.(text);
      });
    }
    await signalbox.#ready();
    return signalbox;
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  get webhookUrl(): string {
    return `${this.url}/api/github/webhooks`;
  }

  /** SIGTERM, and its exit code. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      const exited = once(this.process, 'exit');
      this.process.kill(signal);
      await exited;
    }
    return this.process.exitCode;
  }

  async #ready(): Promise<void> {
    const deadline = Date.now() + START_MS;
    while (this.process.exitCode === null && this.process.signalCode === null) {
      const answer = await fetch(`${this.url}/readyz`).catch(() => undefined);
      if (answer?.ok) return;
      if (Date.now() > deadline) break;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    await this.stop('SIGKILL');
    throw new Error(`Signalbox did not become ready:\n${this.log}`);
  }
}

/** What the App needs to know of the local GitHub, and nothing of ours but PATH. */
export function environmentFor(github: LocalGitHub): Record<string, string> {
  return {
    PATH: process.env.PATH ?? '',
    GHE_HOST: github.host,
    GHE_PROTOCOL: 'http',
    APP_ID: String(github.app.id),
    PRIVATE_KEY: github.app.privateKey,
    WEBHOOK_SECRET: github.app.webhookSecret,
    GITHUB_CLIENT_ID: github.app.clientId,
    GITHUB_CLIENT_SECRET: github.app.clientSecret,
    LOG_FORMAT: 'json',
  };
}

/** What a worker's environment has in place of the App's credentials, which it needs none of. */
export const NO_APP = {
  APP_ID: '',
  PRIVATE_KEY: '',
  WEBHOOK_SECRET: '',
  GITHUB_CLIENT_ID: '',
  GITHUB_CLIENT_SECRET: '',
};

export async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return (address as { port: number }).port;
}
