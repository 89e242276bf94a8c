import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, constants, mkdirSync, openSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { setPriority, constants as system } from 'node:os';
import { join, resolve } from 'node:path';
import type { Duplex } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { removeCgroups } from './cgroup.js';
import { follow, type OutputLine, splitLines } from './output.js';
import { findProcesses, identify, isAlive, type ProcessIdentity, parseStat } from './process-table.js';

/** How often the end of a process that isn't our child is looked for, in ms. */
const POLL = 200;
/** How long `reap` tries, in ms: what SIGKILL hasn't ended by then hangs in the kernel. */
const REAP_PATIENCE = 5_000;
/** The environment variable by which what a process started is found again, wherever it went. */
const MARKER = 'SIGNALBOX_RUN';

/**
 * Holds the command, and outlives us: waits for our word that it is on record, notes who the command is, leaves its exit code.
 * A trap with a command (not `''`) keeps this shell alive on SIGINT and SIGTERM while its child gets the default; SIGHUP, at
 * which Terraform would drop its state, is ignored by both. What never came as far as the command itself leaves no exit code.
 */
const HOLDER = `
trap '' HUP
trap : INT TERM
read -r go <&3 || exit 125
control=$1
inner=$2
shift 2
/bin/sh -c "$inner" "$control" "$@"
code=$?
[ -e "$control/target" ] || exit "$code"
printf '%s\\n' "$code" >"$control/exit.tmp" && mv "$control/exit.tmp" "$control/exit"
exit "$code"
`;

/** Each line of the first argument is the directory of a cgroup. */
const JOIN_CGROUPS = `
while read -r cgroup; do
  [ -z "$cgroup" ] || printf '%s\\n' "$$" >"$cgroup/cgroup.procs" || exit 125
done <<END
$1
END
shift
`;

/** Becomes the command. */
const DIRECT = `${JOIN_CGROUPS}
exec 3<&-
{ read -r line </proc/$$/stat; } 2>/dev/null
printf "%s\\n" "\${line:-$$}" >"$0/target"
exec "$@"`;

/** What multiplies in there mustn't keep us from ending it: one process of ours gets as much of a core as nine of those. */
const NICE = 10;

/**
 * Becomes the sandbox, which must live as long as the command: a service manager that stops us sends SIGTERM to everything at
 * once, and Terraform takes its time to save its state.
 */
const SANDBOXED = `${JOIN_CGROUPS}
trap '' INT TERM
exec "$@" 4>>"$0/started" 5>&4`;

/**
 * Comes first inside a sandbox: gives signals their meaning back, and waits until we have noted from outside who it is. Its limits
 * can't be raised again; shells differ in how they call that of processes, and count files in blocks of 512 bytes.
 */
const GATE = `
ulimit -c 0
ulimit -u "$1" 2>/dev/null || ulimit -p "$1"
ulimit -f "$2"
shift 2
echo ready >&5
exec 4>&- 5>&-
read -r go <&3 || exit 125
exec 3<&-
exec "$@"`;

/** How often we look whether a sandbox is ready, in ms: it takes about 8. */
const GATE_POLL = 1;

/** What a command is put in. */
export interface Enclosure {
  /**
   * Puts a sandbox around a command. It has a pid namespace of its own, says on file descriptor 4 who the first process in that
   * is, as `bwrap --info-fd 4` does, and passes 3 and 5 on to the command.
   */
  sandbox?: {
    around(command: readonly string[]): readonly string[];
    /**
     * Most processes and threads in it, where the system keeps count of them: not for root. They count for those of the sandbox
     * alone if it has a user namespace of its own.
     */
    processes: number;
    /** The largest file that can be written, in bytes. */
    fileBytes: number;
  };
  /** Directories of cgroups for this process alone, made already. They are removed at its end. */
  cgroups?: readonly string[];
}

/** What to run, and where. */
export interface ProcessStart {
  /** Where its control files go; made if missing. One directory holds one process, ever. */
  directory: string;
  /** Program and arguments; the program is looked up in `env`'s PATH. */
  command: readonly string[];
  cwd: string;
  /** The whole environment: nothing is inherited from ours. */
  env: Readonly<Record<string, string>>;
  enclosure?: Enclosure;
}

/** How a process ended. */
export interface ProcessExit {
  /** As a shell reports it (128 + n after signal n); `undefined` when it died without leaving one. */
  exitCode: number | undefined;
  /** The signal that ended it, where that is known. */
  signal?: NodeJS.Signals;
}

/** A directory that has already held a process can't hold another one: nothing is ever started twice by accident. */
export class ProcessExistsError extends Error {
  override name = 'ProcessExistsError';
}

