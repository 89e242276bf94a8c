import { setTimeout as sleep } from 'node:timers/promises';
import type { Diagnostic } from './diagnostic.js';
import type { Terraform } from './install.js';
import { type Limits, OutputBudget, watchLimits } from './limits.js';
import { diagnosticOf, type Message, parseMessage, renderMessage, saysInterrupted } from './messages.js';
import {
  adoptProcess,
  type Enclosure,
  type HeldProcess,
  type ProcessExit,
  ProcessReleasedError,
  startProcess,
} from './process.js';
import { type Progress, ProgressTracker } from './progress.js';

/** What every stage is given. */
export interface StageOptions {
  terraform: Terraform;
  /** The root module in its checkout: where Terraform runs. */
  workspaceDirectory: string;
  /** Where the stage's process is held; each stage, and each attempt at it, has its own. */
  controlDirectory: string;
  /** From `terraformEnvironment`. */
  environment: Readonly<Record<string, string>>;
  /** Makes what a process is put in: a sandbox, a cgroup. Called for each process. */
  enclose?: () => Enclosure;
  limits?: Limits;
  /** After a restart: takes up the process that `controlDirectory` holds, and starts none. */
  adopt?: boolean;
  /** Up to where `onText` has already had it, as it was told then; diagnostics and progress come from the beginning always. */
  resumeFrom?: number;
  /** The log as people read it, with colour, whole lines, as it comes. `end` says up to where, for `resumeFrom`. */
  onText?: (text: string, end: number) => void | Promise<void>;
  onDiagnostic?: (diagnostic: Diagnostic) => void;
  onProgress?: (progress: Progress) => void;
  signals?: StageSignals;
}

/** What may happen to a stage from outside. */
export interface StageSignals {
  /** Cancel: SIGINT to Terraform, which ends when it can and saves its state. */
  interrupt?: AbortSignal;
  /** Force-cancel: SIGKILL to all of it. */
  kill?: AbortSignal;
  /** We are going away: Terraform goes on without us, to be adopted later. */
  release?: AbortSignal;
}

/** What every stage tells, whatever its outcome. */
export interface StageReport {
  /** Without exact repetitions. */
  diagnostics: Diagnostic[];
  progress: Progress;
  /** As a shell reports it; `undefined` when the process left none, or hasn't ended. */
  exitCode: number | undefined;
  signal?: NodeJS.Signals;
  /** How far the output was read, in bytes. */
  end: number;
  /** Pids of processes of this stage that could not be ended; usually none. */
  survivors: number[];
}

/**
 * How a stage can end without a result of its own.
 * - `errored`: Terraform says so; there is at least one error among the diagnostics
 * - `interrupted`: it was asked to stop, and did
 * - `killed`: by force-cancel
 * - `lost`: it died of something else, or was never begun: what it had done by then is for the caller to find out
 * - `released`: it goes on without us
 */
export type Failure = 'errored' | 'interrupted' | 'killed' | 'lost' | 'released';

export type StageEnd = StageReport & { outcome: 'exited' | Failure };

/** How soon a stop that failed is tried again, in ms. */
const RETRY_MS = 1_000;

const NOTHING: Progress = { planned: 0, applied: 0, failed: 0, inFlight: [], done: [] };

/**
 * Runs one Terraform command with a `-json` stream, or takes up one that runs, to its end; then ends whatever it left behind.
 *
 * @param success exit codes that are no failure, beside 0
 * @param started is told of the process as soon as there is one
 * @param seen is shown each message
 * @throws ProcessExistsError when asked to start where a process was held before; what `onText` throws, and then the command
 *   goes on and can be adopted
 */
export async function runCommand(
  options: StageOptions,
  args: readonly string[],
  {
    success = [0],
    started,
    seen,
  }: {
    success?: readonly number[];
    started?: (process: HeldProcess) => Promise<void>;
    seen?: (message: Message) => void;
  } = {},
): Promise<StageEnd> {
  const { signals = {} } = options;
  const early = options.adopt ? undefined : stoppedBefore(signals);
  if (early !== undefined) return { outcome: early, ...emptyReport() };
  const process = options.adopt ? adoptProcess(options.controlDirectory) : start(options, args);
  if (process === undefined) {
    const report = emptyReport();
    tell(report, problem('Terraform was never started', 'There is no trace of its process.'), options);
    return { outcome: 'lost', ...report };
  }
  const unhook = hook(process, signals);
  const endWatch = options.limits && watchLimits(process, options.limits);
  try {
    await started?.(process);
    return await attend(process, options, success, seen, endWatch);
  } catch (error) {
    process.release();
    throw error;
  } finally {
    unhook();
    await endWatch?.();
  }
}

function start(
  { terraform, workspaceDirectory, controlDirectory, environment, enclose }: StageOptions,
  args: readonly string[],
) {
  return startProcess({
    directory: controlDirectory,
    command: [terraform.path, ...args],
    cwd: workspaceDirectory,
    env: environment,
    ...(enclose && { enclosure: enclose() }),
  });
}

