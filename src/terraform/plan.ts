import { stat, writeFile } from 'node:fs/promises';
import { type PlanSummary, summarizePlan } from './plan-summary.js';
import { type ShownPlanFile, show } from './show.js';
import { type Failure, problem, runCommand, type StageOptions, type StageReport } from './stage.js';

export interface PlanOptions extends StageOptions {
  /** Where the plan is saved; an absolute path outside the checkout. It holds every value in clear. */
  planFile: string;
  /** Variable files, the later ones winning; they win over the repository's own. */
  variableFiles?: readonly string[];
  /** `false` for a speculative plan: it doesn't wait for the state, nor make others wait. Default: `true`. */
  lock?: boolean;
  /** Called when the plan is saved, before it is shown. */
  onPlanned?: () => void;
}

/** A plan that succeeded. */
export interface Planned extends ShownPlanFile {
  summary: PlanSummary;
}

export type PlanResult = StageReport &
  (
    | ({ outcome: 'changes' | 'no-changes' } & Planned)
    /** `partial` is what it had planned before the error, if Terraform saved that. */
    | { outcome: 'errored'; partial?: Planned }
    | { outcome: Exclude<Failure, 'errored'> }
  );

/**
 * `terraform plan -out`, then `show`. The plan's text for people is the log (`onText`) followed by the result's `text`.
 *
 * Whether there are changes is decided by the exit code together with the plan's own `errored` and `applyable`: Go's runtime also
 * exits with 2 when it crashes, and a plan that failed half-way may have been saved.
 */
export async function plan(options: PlanOptions): Promise<PlanResult> {
  const { planFile, variableFiles = [], lock = true, adopt } = options;
  // It has to be there: a sandbox shows Terraform this file and nothing around it.
  if (!adopt) await writeFile(planFile, '', { mode: 0o600 });
  const args = ['plan', '-json', '-input=false', '-detailed-exitcode', `-out=${planFile}`];
  if (!lock) args.push('-lock=false');
  args.push(...variableFiles.map((file) => `-var-file=${file}`));
  const { outcome, ...report } = await runCommand(options, args, { success: [0, 2] });
  if (outcome === 'errored') {
    const partial = await showSaved(options).catch(() => undefined);
    return { outcome, ...report, ...(partial && { partial }) };
  }
  if (outcome !== 'exited') return { outcome, ...report };

  options.onPlanned?.();
  try {
    const planned = await showSaved(options);
    if (planned === undefined) return failed(report, 'Terraform left no plan', `It ended with ${report.exitCode}.`);
    if (planned.plan.errored === true) return { outcome: 'errored', ...report, partial: planned };
    const changes = planned.plan.applyable ?? report.exitCode === 2;
    return { outcome: changes ? 'changes' : 'no-changes', ...report, ...planned };
  } catch (error) {
    const { kill, interrupt, release } = options.signals ?? {};
    if (kill?.aborted) return { outcome: 'killed', ...report };
    if (interrupt?.aborted) return { outcome: 'interrupted', ...report };
    if (release?.aborted) return { outcome: 'released', ...report };
    return failed(report, 'The plan could not be read', (error as Error).message);
  }
}

async function showSaved(options: PlanOptions): Promise<Planned | undefined> {
  const saved = await stat(options.planFile).catch(() => undefined);
  if (saved === undefined || saved.size === 0) return undefined;
  const shown = await show(options, options.planFile);
  return { ...shown, summary: summarizePlan(shown.plan) };
}

function failed(report: StageReport, summary: string, detail: string): PlanResult {
  return { outcome: 'errored', ...report, diagnostics: [...report.diagnostics, problem(summary, detail)] };
}
