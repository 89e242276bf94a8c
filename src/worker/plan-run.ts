import { readFile } from 'node:fs/promises';
import type { Run } from '../db/schema.js';
import { diePlan, failPlan, finishCanceled, finishPlan } from '../runs/outcome.js';
import { differences, type PlanParts, reviewedPlan } from '../runs/reviewed-plan.js';
import { fingerprintResolved } from '../terraform/modules.js';
import { type PlanResult, plan } from '../terraform/plan.js';
import { withMasked } from '../terraform/plan-view.js';
import type { Mask } from '../variables/masking.js';
import type { ActiveRun } from './active-run.js';
import { endProcesses, stageDirectory, wasBegun } from './left-behind.js';
import {
  firstError,
  initialise,
  type Prepared,
  planFileOf,
  prepare,
  stageOptions,
  stateIdentity,
} from './preparation.js';
import { keepPrepared, readPrepared } from './prepared-record.js';
import { recordDiagnostics } from './recorded-diagnostics.js';
import { type Manifest, manifestOf, packWorkFiles } from './work-files.js';

/** A plan that an earlier process of this worker had begun can't be taken up: it is made again. */
export class PlanDied extends Error {
  override name = 'PlanDied';
}

/**
 * The plan stage of a claimed run: check out, init, plan, show, and into the record. Yields the run as it is afterwards
 * and its checkout, in which an apply may follow at once. Throws what `describeFailure` knows, and PlanDied.
 */
export async function planRun(active: ActiveRun): Promise<{ run: Run; prepared: Prepared }> {
  if (active.adopted) return adoptPlan(active);
  const prepared = await prepare(active);
  return logged(prepared, async () => {
    const manifest = await manifestOf(prepared.directory.checkout);
    const initialised = await initialise(active, prepared);
    if (initialised.outcome !== 'initialised') return endPlan(active, prepared, initialised);
    await keepPrepared(active, prepared, manifest);
    return runPlan(active, prepared, manifest);
  });
}

/** Takes up a plan that runs, or has ended while nobody looked. */
async function adoptPlan(active: ActiveRun): Promise<{ run: Run; prepared: Prepared }> {
  const { run, worker } = active;
  const directory = worker.workDirectories.of(run);
  const kept = await readPrepared(active).catch(() => undefined);
  if (!kept || !(await wasBegun(stageDirectory(directory, run, 'plan')))) {
    await endProcesses(directory);
    throw new PlanDied('Its worker died before Terraform planned.');
  }
  if (kept.prepared.ownBackend === undefined) await worker.serveStateAgain(run, directory.control);
  return logged(kept.prepared, () => runPlan(active, kept.prepared, kept.manifest));
}

async function runPlan(active: ActiveRun, prepared: Prepared, manifest: Manifest): Promise<Run> {
  const planned = await plan({
    ...stageOptions(active, prepared, 'plan'),
    planFile: planFileOf(prepared),
    lock: !active.run.speculative,
    adopt: active.adopted,
    onPlanned: () => active.passed('plan'),
  });
  active.passed('show');
  if (planned.outcome !== 'changes' && planned.outcome !== 'no-changes') return endPlan(active, prepared, planned);
  prepared.log.append(planned.text);
  await prepared.log.end();
  return keepPlan(active, prepared, manifest, planned);
}

async function logged(prepared: Prepared, work: () => Promise<Run>): Promise<{ run: Run; prepared: Prepared }> {
  try {
    return { run: await work(), prepared };
  } finally {
    await prepared.log.end();
  }
}

type Planned = Extract<PlanResult, { outcome: 'changes' | 'no-changes' }>;

async function keepPlan(
  { run, worker }: ActiveRun,
  prepared: Prepared,
  manifest: Manifest,
  planned: Planned,
): Promise<Run> {
  const { db, encryption } = worker;
  const [planFile, workFiles, resolved] = await Promise.all([
    readFile(planFileOf(prepared)),
    packWorkFiles(prepared.directory.checkout, manifest),
    fingerprintResolved(prepared.module),
  ]);
  const key = encryption.deriveKey('reviewed plans');
  const reviewed = reviewedPlan({
    plan: planned.plan,
    moduleHashes: { ...resolved.modules, '.': prepared.tree },
    lockFileHash: resolved.lockFile,
    variables: {},
    workingDirectory: prepared.directory.checkout,
    key,
  });
  const parts = hideAddresses(reviewed.parts, prepared.mask);
  const { resources: _, ...summary } = planned.summary;
  return worker.untilRecorded(() =>
    finishPlan(db, run, {
      summary,
      diagnostics: recordDiagnostics(run, prepared, planned.diagnostics),
      changes: planned.outcome === 'changes',
      identity: stateIdentity(run, prepared),
      stateLeftOut: prepared.stateLeftOut,
      planFile: encryption.seal(`plan/${run.id}`, planFile),
      workFiles: encryption.seal(`work-files/${run.id}`, workFiles),
      planJson: encryption.seal(`plan-json/${run.id}`, Buffer.from(withMasked(planned.json, prepared.masked))),
      reviewedDigest: reviewed.digest,
      reviewedParts: parts,
      differencesFrom: (before) => differences(before as PlanParts, parts),
    }),
  );
}

/**
 * The parts are kept, and told to people, in clear. Two resources whose keys differ only in what is hidden become one: that they
 * differ still shows in the section's own hash.
 */
function hideAddresses(parts: PlanParts, mask: Mask): PlanParts {
  const resources = Object.entries(parts.resources).map(([address, part]) => [mask.mask(address), part] as const);
  return { ...parts, resources: Object.fromEntries(resources) };
}

/** Init or plan ended without a plan. */
async function endPlan(
  { run, worker, stoppedBecause }: ActiveRun,
  prepared: Prepared,
  end: { outcome: string; diagnostics: PlanResult['diagnostics'] },
): Promise<Run> {
  const diagnostics = recordDiagnostics(run, prepared, end.diagnostics);
  await prepared.log.end();
  return worker.untilRecorded(() => {
    if (end.outcome === 'interrupted' || end.outcome === 'killed') {
      const how = end.outcome === 'killed' ? 'killed' : 'interrupted';
      return finishCanceled(worker.db, run, stoppedBecause ?? `Terraform was ${how} while it planned.`, {
        diagnostics,
      });
    }
    if (end.outcome === 'lost') return diePlan(worker.db, run, 'Terraform was killed while it planned.');
    return failPlan(worker.db, run, firstError(diagnostics, 'terraform plan failed'), diagnostics);
  });
}
