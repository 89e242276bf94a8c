import { mkdir, mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { stripColour } from './colour.js';
import { OutputBudget, watchLimits } from './limits.js';
import type { ShownPlan } from './plan-summary.js';
import { adoptProcess, startProcess } from './process.js';
import type { StageOptions } from './stage.js';

/** A plan file's content. */
export interface ShownPlanFile {
  /** `show -json`, with sensitive values in clear. */
  plan: ShownPlan;
  /** The same as Terraform wrote it. */
  json: string;
  /** The plan as people read it, with colour; sensitive values are hidden by Terraform. */
  text: string;
}

/** `terraform show` failed. */
export class ShowError extends Error {
  override name = 'ShowError';
}

/** More is not read into memory, in bytes. */
const LARGEST = 256 * 1024 * 1024;

/**
 * Reads a plan file by `terraform show`, as JSON and as text at once (that takes 54 ms where one takes 39). Nothing of it stays in
 * the control directory. What a predecessor of ours left running there is ended.
 *
 * @throws ShowError with what Terraform said, or when it was killed
 */
export async function show(options: StageOptions, planFile: string): Promise<ShownPlanFile> {
  await mkdir(options.controlDirectory, { recursive: true, mode: 0o700 });
  await endLeftovers(options.controlDirectory);
  const [json, text] = await Promise.all([
    capture(options, ['show', '-json', planFile]),
    capture(options, ['show', planFile]),
  ]);
  const budget = new OutputBudget(options.limits?.output ?? Number.POSITIVE_INFINITY);
  return { plan: JSON.parse(json) as ShownPlan, json, text: budget.take(text) + budget.remark };
}

async function capture(options: StageOptions, args: readonly string[]): Promise<string> {
  const { terraform, workspaceDirectory, environment, enclose, limits, signals, controlDirectory } = options;
  const directory = await mkdtemp(join(controlDirectory, 'show-'));
  const process = startProcess({
    directory,
    command: [terraform.path, ...args],
    cwd: workspaceDirectory,
    env: environment,
    ...(enclose && { enclosure: enclose() }),
  });
  const endWatch = limits && watchLimits(process, limits);
  const stop = () => void process.kill().catch(() => {});
  const stops = [signals?.interrupt, signals?.kill, signals?.release].filter((signal) => signal !== undefined);
  for (const signal of stops) signal.addEventListener('abort', stop);
  if (stops.some((signal) => signal.aborted)) stop();
  try {
    const { exitCode } = await process.wait();
    await endWatch?.();
    await process.reap();
    if (process.exceeded !== undefined) throw new ShowError(`${process.exceeded}.`);
    if (exitCode !== 0) {
      const said = stripColour(await process.errorOutput()).trim();
      throw new ShowError(said === '' ? `terraform show ended with exit code ${exitCode}.` : said);
    }
    const path = join(directory, 'stdout');
    const { size } = await stat(path);
    if (size > LARGEST) throw new ShowError(`The plan is too large to be shown (${size} bytes).`);
    return await readFile(path, 'utf8');
  } finally {
    for (const signal of stops) signal.removeEventListener('abort', stop);
    await endWatch?.();
    await rm(directory, { recursive: true, force: true });
  }
}

async function endLeftovers(controlDirectory: string): Promise<void> {
  for (const name of await readdir(controlDirectory)) {
    if (!name.startsWith('show-')) continue;
    const directory = join(controlDirectory, name);
    const process = adoptProcess(directory);
    await process?.reap();
    process?.release();
    await rm(directory, { recursive: true, force: true });
  }
}
