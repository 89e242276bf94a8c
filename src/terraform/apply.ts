import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { appliedCountsOf, type ChangeCounts } from './messages.js';
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
  const errored = join(workspaceDirectory, 'errored.tfstate');
  // A program that Terraform ran may have put a file there; what Terraform says in its own stream it says itself.
  const saysSo = report.diagnostics.some(({ detail }) => detail.includes('errored.tfstate'));
  const isLeft = saysSo && ((await lstat(errored).catch(() => undefined))?.isFile() ?? false);
  return {
    outcome: outcome === 'exited' ? 'applied' : outcome,
    ...report,
    stale: report.diagnostics.some(({ summary }) => STALE.test(summary)),
    ...(counts && { counts }),
    ...(isLeft && { erroredState: errored }),
  };
}

const STALE = /^(Saved plan is stale|Saved plan does not match the given state)/;
