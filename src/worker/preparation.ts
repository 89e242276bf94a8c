import { join } from 'node:path';
import type { Run, RunDiagnostic } from '../db/schema.js';
import { checkBackend, clearLeftovers, detectBackend, writeBackendOverride } from '../terraform/backend.js';
import { terraformEnvironment } from '../terraform/environment.js';
import { init } from '../terraform/init.js';
import type { Terraform } from '../terraform/install.js';
import type { StageOptions } from '../terraform/stage.js';
import { createMask, type Mask } from '../variables/masking.js';
import type { ActiveRun } from './active-run.js';
import { RunFailure } from './failure.js';
import { stageDirectory } from './left-behind.js';
import { OutputLog } from './output-log.js';
import type { WorkDirectory } from './work-directory.js';

/** A run's checkout, ready for Terraform. */
export interface Prepared {
  terraform: Terraform;
  directory: WorkDirectory;
  /** The root module in the checkout. */
  module: string;
  environment: Record<string, string>;
  mask: Mask;
  log: OutputLog;
  /** The type of a backend of the repository's own; undefined where Signalbox keeps the state. */
  ownBackend: string | undefined;
  /** Hash of the commit's files. */
  tree: string;
  /** What must never be shown, as `createMask` takes it. */
  masked: string[];
  /** What the log begins with, before Terraform's own text. */
  preamble: string;
  /** The repository brings a state file, which is left out. */
  stateLeftOut: boolean;
}

/** Checks out the run's commit and brings everything in place that Terraform needs. Throws what `describeFailure` knows. */
export async function prepare(active: ActiveRun): Promise<Prepared> {
  const { run, worker } = active;
  const terraform = await worker.terraform();
  const mirror = await worker.patience.fetchCommit(active);
  active.throwIfStopped();

  const directory = await createDirectory(active);
  const questions = Promise.all([
    mirror.tree(run.commit_sha, '.'),
    mirror.hasDirectory(run.commit_sha, run.settings.directory),
  ]);
  // Awaited only after the checkout: nothing may be written any more when this function throws.
  questions.catch(() => undefined);
  const { warnings } = await mirror.checkout(run.commit_sha, directory.checkout);
  const module = join(directory.checkout, run.settings.directory);
  const [tree, isThere] = await questions;
  if (!isThere) {
    throw new RunFailure(`There is no directory ${run.settings.directory} at commit ${run.commit_sha.slice(0, 7)}.`);
  }
  const leftovers = await clearLeftovers(module, directory.checkout);
  const backend = await detectBackend(module, directory.checkout);
  const ownBackend = backend.kind === 'own' ? backend.type : undefined;
  // A file that can't be parsed is left to `init`, which says what is wrong and where.
  if (backend.kind === 'none') await writeBackendOverride(module, directory.checkout);
  const state = ownBackend
    ? undefined
    : await worker.untilRecorded(() =>
        worker.stateServer.register({ run, directory: directory.control, readOnly: run.speculative }),
      );

  const { environment, masked } = terraformEnvironment({
    runEnv: run.speculative ? worker.config.planEnv : worker.config.runEnv,
    from: process.env,
    home: directory.home,
    tmp: directory.tmp,
    pluginCacheDir: join(worker.config.dataDirectory, 'providers'),
    ...(state ? { state } : {}),
  });
  const mask = createMask(masked);
  active.throwIfStopped();
  const log = new OutputLog(worker.db, run, active.stage, mask);
  const preamble = [...warnings, ...leftovers.map(describeLeftover)].map((warning) => `Warning: ${warning}\n`).join('');
  log.append(preamble);
  active.passed('prepared');
  const stateLeftOut = leftovers.includes('terraform.tfstate');
  return { terraform, directory, module, environment, mask, masked, log, preamble, ownBackend, tree, stateLeftOut };
}

/** A plan holds absolute paths, so its apply takes place where it was made, whichever worker that was on. */
async function createDirectory({ run, worker }: ActiveRun): Promise<WorkDirectory> {
  let directory: WorkDirectory;
  try {
    directory = await worker.workDirectories.create(run);
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (run.work_directory === null || !['EACCES', 'EPERM', 'EROFS', 'ENOENT'].includes(code)) throw error;
    throw new RunFailure(
      `The plan was made in ${run.work_directory} on another worker, and ${worker.config.workerName} can't write there. Give all workers the same DATA_DIR, then plan again.`,
    );
  }
  if (run.work_directory === null) {
    await worker.untilRecorded(() =>
      worker.db.updateTable('runs').set({ work_directory: directory.root }).where('id', '=', run.id).execute(),
    );
  }
  return directory;
}

function describeLeftover(name: string): string {
  return `${name} of the repository is left out: a workspace's state is kept by Signalbox.`;
}

/**
 * `terraform init` in a prepared checkout, and a look at where the state would really go. What it prints is the same in
 * every run, and of interest only when something is wrong.
 */
export async function initialise(active: ActiveRun, prepared: Prepared): Promise<Awaited<ReturnType<typeof init>>> {
  let text = '';
  const result = await init({
    ...stageOptions(active, prepared, `${active.stage}-init`),
    onText: (more) => {
      text += more;
    },
  });
  active.passed('init');
  if (result.outcome !== 'initialised' || result.diagnostics.length > 0) {
    prepared.log.append(text);
    prepared.preamble += text;
  }
  if (result.outcome === 'initialised' && prepared.ownBackend === undefined) await checkBackend(prepared.module);
  return result;
}

/** The only thing in the control directory that Terraform sees. */
export function planFileOf({ directory }: Pick<Prepared, 'directory'>): string {
  return join(directory.control, 'plan');
}

/** `name` is unlike that of any other process of this attempt. */
export function stageOptions(active: ActiveRun, prepared: Prepared, name: string): StageOptions {
  const kind = name.endsWith('init') ? 'init' : active.stage;
  return {
    ...active.worker.confinement.of({ ...prepared, kind, planFile: planFileOf(prepared) }),
    terraform: prepared.terraform,
    workspaceDirectory: prepared.module,
    controlDirectory: stageDirectory(prepared.directory, active.run, name),
    environment: prepared.environment,
    onText: (text) => prepared.log.append(text),
    signals: active.signals,
  };
}

/** The first error in one line, for the title of a check run. */
export function firstError(diagnostics: RunDiagnostic[], otherwise: string): string {
  return diagnostics.find(({ severity }) => severity === 'error')?.summary ?? otherwise;
}

/** What the workspace's state depends on: where it is kept, and whose it is. */
export function stateIdentity(run: Run, { ownBackend }: Pick<Prepared, 'ownBackend'>): string {
  return `${ownBackend ?? 'signalbox'}:${run.settings.directory}`;
}