async function attend(
  process: HeldProcess,
  options: StageOptions,
  success: readonly number[],
  seen: ((message: Message) => void) | undefined,
  endWatch: (() => Promise<void>) | undefined,
): Promise<StageEnd> {
  const report = emptyReport();
  const tracker = new ProgressTracker();
  const budget = new OutputBudget(options.limits?.output ?? Number.POSITIVE_INFINITY);
  let interrupted = false;
  let exit: ProcessExit;
  try {
    for await (const lines of process.lines()) {
      let text = '';
      for (const line of lines) {
        const message = parseMessage(line.dropped > 0 ? shortened(line.text, line.dropped) : line.text);
        interrupted ||= saysInterrupted(message);
        if (tracker.see(message)) {
          report.progress = tracker.progress;
          options.onProgress?.(report.progress);
        }
        const diagnostic = diagnosticOf(message);
        if (diagnostic) tell(report, diagnostic, options);
        seen?.(message);
        const kept = budget.take(renderMessage(message) ?? '');
        if (line.end > (options.resumeFrom ?? 0)) text += kept;
        report.end = line.end;
      }
      if (text !== '') await options.onText?.(text, report.end);
    }
    if (budget.remark !== '') await options.onText?.(budget.remark, report.end);
    exit = await process.wait();
    await endWatch?.();
  } catch (error) {
    if (error instanceof ProcessReleasedError) return { outcome: 'released', ...report };
    throw error;
  }
  report.exitCode = exit.exitCode;
  if (exit.signal !== undefined) report.signal = exit.signal;
  report.survivors = await process.reap();
  const { exceeded } = process;
  const outcome = judge(exit, success, {
    killed: process.killed,
    interrupted: interrupted || process.interrupted,
    limited: exceeded !== undefined && !options.signals?.interrupt?.aborted && !options.signals?.kill?.aborted,
  });
  if (exceeded !== undefined) {
    // In front: it is why the others are there.
    const severity = outcome === 'exited' ? 'warning' : 'error';
    report.diagnostics.unshift({ severity, summary: exceeded, detail: 'Terraform was stopped for that.' });
    options.onDiagnostic?.(report.diagnostics[0] as Diagnostic);
  }
  if (outcome === 'errored' && !report.diagnostics.some(({ severity }) => severity === 'error')) {
    const said = (await process.errorOutput()).trim();
    tell(report, problem(`Terraform failed with exit code ${exit.exitCode}`, said), options);
  }
  if (outcome === 'lost') {
    const how =
      exit.signal === undefined ? 'It ended without leaving an exit code.' : `It was ended by ${exit.signal}.`;
    tell(report, problem('Terraform died', how), options);
  }
  return { outcome, ...report };
}

function judge(
  { exitCode, signal }: ProcessExit,
  success: readonly number[],
  { killed, interrupted, limited }: { killed: boolean; interrupted: boolean; limited: boolean },
): StageEnd['outcome'] {
  if (exitCode !== undefined && success.includes(exitCode)) return 'exited';
  if (limited) return 'errored';
  if (killed) return 'killed';
  if (exitCode === undefined) return 'lost';
  if (signal !== undefined)
    return interrupted && (signal === 'SIGINT' || signal === 'SIGTERM') ? 'interrupted' : 'lost';
  return interrupted ? 'interrupted' : 'errored';
}

function stoppedBefore({ interrupt, kill, release }: StageSignals): Failure | undefined {
  if (kill?.aborted) return 'killed';
  if (interrupt?.aborted) return 'interrupted';
  return release?.aborted ? 'released' : undefined;
}

/** Ties the signals to the process, also those that have come already. */
function hook(process: HeldProcess, { interrupt, kill, release }: StageSignals): () => void {
  const unhooked = new AbortController();
  const ties: [AbortSignal | undefined, () => void][] = [
    [interrupt, () => void insist(() => process.interrupt(), unhooked.signal)],
    [kill, () => void insist(() => process.kill(), unhooked.signal)],
    [release, () => process.release()],
  ];
  for (const [signal, act] of ties) {
    if (signal?.aborted) act();
    else signal?.addEventListener('abort', act, { once: true });
  }
  return () => {
    unhooked.abort();
    for (const [signal, act] of ties) signal?.removeEventListener('abort', act);
  };
}

/** A signal comes once: what fails at that moment, for want of file descriptors for instance, is tried again. */
async function insist(act: () => Promise<unknown>, end: AbortSignal): Promise<void> {
  while (!end.aborted) {
    try {
      await act();
      return;
    } catch {
      await sleep(RETRY_MS, undefined, { signal: end }).catch(() => {});
    }
  }
}

function tell(report: StageReport, diagnostic: Diagnostic, { onDiagnostic }: StageOptions): void {
  const same = JSON.stringify(diagnostic);
  if (report.diagnostics.some((other) => JSON.stringify(other) === same)) return;
  report.diagnostics.push(diagnostic);
  onDiagnostic?.(diagnostic);
}

/** A diagnostic of our own. */
export function problem(summary: string, detail: string): Diagnostic {
  return { severity: 'error', summary, detail };
}

export function emptyReport(): StageReport {
  return { diagnostics: [], progress: NOTHING, exitCode: undefined, end: 0, survivors: [] };
}

function shortened(text: string, dropped: number): string {
  return `${text.slice(0, 1000)}… (${text.length + dropped - 1000} more characters in this line)`;
}