/** We let go of the process; it goes on without us. */
export class ProcessReleasedError extends Error {
  override name = 'ProcessReleasedError';
}

/** What is noted of a process in a file of this name. */
type Note = 'interrupted' | 'killed' | 'exceeded';

interface ProcessRecord {
  leader: ProcessIdentity;
  token: string;
}

/**
 * Starts a command that goes on when we die: detached, in a session of its own, stdin empty, stdout and stderr to the files of
 * these names in `directory`. It doesn't begin before it is on record there.
 *
 * @throws ProcessExistsError when `directory` has held a process before; a plain error when `cwd` doesn't exist
 */
export function startProcess(start: ProcessStart): HeldProcess {
  const { command, cwd, env, enclosure: { sandbox, cgroups = [] } = {} } = start;
  const directory = resolve(start.directory);
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const stdout = openOutput(directory, 'stdout');
  const stderr = openOutput(directory, 'stderr');
  const token = randomUUID();
  try {
    writeAtomically(join(directory, 'cgroups'), cgroups.join('\n'));
    const [inner, whole] = sandbox ? [SANDBOXED, confined(sandbox, command)] : [DIRECT, command];
    const child = spawn('/bin/sh', ['-c', HOLDER, 'sh', directory, inner, cgroups.join('\n'), ...whole], {
      cwd,
      env: { ...env, [MARKER]: token },
      detached: true,
      stdio: ['ignore', stdout, stderr, 'pipe'],
    });
    child.on('error', () => {});
    const exit = new Promise<ProcessExit>((settle) => {
      child.once('exit', (exitCode, signal) => {
        settle({ exitCode: exitCode ?? undefined, ...(signal && { signal }) });
      });
    });
    if (child.pid === undefined) throw new Error(`/bin/sh could not be started in ${cwd}.`);
    const record: ProcessRecord = { leader: identify(child.pid), token };
    if (sandbox) setPriority(child.pid, NICE);
    const gate = child.stdio[3] as Duplex;
    gate.on('error', () => {});
    writeAtomically(join(directory, 'process.json'), JSON.stringify(record));
    gate.write('go\n');
    if (sandbox) void openGate(directory, record.leader, gate);
    else close(gate);
    return new HeldProcess(directory, record, { child, exit });
  } finally {
    closeSync(stdout);
    closeSync(stderr);
  }
}

function confined(sandbox: NonNullable<Enclosure['sandbox']>, command: readonly string[]): readonly string[] {
  const limits = [sandbox.processes, Math.ceil(sandbox.fileBytes / 512)].map(String);
  return sandbox.around(['env', '--default-signal=INT,TERM', '/bin/sh', '-c', GATE, 'sh', ...limits, ...command]);
}

/**
 * Notes who the sandbox's first process is, at whose death the system ends everything in it, and who the command is; then lets
 * the command begin. If we die before, it never does.
 */
async function openGate(directory: string, leader: ProcessIdentity, gate: Duplex): Promise<void> {
  try {
    for (;;) {
      const text = readText(join(directory, 'started')) ?? '';
      if (text.endsWith('ready\n')) {
        const { 'child-pid': pid } = JSON.parse(text.slice(0, text.lastIndexOf('}') + 1)) as { 'child-pid': number };
        const [command] = readText(`/proc/${pid}/task/${pid}/children`)?.trim().split(' ') ?? [];
        writeAtomically(join(directory, 'sandbox.json'), JSON.stringify(identify(pid)));
        writeAtomically(join(directory, 'target'), readFileSync(`/proc/${command}/stat`, 'utf8'));
        gate.write('go\n');
        return;
      }
      if (!isAlive(leader)) return;
      await sleep(GATE_POLL);
    }
  } catch {
    // Whatever is missing was ended meanwhile, or its directory removed. The command doesn't begin.
  } finally {
    close(gate);
  }
}

/** The other side never closes it before its end, and an open one would keep us from ours. */
function close(gate: Duplex): void {
  gate.end(() => gate.destroy());
}

/**
 * Takes up, after a restart, the process that `directory` holds, whether it still runs or not.
 *
 * @returns `undefined` when none was ever begun there
 */
export function adoptProcess(directory: string): HeldProcess | undefined {
  const text = readText(join(directory, 'process.json'));
  if (text === undefined) return undefined;
  return new HeldProcess(resolve(directory), JSON.parse(text) as ProcessRecord);
}

