import type { Config } from '../config.js';
import type { Log } from '../log.js';
import { Cgroups, CgroupsUnavailableError } from '../terraform/cgroup.js';
import type { Terraform } from '../terraform/install.js';
import { describeBytes, type RunLimits } from '../terraform/limits.js';
import { Sandbox, SandboxUnavailableError } from '../terraform/sandbox.js';
import type { StageOptions } from '../terraform/stage.js';
import type { WorkDirectory } from './work-directory.js';

/** SANDBOX=required, and there is none. The message is for stderr. */
export class SandboxRequiredError extends Error {
  override name = 'SandboxRequiredError';
}

/** What a stage's Terraform is put in. */
export interface ConfinedStage {
  kind: 'init' | 'plan' | 'apply';
  terraform: Terraform;
  directory: WorkDirectory;
  /** The root module in the checkout. */
  module: string;
  /** The plan's file: the only thing in the control directory that Terraform gets to see. */
  planFile: string;
  environment: Readonly<Record<string, string>>;
}

/** More tasks than the limit, so that we, who can say what happened, see it first. */
const PROCESS_MARGIN = 1.25;
/** How long Terraform may take to end when it is stopped for a limit, in ms. Only an apply has something to save. */
const PATIENCE = { init: 5_000, plan: 10_000, apply: 5 * 60_000 };

/** Sandbox and limits, as far as this system has them. */
export class Confinement {
  readonly #sandbox: Sandbox | undefined;
  readonly #cgroups: Cgroups | undefined;
  readonly #limits: RunLimits;

  constructor(
    limits: RunLimits,
    { sandbox, cgroups }: { sandbox?: Sandbox | undefined; cgroups?: Cgroups | undefined },
  ) {
    this.#limits = limits;
    this.#sandbox = sandbox;
    this.#cgroups = cgroups;
  }

  /** For a stage: the same directories and the same paths with a sandbox as without. */
  of({
    kind,
    terraform,
    directory,
    module,
    planFile,
    environment,
  }: ConfinedStage): Pick<StageOptions, 'enclose' | 'limits'> {
    const { checkout, home, tmp } = directory;
    const cache = environment.TF_PLUGIN_CACHE_DIR === undefined ? [] : [environment.TF_PLUGIN_CACHE_DIR];
    const isInit = kind === 'init';
    const sandbox = this.#sandbox?.around({
      cwd: module,
      writable: [checkout, home, tmp, ...(isInit ? cache : []), ...(kind === 'plan' ? [planFile] : [])],
      readable: [terraform.path, ...(isInit ? [] : cache), ...(kind === 'apply' ? [planFile] : [])],
      environment,
      limits: { processes: Math.ceil(this.#limits.processes * PROCESS_MARGIN), fileBytes: this.#limits.disk },
    });
    const cgroups = this.#cgroups;
    return {
      enclose: () => ({ ...(sandbox && { sandbox }), ...(cgroups && { cgroups: cgroups.create(this.#limits) }) }),
      limits: { ...this.#limits, places: [checkout, home, tmp, planFile], patience: PATIENCE[kind] },
    };
  }
}

/**
 * Finds out what this system has, and says so in the log.
 *
 * @throws SandboxRequiredError
 */
export async function openConfinement(
  config: Pick<Config, 'sandbox' | 'sandboxPaths' | 'dataDirectory' | 'privateKeyPath' | 'limits'>,
  path: string,
  log: Log,
): Promise<Confinement> {
  const sandbox = await openSandbox(config, path, log);
  const cgroups = await Cgroups.open().catch((error: unknown) => {
    if (error instanceof CgroupsUnavailableError) return error;
    throw error;
  });
  const { processes, memory, disk, output } = config.limits;
  const used = { processes, memory: describeBytes(memory), disk: describeBytes(disk), output: describeBytes(output) };
  const watched = "the worker's eye on the run's directories and its output";
  if (cgroups instanceof Cgroups) {
    log.info(used, `Limits of a run are kept by cgroups, and by ${watched}`);
    return new Confinement(config.limits, { sandbox, cgroups });
  }
  if (sandbox) {
    const isRoot = process.getuid?.() === 0;
    const means = isRoot ? 'counting' : 'the limit of processes per user namespace, by counting';
    log.info(used, `Limits of a run are kept by ${means}, and by ${watched}; not by cgroups: ${cgroups.message}`);
  } else {
    log.warn(
      used,
      `RUN_PROCESSES and RUN_MEMORY are not kept: there is no sandbox, and ${cgroups.message}. The others are, by ${watched}`,
    );
  }
  return new Confinement(config.limits, { sandbox });
}

async function openSandbox(
  { sandbox, sandboxPaths, dataDirectory, privateKeyPath }: Parameters<typeof openConfinement>[0],
  path: string,
  log: Log,
): Promise<Sandbox | undefined> {
  if (sandbox === 'off') {
    log.warn('SANDBOX=off: whoever can push a branch can read everything that this process can');
    return undefined;
  }
  try {
    const secretFiles = privateKeyPath === undefined ? [] : [privateKeyPath];
    const opened = await Sandbox.open({ path, dataDirectory, secretFiles, paths: sandboxPaths });
    log.info('Terraform runs in a sandbox');
    return opened;
  } catch (error) {
    if (!(error instanceof SandboxUnavailableError)) throw error;
    const help = 'Install bubblewrap 0.4 or newer, and allow user namespaces: see Security in the README.';
    if (sandbox === 'required') {
      throw new SandboxRequiredError(`SANDBOX is required, but there is none here: ${error.message}. ${help}`);
    }
    log.warn(
      `Terraform runs WITHOUT a sandbox: ${error.message}. Whoever can push a branch can read everything that this process can. ${help}`,
    );
    return undefined;
  }
}
