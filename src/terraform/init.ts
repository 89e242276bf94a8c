import { mkdir } from 'node:fs/promises';
import { withLock } from './lock.js';
import { identify, type ProcessIdentity } from './process-table.js';
import {
  emptyReport,
  type Failure,
  runCommand,
  type StageEnd,
  type StageOptions,
  type StageReport,
  type StageSignals,
} from './stage.js';

export type InitResult = StageReport & { outcome: 'initialised' | Failure };

/** How long an interrupted `init` may take to end, in ms. It waits for its git and its downloads, and has nothing to save. */
const INTERRUPT_PATIENCE = 5_000;

/**
 * `terraform init`: backend, modules, providers. Where runs share a provider cache (`TF_PLUGIN_CACHE_DIR` in the environment) one
 * `init` at a time may use it, among all processes: Terraform doesn't support more. The lock goes with Terraform's process, not
 * with ours. Syntax errors come as diagnostics from here.
 */
export async function init(given: StageOptions): Promise<InitResult> {
  const { signals, stop } = impatient(given.signals);
  try {
    return await initialise({ ...given, signals });
  } finally {
    stop();
  }
}

async function initialise(options: StageOptions): Promise<InitResult> {
  const args = ['init', '-json', '-input=false'];
  const cache = options.environment.TF_PLUGIN_CACHE_DIR;
  if (cache === undefined || options.adopt) return result(await runCommand(options, args));
  await mkdir(cache, { recursive: true });
  const { interrupt, kill, release } = options.signals ?? {};
  const waiting = AbortSignal.any([interrupt, kill, release].filter((signal) => signal !== undefined));
  let begun = false;
  try {
    return await withLock(
      `${cache}.lock`,
      async (lock) => {
        begun = true;
        let terraform: ProcessIdentity | undefined;
        const end = await runCommand(options, args, {
          started: async (process) => {
            terraform = identify(process.pid);
            await lock.share(terraform);
          },
        });
        if (end.outcome === 'released' && terraform) await lock.leaveTo(terraform);
        return result(end);
      },
      waiting,
    );
  } catch (error) {
    if (begun || !waiting.aborted) throw error;
    return { outcome: kill?.aborted ? 'killed' : interrupt?.aborted ? 'interrupted' : 'released', ...emptyReport() };
  }
}

/** Makes a kill of an interrupt that isn't followed: a module's server that hangs would keep the lock from everybody. */
function impatient(signals: StageSignals = {}): { signals: StageSignals; stop: () => void } {
  const kill = new AbortController();
  let timer: NodeJS.Timeout | undefined;
  const wait = () => {
    timer = setTimeout(() => kill.abort(), INTERRUPT_PATIENCE);
  };
  if (signals.interrupt?.aborted) wait();
  else signals.interrupt?.addEventListener('abort', wait, { once: true });
  const stop = () => {
    signals.interrupt?.removeEventListener('abort', wait);
    clearTimeout(timer);
  };
  return {
    signals: { ...signals, kill: signals.kill ? AbortSignal.any([signals.kill, kill.signal]) : kill.signal },
    stop,
  };
}

function result({ outcome, ...report }: StageEnd): InitResult {
  return { outcome: outcome === 'exited' ? 'initialised' : outcome, ...report };
}
