import { readFile } from 'node:fs/promises';
import type { Run } from '../db/schema.js';
import { failPlan, finishCanceled, finishPlan } from '../runs/outcome.js';
import { differences, type PlanParts, reviewedPlan } from '../runs/reviewed-plan.js';
import { fingerprintResolved } from '../terraform/modules.js';
import { type PlanResult, plan } from '../terraform/plan.js';
import type { ActiveRun } from './active-run.js';
import {
  firstError,
  initialise,
  type Prepared,
  planFileOf,
  prepare,
  recordDiagnostics,
  stageOptions,
  stateIdentity,
} from './preparation.js';
import { manifestOf, packWorkFiles } from './work-files.js';

/**
 * The plan stage of a claimed run: check out, init, plan, show, and into the record. Yields the run as it is afterwards
 * and its checkout, in which an apply may follow at once. Throws what `describeFailure` knows.
 */
export async function planRun(active: ActiveRun): Promise<{ run: Run; prepared: Prepared }> {
  const { run } = active;
  const prepared = await prepare(active);
  try {
    const manifest = await manifestOf(prepared.directory.checkout);
    const initialised = await initialise(active, prepared);
    if (initialised.outcome !== 'initialised') return { run: await endPlan(active, prepared, initialised), prepared };
    const planned = await plan({
      ...stageOptions(active, prepared, 'plan'),
      planFile: planFileOf(prepared),
      lock: !run.speculative,
      onPlanned: () => active.passed('plan'),
    });
    active.passed('show');
    if (planned.outcome !== 'changes' && planned.outcome !== 'no-changes') {
      return { run: await endPlan(active, prepared, planned), prepared };
    }
    prepared.log.append(planned.text);
    await prepared.log.end();
    return { run: await keepPlan(active, prepared, manifest, planned), prepared };
  } finally {
    await prepared.log.end();
  }
}

type Planned = Extract<PlanResult, { outcome: 'changes' | 'no-changes' }>;

async function keepPlan(
  { run, worker }: ActiveRun,
  prepared: Prepared,
  manifest: Awaited<ReturnType<typeof manifestOf>>,
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
      planJson: encryption.seal(`plan-json/${run.id}`, Buffer.from(planned.json)),
      reviewedDigest: reviewed.digest,
      reviewedParts: reviewed.parts,
      differencesFrom: (parts) => differences(parts as PlanParts, reviewed.parts),
    }),
  );
}

/** Init or plan ended without a plan. */
async function endPlan(
  { run, worker }: ActiveRun,
  prepared: Prepared,
  end: { outcome: string; diagnostics: PlanResult['diagnostics'] },
): Promise<Run> {
  const diagnostics = recordDiagnostics(run, prepared, end.diagnostics);
  await prepared.log.end();
  return worker.untilRecorded(() =>
    end.outcome === 'interrupted' || end.outcome === 'killed'
      ? finishCanceled(worker.db, run, 'Terraform was interrupted while it planned.', diagnostics)
      : failPlan(worker.db, run, firstError(diagnostics, 'terraform plan failed'), diagnostics),
  );
}
