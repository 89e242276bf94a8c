import { mkdir } from 'node:fs/promises';
import { withLock } from './lock.js';
import { identify, type ProcessIdentity } from './process-table.js';
import { emptyReport, type Failure, runCommand, type StageEnd, type StageOptions, type StageReport } from './stage.js';

export type InitResult = StageReport & { outcome: 'initialised' | Failure };

/**
 * `terraform init`: backend, modules, providers. Where runs share a provider cache (`TF_PLUGIN_CACHE_DIR` in the environment) one
 * `init` at a time may use it, among all processes: Terraform doesn't support more. The lock goes with Terraform's process, not
 * with ours. Syntax errors come as diagnostics from here.
 */
export async function init(options: StageOptions): Promise<InitResult> {
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

function result({ outcome, ...report }: StageEnd): InitResult {
  return { outcome: outcome === 'exited' ? 'initialised' : outcome, ...report };
}
