import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { PlanDifference, PlanSummary, Run, RunDiagnostic, RunProgress } from '../db/schema.js';
import { planDied } from './interrupted-plan.js';
import { lockRun } from './store.js';
import { type Move, RunMovedOn, transition } from './transition.js';

/** A plan that succeeded, as the worker brings it. The byte strings are sealed already. */
export interface FinishedPlan {
  summary: PlanSummary;
  diagnostics: RunDiagnostic[];
  changes: boolean;
  /** What the workspace's state depends on: its backend and its directory. */
  identity: string;
  /** The repository brings a state file, which isn't used: what is in it would be created a second time. */
  stateLeftOut: boolean;
  planFile: Buffer;
  workFiles: Buffer;
  planJson: Buffer;
  reviewedDigest: string;
  reviewedParts: unknown;
  /** In what it differs from the plan with the given parts. */
  differencesFrom: (reviewedParts: unknown) => PlanDifference[];
}

/** Takes the result of `terraform plan` into the record and moves the run to where that leads. */
export async function finishPlan(db: Db, seen: Run, plan: FinishedPlan): Promise<Run> {
  return db.transaction().execute(async (tx) => {
    const run = await lockAttempt(tx, seen);
    const columns = {
      plan_summary: JSON.stringify(plan.summary),
      diagnostics: JSON.stringify(plan.diagnostics),
    };
    // Asked for too late to stop Terraform, but in time to keep the plan from going on.
    if (run.cancel_requested_at !== null) {
      const actor = run.cancel_requested_by ?? undefined;
      const detail = 'It was canceled while its plan ended.';
      return transition(tx, run, 'canceled', {}, { actor, detail, columns });
    }
    await keepPlan(tx, run, plan);
    if (!plan.changes) return transition(tx, run, 'plan_empty', {}, { columns });
    if (run.speculative) return transition(tx, run, 'plan_finished', {}, { columns });

    if (run.reviewed_run !== null && run.approved_by !== null) {
      const differences = await differencesFromReviewed(tx, run.reviewed_run, plan);
      if (differences.length === 0) {
        const detail = `The plan makes the changes that ${run.approved_by} approved.`;
        return transition(tx, run, 'plan_approved', { confirmedBy: run.approved_by }, { columns, detail });
      }
      return waitForPerson(tx, run, {
        columns: { ...columns, differences: JSON.stringify(differences) },
        detail: `The plan differs from the one that ${run.approved_by} reviewed.`,
      });
    }
    if (!run.auto_apply) return waitForPerson(tx, run, { columns });
    const objection = await objectionToAutoApply(tx, run, plan);
    if (objection) return waitForPerson(tx, run, { columns, detail: objection });
    return transition(tx, run, 'plan_approved', { confirmedBy: 'auto-apply' }, { columns });
  });
}

export async function failPlan(db: Db, seen: Run, error: string, diagnostics: RunDiagnostic[]): Promise<Run> {
  return db.transaction().execute(async (tx) => {
    const run = await lockAttempt(tx, seen);
    return transition(tx, run, 'plan_failed', { error }, { columns: { diagnostics: JSON.stringify(diagnostics) } });
  });
}

/** The plan's process or its worker died: it is planned again, twice at most. `why`: a sentence. */
export async function diePlan(db: Db, seen: Run, why: string): Promise<Run> {
  return db.transaction().execute(async (tx) => planDied(tx, await lockAttempt(tx, seen), why));
}

/** How a stage ended, beside its state. */
export interface StageEnding {
  diagnostics: RunDiagnostic[];
  /** Of an apply, its last: in one transaction with its end, or a report would say something else. Default: as it is. */
  progress?: RunProgress | undefined;
}

/** `identity`: what the state depends on from now on, as in FinishedPlan. */
export async function finishApply(db: Db, seen: Run, identity: string, ending: StageEnding): Promise<Run> {
  return db.transaction().execute(async (tx) => {
    const run = await lockAttempt(tx, seen);
    await tx.updateTable('workspaces').set({ applied_identity: identity }).where('id', '=', run.workspace_id).execute();
    return transition(tx, run, 'apply_finished', {}, { columns: columnsOf(ending) });
  });
}

