import { execFile } from 'node:child_process';
import { existsSync, lstatSync, readlinkSync, realpathSync } from 'node:fs';
import { access, constants, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, isAbsolute, join, sep } from 'node:path';
import { promisify } from 'node:util';
import { type Enclosure, startProcess } from './process.js';

const ask = promisify(execFile);

/** What one command sees and may do, beside what all see. Paths are absolute, and the same inside. */
export interface SandboxPlace {
  cwd: string;
  writable: readonly string[];
  readable: readonly string[];
  /** The command's environment: files that its variables name can be read. */
  environment: Readonly<Record<string, string>>;
  /** Limits for each process, where the system keeps them. */
  limits: { processes: number; fileBytes: number };
}

export interface SandboxOptions {
  /** Where bubblewrap is looked for, as in the environment variable PATH. */
  path: string;
  /** Hidden whatever else is shown, but for a place's own paths in it. */
  dataDirectory: string;
  /** Files that are hidden too. */
  secretFiles: readonly string[];
  /** Further paths that every command sees. */
  paths: readonly { path: string; writable: boolean }[];
}

/** There is no sandbox here. The message says why, in a sentence without its end. */
export class SandboxUnavailableError extends Error {
  override name = 'SandboxUnavailableError';
}

/** System directories, all read-only. Where `/bin` is a link to `/usr/bin` it is one inside too. */
const SYSTEM = ['/usr', '/bin', '/sbin', '/lib', '/lib32', '/lib64', '/libx32', '/nix/store'];

/** What programs need of /etc: names, time, the linker, certificates. None of it holds keys, as /etc/ssl/private does. */
const ETC = [
  ...['alternatives', 'ld.so.cache', 'ld.so.conf', 'ld.so.conf.d', 'localtime', 'timezone', 'locale.conf'],
  ...['passwd', 'group', 'hosts', 'host.conf', 'nsswitch.conf', 'resolv.conf', 'gai.conf', 'protocols', 'services'],
  ...['ca-certificates', 'ssl/certs', 'ssl/cert.pem', 'ssl/ca-bundle.pem', 'ssl/openssl.cnf', 'mime.types'],
  ...['pki/ca-trust', 'pki/tls/certs', 'pki/tls/cert.pem', 'pki/tls/openssl.cnf', 'crypto-policies'],
  ...['ssh/ssh_config', 'ssh/ssh_config.d', 'ssh/ssh_known_hosts'],
].map((name) => join('/etc', name));

/** Sizes of what is in memory, in bytes: TMPDIR and HOME are on disk. */
const TMP_BYTES = 256 * 1024 * 1024;
const SHM_BYTES = 64 * 1024 * 1024;

/** Ours, or not a place of the operator's. */
const NO_PLACES = ['PATH', 'HOME', 'TMPDIR', 'TF_PLUGIN_CACHE_DIR', 'SHELL', 'PWD'];
/** Never shown, wherever a variable points. */
const NEVER = ['/proc', '/sys', '/dev'];

/** How long the sandbox may take to show that it works, in ms. It takes 20. */
const PROBE_PATIENCE = 20_000;

/**
 * Bubblewrap around a command. The command sees its own places, the system read-only and its own processes; the network is
 * shared. It can't become more than it is: it has no capabilities and can't have new namespaces.
 */
export class Sandbox {
  readonly #program: string;
  readonly #options: SandboxOptions;
  /** Whether this bubblewrap knows an option: `--size` came with 0.7, `--disable-userns` with 0.8. */
  readonly #knows: (option: string) => boolean;

  private constructor(program: string, help: string, options: SandboxOptions) {
    this.#program = program;
    this.#options = options;
    this.#knows = (option) => help.includes(`${option} `);
  }

  /**
   * Finds bubblewrap and tries it: user namespaces may be forbidden.
   *
   * @throws SandboxUnavailableError
   */
  static async open(options: SandboxOptions): Promise<Sandbox> {
    const program = await lookUp('bwrap', options.path);
    if (program === undefined) throw new SandboxUnavailableError('bubblewrap (bwrap) is not on the PATH');
    const help = await ask(program, ['--help'], { timeout: PROBE_PATIENCE }).then(
      ({ stdout, stderr }) => `${stdout}${stderr}`,
      (error: Error & { stderr?: string }) => {
        throw new SandboxUnavailableError(`bubblewrap doesn't work here: ${lastLine(error.stderr) || error.message}`);
      },
    );
    const sandbox = new Sandbox(program, help, options);
    await sandbox.#try();
    return sandbox;
  }

