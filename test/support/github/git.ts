import { spawn } from 'node:child_process';
import { once } from 'node:events';

export interface GitOptions {
  input?: string | Buffer;
  env?: Record<string, string>;
}

export interface GitResult {
  code: number;
  stdout: Buffer;
  stderr: string;
}

export class GitError extends Error {
  constructor(
    readonly args: readonly string[],
    readonly code: number,
    readonly stderr: string,
  ) {
    super(`git ${args.join(' ')} exited with ${code}: ${stderr.trim()}`);
    this.name = 'GitError';
  }
}

/** Nothing of the surrounding environment or configuration reaches git: tests behave the same on every machine. */
export const gitEnvironment: Record<string, string> = {
  PATH: process.env.PATH ?? '/usr/bin:/bin',
  HOME: '/nonexistent',
  LC_ALL: 'C',
  GIT_CONFIG_NOSYSTEM: '1',
  GIT_CONFIG_GLOBAL: '/dev/null',
  GIT_TERMINAL_PROMPT: '0',
};

export async function tryGit(directory: string, args: readonly string[], options: GitOptions = {}): Promise<GitResult> {
  const child = spawn('git', ['-c', 'core.quotePath=false', ...args], {
    cwd: directory,
    env: { ...gitEnvironment, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const stdout: Buffer[] = [];
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  child.stdin.on('error', () => {}); // git may exit before it has read everything
  child.stdin.end(options.input ?? '');
  const [code] = await once(child, 'close');
  return { code: (code as number | null) ?? -1, stdout: Buffer.concat(stdout), stderr };
}

/** Standard output as text, without its last line feed. */
export async function git(directory: string, args: readonly string[], options: GitOptions = {}): Promise<string> {
  return (await gitBytes(directory, args, options)).toString().replace(/\n$/, '');
}

export async function gitBytes(directory: string, args: readonly string[], options: GitOptions = {}): Promise<Buffer> {
  const { code, stdout, stderr } = await tryGit(directory, args, options);
  if (code !== 0) throw new GitError(args, code, stderr);
  return stdout;
}