/** One process whose life doesn't depend on ours. */
export class HeldProcess {
  readonly #directory: string;
  readonly #record: ProcessRecord;
  readonly #child: ChildProcess | undefined;
  readonly #release = new AbortController();
  readonly #exit: Promise<ProcessExit>;
  /** What we noted ourselves: on a full disk there may be no file of it, or an empty one. */
  readonly #noted = new Map<Note, string>();

  constructor(directory: string, record: ProcessRecord, ours?: { child: ChildProcess; exit: Promise<ProcessExit> }) {
    this.#directory = directory;
    this.#record = record;
    this.#child = ours?.child;
    const released = new Promise<never>((_, reject) => {
      this.#release.signal.addEventListener('abort', () => reject(new ProcessReleasedError('Let go of.')));
    });
    this.#exit = Promise.race([this.#watch(ours?.exit), released]);
    this.#exit.catch(() => {});
  }

  /** The pid of the shell that holds the command: also the number of its process group and session. */
  get pid(): number {
    return this.#record.leader.pid;
  }

  /** The first process of its sandbox: parent of all the others in it that lost theirs. `undefined` without a sandbox. */
  get sandbox(): ProcessIdentity | undefined {
    const text = readText(join(this.#directory, 'sandbox.json'));
    return text === undefined ? undefined : (JSON.parse(text) as ProcessIdentity);
  }

  /** The directories of its cgroups, if it has any. */
  get cgroups(): string[] {
    return (readText(join(this.#directory, 'cgroups')) ?? '').split('\n').filter(Boolean);
  }

  /** What was noted by {@link exceed}. */
  get exceeded(): string | undefined {
    const sentence = this.#noteOf('exceeded');
    return sentence === '' ? 'It went beyond one of its limits' : sentence;
  }

  /** Notes for good which limit it went beyond, in a sentence. The first one counts. Throws nothing. */
  exceed(sentence: string): void {
    this.#note('exceeded', sentence);
  }

  /** How much it has written to stdout and stderr, in bytes. */
  get printed(): number {
    return ['stdout', 'stderr'].reduce((sum, name) => {
      return sum + (statSync(join(this.#directory, name), { throwIfNoEntry: false })?.size ?? 0);
    }, 0);
  }

  /** Whether {@link interrupt} was called, by us or by who held the process before us. */
  get interrupted(): boolean {
    return this.#noteOf('interrupted') !== undefined;
  }

  /** Whether {@link kill} was called, by us or by who held the process before us. */
  get killed(): boolean {
    return this.#noteOf('killed') !== undefined;
  }

  /**
   * Resolves when the command has ended: at once where it is our child, otherwise within 200 ms.
   *
   * @throws ProcessReleasedError after {@link release}
   */
  wait(): Promise<ProcessExit> {
    return this.#exit;
  }

  /**
   * Sends SIGINT to the command itself, once in its life: at a second one Terraform gives up without saving its state.
   *
   * @returns whether it was sent now
   */
  async interrupt(): Promise<boolean> {
    const target = await this.#target();
    if (target === undefined || !isAlive(target) || !this.#note('interrupted')) return false;
    return send(target.pid, 'SIGINT');
  }

  /** SIGKILL to the command and to everything that it started. What wasn't saved is lost. */
  async kill(): Promise<void> {
    this.#note('killed');
    await this.reap();
  }

  /**
   * Ends what is left of the process: its sandbox, its group and session, and what it started elsewhere (found by an environment
   * variable), and waits until they are gone. For after the exit: provisioners leave children behind. Without a sandbox, beyond
   * reach is a process that has both its own session and an emptied environment.
   *
   * @returns the pids of those that did not go within 5 s; usually none
   */
  async reap(): Promise<number[]> {
    const { leader, token } = this.#record;
    const { sandbox, cgroups } = this;
    if (sandbox && isAlive(sandbox)) send(sandbox.pid, 'SIGKILL');
    if (isAlive(leader) || leader.startTime === undefined) send(-leader.pid, 'SIGKILL');
    const deadline = performance.now() + REAP_PATIENCE;
    for (let pause = 2; ; pause = Math.min(pause * 2, 100)) {
      const left = await findProcesses(leader, `${MARKER}=${token}`);
      // It is dead only when the system has ended all that was in it.
      if (sandbox && isAlive(sandbox) && !left.includes(sandbox.pid)) left.push(sandbox.pid);
      if (left.length === 0) await removeCgroups(cgroups);
      if (left.length === 0 || performance.now() > deadline) return left;
      for (const pid of left) send(pid, 'SIGKILL');
      await sleep(pause);
    }
  }

  /** Lets go: {@link wait} and {@link output} end with an error, and our own process may end. The command goes on. */
  release(): void {
    this.#release.abort();
    this.#child?.unref();
  }

  /**
   * What the command writes to stdout, as it comes, up to its end.
   *
   * @param offset where to begin, in bytes
   */
  output(offset = 0): AsyncGenerator<Buffer, void> {
    return follow(join(this.#directory, 'stdout'), offset, this.#exit);
  }

  /**
   * The lines of {@link output}, as many at a time as there are.
   *
   * @param offset where to begin, in bytes: 0 or the `end` of a line
   */
  lines(offset = 0): AsyncGenerator<OutputLine[], void> {
    return splitLines(this.output(offset), offset);
  }

  /** The end of what the command has written to stderr. @param limit in bytes */
  async errorOutput(limit = 16_384): Promise<string> {
    const file = await open(join(this.#directory, 'stderr'), 'r');
    try {
      const { size } = await file.stat();
      const length = Math.min(size, limit);
      const { buffer } = await file.read(Buffer.alloc(length), 0, length, size - length);
      return buffer.toString('utf8');
    } finally {
      await file.close();
    }
  }

  async #watch(ours: Promise<ProcessExit> | undefined): Promise<ProcessExit> {
    const seen = await ours;
    // Our own child tells us, even where a full disk kept it from leaving its exit code.
    if (seen?.exitCode !== undefined) return this.#ended(seen.exitCode);
    for (;;) {
      const code = this.#exitCode();
      if (code !== undefined) return this.#ended(code);
      if (!isAlive(this.#record.leader)) {
        // The shell is gone: only the command itself may still live, if somebody killed just the shell.
        const target = this.#readTarget();
        if (target === undefined || !isAlive(target)) break;
      }
      if (this.#release.signal.aborted) break;
      await sleep(POLL);
    }
    const code = this.#exitCode();
    return code === undefined ? { exitCode: undefined, ...(seen?.signal && { signal: seen.signal }) } : describe(code);
  }

  /** Somebody may have killed just the sandbox's outer end: then that is what the exit code is of, and the command goes on. */
  async #ended(exitCode: number): Promise<ProcessExit> {
    const target = exitCode > 128 ? this.#readTarget() : undefined;
    while (target !== undefined && isAlive(target) && !this.#release.signal.aborted) await sleep(POLL);
    return describe(exitCode);
  }

  #exitCode(): number | undefined {
    const text = readText(join(this.#directory, 'exit'));
    return text?.endsWith('\n') ? Number.parseInt(text, 10) : undefined;
  }

  async #target(): Promise<ProcessIdentity | undefined> {
    for (;;) {
      const target = this.#readTarget();
      if (target !== undefined || !isAlive(this.#record.leader)) return target;
      await sleep(5);
    }
  }

  #readTarget(): ProcessIdentity | undefined {
    const text = readText(join(this.#directory, 'target'));
    if (!text?.endsWith('\n')) return undefined;
    const { scope } = this.#record.leader;
    const stat = parseStat(text);
    return stat ? { pid: stat.pid, startTime: stat.startTime, scope } : { pid: Number.parseInt(text, 10), scope };
  }

  #noteOf(name: Note): string | undefined {
    return this.#noted.get(name) ?? readText(join(this.#directory, name));
  }

  /**
   * Notes for us and for whoever holds the process after us what is about to be done to it. A note that can't be written keeps
   * nobody from doing it: people must be able to stop things also when the disk is full. What comes of such a note is mostly
   * an empty file, which says enough; where the disk has no room even for that, only we know.
   *
   * @returns false when that was noted before
   */
  #note(name: Note, text = `${new Date().toISOString()}\n`): boolean {
    if (this.#noted.has(name)) return false;
    try {
      writeFileSync(join(this.#directory, name), text, { flag: 'wx' });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    }
    this.#noted.set(name, text);
    return true;
  }
}

function openOutput(directory: string, name: string): number {
  const { O_WRONLY, O_CREAT, O_EXCL, O_APPEND, O_NOFOLLOW } = constants;
  try {
    return openSync(join(directory, name), O_WRONLY | O_CREAT | O_EXCL | O_APPEND | O_NOFOLLOW, 0o600);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    throw new ProcessExistsError(`${directory} has held a process before.`);
  }
}

function describe(exitCode: number): ProcessExit {
  const signal = Object.entries(system.signals).find(([, number]) => number === exitCode - 128)?.[0];
  return { exitCode, ...(signal !== undefined && { signal: signal as NodeJS.Signals }) };
}

function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch {
    return false; // gone already
  }
}

function writeAtomically(path: string, text: string): void {
  writeFileSync(`${path}.tmp`, text, { mode: 0o600 });
  renameSync(`${path}.tmp`, path);
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