  /** Yields what puts the sandbox around a command. */
  around(place: SandboxPlace): NonNullable<Enclosure['sandbox']> {
    const view = this.#view(place);
    return { ...place.limits, around: (command) => [this.#program, ...view, '--', ...command] };
  }

  #view({ cwd, writable, readable, environment }: SandboxPlace): string[] {
    const { dataDirectory, paths } = this.#options;
    const named = this.#namedPaths(environment);
    const shown = [...named, ...paths.map(({ path }) => path)];
    return [
      ...['--unshare-user', ...this.#ifKnown('--disable-userns'), '--cap-drop', 'ALL'],
      ...['--unshare-pid', '--unshare-ipc', '--unshare-uts', '--unshare-cgroup-try', '--new-session', '--info-fd', '4'],
      ...SYSTEM.flatMap(showSystem),
      ...ETC.flatMap((path) => ['--ro-bind-try', path, path]),
      // Read-only: who runs as root could set the whole machine's parameters in /proc/sys, without any capability.
      ...['--proc', '/proc', '--remount-ro', '/proc', '--dev', '/dev'],
      ...[...this.#ifKnown('--size', String(SHM_BYTES)), '--tmpfs', '/dev/shm', '--remount-ro', '/dev'],
      ...[...this.#ifKnown('--size', String(TMP_BYTES)), '--tmpfs', '/tmp'],
      ...named.flatMap((path) => ['--ro-bind-try', path, path]),
      ...paths.flatMap(({ path, writable }) => [writable ? '--bind-try' : '--ro-bind-try', path, path]),
      ...[dataDirectory, ...realPath(dataDirectory)].flatMap((path) => ['--tmpfs', path]),
      ...this.#visibleSecrets(shown).flatMap((path) => ['--ro-bind', '/dev/null', path]),
      ...readable.flatMap(showReadable),
      ...writable.flatMap((path) => ['--bind', path, path]),
      ...['--remount-ro', '/', '--chdir', cwd],
    ];
  }

  /** Files and directories that variables name, as `GOOGLE_APPLICATION_CREDENTIALS` does, or several with `:` between. */
  #namedPaths(environment: SandboxPlace['environment']): string[] {
    const names = Object.keys(environment).filter((name) => !NO_PLACES.includes(name));
    const paths = names.flatMap((name) => (environment[name] ?? '').split(':')).filter((path) => isAbsolute(path));
    return [...new Set(paths)].filter((path) => existsSync(path) && this.#mayBeShown(path)).sort();
  }

  #mayBeShown(path: string): boolean {
    const { dataDirectory, secretFiles } = this.#options;
    const ours = [dataDirectory, ...secretFiles, process.cwd()].flatMap((each) => [each, ...realPath(each)]);
    return [path, ...realPath(path)].every(
      (each) =>
        !NEVER.some((never) => isWithin(each, never)) &&
        !ours.some((our) => isWithin(our, each)) &&
        !isWithin(each, dataDirectory) &&
        !realPath(dataDirectory).some((real) => isWithin(each, real)),
    );
  }

  /** Those that would be seen for lying in something that is shown. */
  #visibleSecrets(shown: readonly string[]): string[] {
    const places = [...SYSTEM, ...ETC, ...shown].flatMap((path) => [path, ...realPath(path)]);
    const files = this.#options.secretFiles
      .flatMap((path) => [path, ...realPath(path)])
      .filter((path) => existsSync(path));
    return [...new Set(files)].filter((file) => places.some((place) => isWithin(file, place)));
  }

  #ifKnown(option: string, ...values: string[]): string[] {
    return this.#knows(option) ? [option, ...values] : [];
  }

  /** A command in it that looks at what it should see, from beginning to end. */
  async #try(): Promise<void> {
    const directory = await mkdtemp(join(tmpdir(), 'signalbox-sandbox-'));
    try {
      const place = {
        cwd: '/',
        writable: [],
        readable: [],
        environment: {},
        limits: { processes: 64, fileBytes: 2 ** 20 },
      };
      const process = startProcess({
        directory: join(directory, 'control'),
        // The first process and this one.
        command: ['/bin/sh', '-c', 'set -- /proc/[0-9]*; test $# = 2'],
        cwd: '/',
        env: { PATH: this.#options.path },
        enclosure: { sandbox: this.around(place) },
      });
      const impatience = setTimeout(() => void process.kill().catch(() => {}), PROBE_PATIENCE);
      const { exitCode } = await process.wait();
      clearTimeout(impatience);
      await process.reap();
      if (exitCode === 0) return;
      const said = lastLine(await process.errorOutput());
      throw new SandboxUnavailableError(`bubblewrap doesn't work here: ${said || `it ended with ${exitCode}`}`);
    } finally {
      await rm(directory, { recursive: true, force: true });
    }
  }
}

function showSystem(path: string): string[] {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  if (stats === undefined) return [];
  return stats.isSymbolicLink() ? ['--symlink', readlinkSync(path), path] : ['--ro-bind', path, path];
}

function lastLine(text = ''): string {
  return text.trim().split('\n').at(-1) ?? '';
}

/** In a system directory it is seen already, unless it is a link that leads elsewhere. */
function showReadable(path: string): string[] {
  const isSystem = (each: string) => SYSTEM.some((directory) => isWithin(each, directory));
  const [real = path] = realPath(path);
  const missing = isSystem(path) ? real : path;
  return isSystem(missing) ? [] : ['--ro-bind', missing, missing];
}

/** Where a path leads, if that is another one. */
function realPath(path: string): string[] {
  try {
    const real = realpathSync(path);
    return real === path ? [] : [real];
  } catch {
    return [];
  }
}

function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory.endsWith(sep) ? directory : directory + sep);
}

async function lookUp(name: string, path: string): Promise<string | undefined> {
  for (const directory of path.split(delimiter).filter(isAbsolute)) {
    const program = join(directory, name);
    if (
      await access(program, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return program;
  }
  return undefined;
}