export async function failApply(db: Db, seen: Run, error: string, ending: StageEnding): Promise<Run> {
  return db.transaction().execute(async (tx) => {
    const run = await lockAttempt(tx, seen);
    return transition(tx, run, 'apply_failed', { error }, { columns: columnsOf(ending) });
  });
}

/** The run's processes are gone, because somebody had asked for that. */
export async function finishCanceled(db: Db, seen: Run, detail: string, ending: StageEnding): Promise<Run> {
  return db.transaction().execute(async (tx) => {
    const run = await lockAttempt(tx, seen);
    const actor = run.cancel_requested_by ?? undefined;
    return transition(tx, run, 'canceled', {}, { actor, detail, columns: columnsOf(ending) });
  });
}

function columnsOf({ diagnostics, progress }: StageEnding) {
  return { diagnostics: JSON.stringify(diagnostics), ...(progress && { progress: JSON.stringify(progress) }) };
}

/**
 * The run as it is now, and it stays so until the transaction ends: a cancel comes before or after an outcome. Throws
 * RunMovedOn when another attempt has been begun, or the run was taken from its worker.
 */
async function lockAttempt(tx: Tx, seen: Run): Promise<Run> {
  const run = await lockRun(tx, seen.id);
  if (run.attempt !== seen.attempt || run.worker_id !== seen.worker_id) throw new RunMovedOn(seen.id);
  return run;
}

function waitForPerson(tx: Tx, run: Run, move: Move): Promise<Run> {
  return transition(tx, run, 'plan_ready', {}, move);
}

async function keepPlan(tx: Tx, run: Run, plan: FinishedPlan): Promise<void> {
  const row = {
    plan_file: plan.planFile,
    work_files: plan.workFiles,
    plan_json: plan.planJson,
    reviewed_digest: plan.reviewedDigest,
    reviewed_parts: JSON.stringify(plan.reviewedParts),
  };
  await tx
    .insertInto('plans')
    .values({ run_id: run.id, ...row })
    .onConflict((conflict) => conflict.column('run_id').doUpdateSet(row))
    .execute();
}

async function differencesFromReviewed(tx: Tx, reviewedRun: string, plan: FinishedPlan): Promise<PlanDifference[]> {
  const reviewed = await tx
    .selectFrom('plans')
    .select(['reviewed_digest', 'reviewed_parts'])
    .where('run_id', '=', reviewedRun)
    .executeTakeFirst();
  if (!reviewed) return [{ kind: 'plan', address: reviewedRun, detail: 'The reviewed plan is no longer kept.' }];
  if (reviewed.reviewed_digest === plan.reviewedDigest) return [];
  const differences = plan.differencesFrom(reviewed.reviewed_parts);
  if (differences.length > 0) return differences;
  return [{ kind: 'plan', address: reviewedRun, detail: 'The plans differ in what is compared only as a whole.' }];
}

/**
 * Why a run that would apply by itself has to wait for a person after all, if it has to: auto-apply was turned off since
 * it was created, or its state would be another one than that of the last apply, so that 'create everything' may be a
 * mistake.
 */
async function objectionToAutoApply(
  tx: Tx,
  run: Run,
  { identity, stateLeftOut }: FinishedPlan,
): Promise<string | undefined> {
  const workspace = await tx
    .selectFrom('workspaces')
    .select(['auto_apply', 'applied_identity', 'repository_id', 'directory'])
    .where('id', '=', run.workspace_id)
    .executeTakeFirstOrThrow();
  if (!workspace.auto_apply) return 'Auto-apply was turned off since this run was created.';
  if (workspace.applied_identity === identity) return undefined;
  if (workspace.applied_identity !== null) {
    return 'Its backend or directory has changed since it was last applied, so it waits for a person this time.';
  }
  if (stateLeftOut) {
    return 'The repository has a terraform.tfstate, which is not used here: what is in it would be created a second time, so this first run waits for a person.';
  }
  const predecessor = await tx
    .selectFrom('workspaces')
    .select('name')
    .where('repository_id', '=', workspace.repository_id)
    .where('directory', '=', workspace.directory)
    .where('id', '<>', run.workspace_id)
    .where('applied_identity', 'is not', null)
    .where('removed_at', 'is not', null)
    .orderBy(sql`removed_at`, 'desc')
    .executeTakeFirst();
  if (!predecessor) return undefined;
  return `Workspace ${predecessor.name} was applied from this directory and has a state of its own, so this one waits for a person.`;
}
