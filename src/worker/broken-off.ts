import { join } from 'node:path';
import type { RunProgress } from '../db/schema.js';
import { leftByApply } from '../terraform/apply.js';
import { terraformEnvironment } from '../terraform/environment.js';
import { createMask, type Mask } from '../variables/masking.js';
import type { ActiveRun } from './active-run.js';
import { hasDied, settleAftermath } from './apply-aftermath.js';
import { hasAnotherOwner } from './directory-owner.js';
import { endProcesses, STOP_PATIENCE_MS, stageDirectory } from './left-behind.js';

/**
 * A stage broke off for a reason of ours, and its Terraform may go on: it is ended before the record says that the stage is
 * over, since then the next run of the workspace begins and this one's directory is removed. `said`: what the run's error
 * should say of it, in sentences. Throws when it can't be ended, and StateRevoked.
 */
export async function endBrokenOff(active: ActiveRun): Promise<{ said: string[]; progress?: RunProgress | undefined }> {
  const { run, stage, worker, signals, remarks } = active;
  const directory = worker.workDirectories.of(run);
  if (await hasAnotherOwner(directory.control, run)) return { said: [] };
  const applying = stage === 'apply' && active.begun;
  // What it saves at its end needs somebody who takes it. A backend of the repository's own takes it itself.
  if (applying && !worker.stateServer.serves(run.id)) {
    await worker.serveStateAgain(run, directory.control).catch(() => undefined);
  }
  const { lived, survivors } = await endProcesses(directory, { interrupt: STOP_PATIENCE_MS, kill: signals.kill });
  if (survivors.length > 0) throw new Error(`Processes that can not be ended: ${survivors.join(', ')}`);
  const said = lived ? ['Terraform was interrupted for that, and has ended.'] : [];
  if (!applying) return { said };
  const module = join(directory.checkout, run.settings.directory);
  const left = await leftByApply(stageDirectory(directory, run, 'apply'), module);
  if (!left) return { said };
  const around = { backend: "workspace's", mask: maskOf(active) };
  const { progress, remark } = await settleAftermath(active, { ...left, died: hasDied(left) }, around);
  if (remark !== undefined && !remarks.includes(remark)) remarks.push(remark);
  return { said: [...said, ...remarks], progress };
}

/** What was prepared may be what can't be read. */
function maskOf({ run, worker }: ActiveRun): Mask {
  const { home, tmp } = worker.workDirectories.of(run);
  const options = { runEnv: worker.config.runEnv, from: process.env, home, tmp, pluginCacheDir: '' };
  return createMask(terraformEnvironment(options).masked);
}
