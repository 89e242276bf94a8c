import { randomUUID } from 'node:crypto';
import { type SimpleGit, type SimpleGitOptions, simpleGit } from 'simple-git';
import { CommitRefused, DiskFull, GitFailed } from './git-error.js';
import { endProcesses, MARKER } from './git-processes.js';

/** How a command is run. */
export interface CommandOptions {
  /** After this many ms it is ended. */
  timeoutMs: number;
  /** Given to its standard input. */
  input?: string;
  /** Beside the common environment. */
  environment?: Readonly<Record<string, string>>;
}

/** A command ended with an error. `stderr` is untranslated. */
export class GitExit extends Error {
  override name = 'GitExit';
  constructor(
    readonly command: string,
    readonly stderr: string,
    readonly timedOut: boolean,
  ) {
    super(`git ${command} ${timedOut ? 'took too long' : 'failed'}`);
  }

  /** As an error for the caller's caller, where nobody knows better. */
  toError(): Error {
    if (isDiskFull(this.stderr)) return new DiskFull();
    return new GitFailed(this.command, this.timedOut ? 'it took too long' : lastLines(this.stderr));
  }
}

/** Output beyond this is a tree made to fill memory (a 'git bomb' names billions of paths in a few objects). In bytes. */
const LARGEST_OUTPUT = 64 * 1024 * 1024;

/** What of the surroundings git may know: how the network is reached, and whom to trust there. */
const INHERITED = [
  ...['PATH', 'TMPDIR', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'GIT_SSL_CAINFO', 'GIT_SSL_CAPATH'],
  ...['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'ALL_PROXY', 'http_proxy', 'https_proxy', 'no_proxy', 'all_proxy'],
];

/**
 * The whole environment of a git command on the bare repository at `gitDirectory`. With GIT_DIR given git looks for no
 * repository around it, and doesn't mind whose it is.
 */
export function gitEnvironment(
  gitDirectory: string,
  home: string,
  from: Readonly<Record<string, string | undefined>>,
): Record<string, string> {
  const inherited = INHERITED.flatMap((name) => (from[name] === undefined ? [] : [[name, from[name]]]));
  return {
    ...Object.fromEntries(inherited),
    HOME: home,
    LC_ALL: 'C',
    GIT_DIR: gitDirectory,
    GIT_CONFIG_NOSYSTEM: '1',
    GIT_ATTR_NOSYSTEM: '1',
    GIT_TERMINAL_PROMPT: '0',
    GIT_ALLOW_PROTOCOL: 'http:https',
    GIT_LITERAL_PATHSPECS: '1',
    GIT_NO_REPLACE_OBJECTS: '1',
  };
}

/** Runs git commands on one bare repository, each in a process of its own with a clean environment. Throws GitExit. */
export class GitCommand {
  readonly #directory: string;
  readonly #environment: Readonly<Record<string, string>>;

  /** `directory`: any that exists; `environment`: from `gitEnvironment`. */
  constructor(directory: string, environment: Readonly<Record<string, string>>) {
    this.#directory = directory;
    this.#environment = environment;
  }

  /** Yields what it printed, as UTF-8. */
  text(args: readonly string[], options: CommandOptions): Promise<string> {
    return this.#run(args, options, (git) => git.raw([...args]));
  }

  /** The same for `git cat-file`, in bytes. */
  bytes(args: readonly string[], options: CommandOptions): Promise<Buffer> {
    return this.#run(['cat-file', ...args], options, (git) => git.binaryCatFile([...args]));
  }

  async #run<T>(args: readonly string[], options: CommandOptions, run: (git: SimpleGit) => Promise<T>): Promise<T> {
    const [command = ''] = args;
    const marker = randomUUID();
    const environment = { ...this.#environment, ...options.environment, [MARKER]: marker };
    const stop = new AbortController();
    let stopped: 'too late' | 'too large' | undefined;
    const stopFor = (reason: typeof stopped) => {
      if (stopped !== undefined) return;
      stopped = reason;
      stop.abort();
      void endProcesses(marker);
    };
    let exit: GitExit | undefined;
    const timer = setTimeout(() => stopFor('too late'), options.timeoutMs);
    const settings: Partial<SimpleGitOptions> = {
      baseDir: this.#directory,
      abort: stop.signal,
      // Only `close` says that all output is here; `exit` may come first.
      completion: { onExit: false },
      allowEnvironment: Object.keys(environment),
      // What these guard against is an environment that somebody else made. This one is ours, from nothing.
      unsafe: { allowUnsafeConfigEnvCount: true, allowUnsafeTemplateDir: true },
      errors: (error, { exitCode, stdErr }) => {
        if (error === undefined && exitCode === 0) return undefined;
        exit = new GitExit(command, Buffer.concat(stdErr).toString(), stopped === 'too late');
        return exit;
      },
      ...(options.input === undefined ? {} : { input: () => options.input }),
    };
    const git = simpleGit(settings)
      .env(environment)
      .outputHandler((_, stdout) => {
        let length = 0;
        stdout.on('data', (chunk: Buffer) => {
          length += chunk.length;
          if (length > LARGEST_OUTPUT) stopFor('too large');
        });
      });
    try {
      return await run(git);
    } catch (error) {
      if (stopped === 'too large') throw new CommitRefused('The commit has more files than Signalbox can handle.');
      // simple-git makes an error of its own of ours.
      throw exit ?? new GitExit(command, String(error), false);
    } finally {
      clearTimeout(timer);
    }
  }
}

export function isDiskFull(stderr: string): boolean {
  return /No space left on device|Disk quota exceeded/i.test(stderr);
}

function lastLines(stderr: string): string {
  const own = stderr.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('remote:'));
  return own.slice(-3).join(' ').slice(-500);
}
