import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Diagnostic } from './diagnostic.js';
import { appliedCountsOf, type ChangeCounts, diagnosticOf, parseMessage } from './messages.js';
import { adoptProcess, type ProcessExit } from './process.js';
import { type Progress, ProgressTracker } from './progress.js';
import { type Failure, runCommand, type StageOptions, type StageReport } from './stage.js';

export interface ApplyOptions extends StageOptions {
  planFile: string;
  /** Only for ephemeral variables: every other value is in the plan, and one that differs would be printed in clear. */
  variableFiles?: readonly string[];
}

export interface ApplyReport extends StageReport {
  /** What Terraform says at its end that it did. */
  counts?: ChangeCounts;
  /** The state has changed since the plan was made: nothing was applied. */
  stale: boolean;
  /** The path of a state that Terraform could not hand over and left behind. */
  erroredState?: string;
}

export type ApplyResult = ApplyReport & { outcome: 'applied' | Failure };

/**
 * `terraform apply` of a saved plan. It is never started twice in one control directory.
 *
 * `erroredState` presumes that `clearLeftovers` removed what the repository brought under that name.
 */
export async function apply(options: ApplyOptions): Promise<ApplyResult> {
  const { planFile, variableFiles = [], workspaceDirectory } = options;
  const args = ['apply', '-json', '-input=false', ...variableFiles.map((file) => `-var-file=${file}`), planFile];
  let counts: ChangeCounts | undefined;
  const { outcome, ...report } = await runCommand(options, args, {
    seen: (message) => {
      counts = appliedCountsOf(message) ?? counts;
    },
  });
  const erroredState = await erroredStateOf(workspaceDirectory, report.diagnostics);
  return {
    outcome: outcome === 'exited' ? 'applied' : outcome,
    ...report,
    stale: report.diagnostics.some(({ summary }) => STALE.test(summary)),
    ...(counts && { counts }),
    ...(erroredState !== undefined && { erroredState }),
  };
}

/** What can be told of an apply afterwards by whoever did not follow it. */
export interface LeftByApply extends ProcessExit {
  progress: Progress;
  erroredState?: string;
}

/** @returns `undefined` where none was ever begun in this control directory. Waits for one that still runs. */
export async function leftByApply(
  controlDirectory: string,
  workspaceDirectory: string,
): Promise<LeftByApply | undefined> {
  const process = adoptProcess(controlDirectory);
  if (!process) return undefined;
  const tracker = new ProgressTracker();
  const diagnostics: Diagnostic[] = [];
  for await (const lines of process.lines()) {
    for (const message of lines.map(({ text }) => parseMessage(text))) {
      tracker.see(message);
      const diagnostic = diagnosticOf(message);
      if (diagnostic) diagnostics.push(diagnostic);
    }
  }
  const erroredState = await erroredStateOf(workspaceDirectory, diagnostics);
  const exit = await process.wait();
  return { ...exit, progress: tracker.progress, ...(erroredState !== undefined && { erroredState }) };
}

/** A program that Terraform ran may have put a file there; what Terraform says in its own stream it says itself. */
async function erroredStateOf(directory: string, diagnostics: readonly Diagnostic[]): Promise<string | undefined> {
  if (!diagnostics.some(({ detail }) => detail.includes('errored.tfstate'))) return undefined;
  const path = join(directory, 'errored.tfstate');
  const isFile = (await lstat(path).catch(() => undefined))?.isFile() ?? false;
  return isFile ? path : undefined;
}

const STALE = /^(Saved plan is stale|Saved plan does not match the given state)/;
