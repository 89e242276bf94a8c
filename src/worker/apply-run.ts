import { writeFile } from 'node:fs/promises';
import { sql } from 'kysely';
import type { Run, RunProgress } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { failApply, finishApply, finishCanceled } from '../runs/outcome.js';
import { reportsOf } from '../runs/transition.js';
import { type ApplyResult, apply } from '../terraform/apply.js';
import type { Progress } from '../terraform/progress.js';
import type { Mask } from '../variables/masking.js';
import type { ActiveRun } from './active-run.js';
import { hasDied, recordedProgress, settleAftermath } from './apply-aftermath.js';
import { RunFailure } from './failure.js';
import { endProcesses } from './left-behind.js';
import { OutputLog } from './output-log.js';
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
import { unpackWorkFiles } from './work-files.js';

/** How often progress goes to the record, in ms. Reports are slower still: they have GitHub's limits to keep. */
const PROGRESS_MS = 1_000;

/**
 * The apply stage of a claimed run: the saved plan, as a file, in the same path in which it was made. `planned` is its
 * checkout when this worker has just made the plan there; otherwise it is built again from the commit and from what the
 * plan left behind. An apply that an earlier process of this worker began is taken up, and never begun again.
 */
export async function applyRun(active: ActiveRun, planned: Prepared | undefined): Promise<Run> {
  const { prepared, adopt } = await getReady(active, planned);
  const progress = new ProgressReporter(active, prepared.mask);
  try {
    if (!adopt) {
      active.throwIfStopped();
      active.begun = true;
      await keepPrepared(active, prepared);
    }
    const result = await apply({
      ...stageOptions(active, prepared, 'apply'),
      planFile: planFileOf(prepared),
      adopt,
      onProgress: (now) => progress.report(now),
    });
    active.passed('apply');
    await prepared.log.end();
    const died = result.outcome === 'lost' || result.outcome === 'killed' || hasDied(result);
    const { ownBackend: backend, mask } = prepared;
    const { progress: last, remark } = await settleAftermath(active, { ...result, died }, { backend, mask });
    if (remark !== undefined) active.remarks.push(remark);
    await progress.stop();
    return await endApply(active, prepared, result, last);
  } finally {
    await progress.stop();
    await prepared.log.end();
  }
}

async function getReady(
  active: ActiveRun,
  planned: Prepared | undefined,
): Promise<{ prepared: Prepared; adopt: boolean }> {
  const { run, worker } = active;
  if (planned) {
    const log = new OutputLog(worker.db, run, 'apply', planned.mask);
    return { prepared: { ...planned, log, preamble: '' }, adopt: false };
  }
  if (!active.adopted) return { prepared: await restorePlan(active), adopt: false };
  const directory = worker.workDirectories.of(run);
  // What can't be read was begun all the same.
  active.begun = true;
  const kept = await readPrepared(active);
  active.begun = kept !== undefined;
  if (!kept) {
    // Its worker died on the way to Terraform's apply, which was certainly not begun.
    await endProcesses(directory);
    return { prepared: await restorePlan(active), adopt: false };
  }
  if (kept.prepared.ownBackend === undefined) await worker.serveStateAgain(run, directory.control);
  return { prepared: kept.prepared, adopt: true };
}

async function restorePlan(active: ActiveRun): Promise<Prepared> {
  const { run, worker } = active;
  const plan = await worker.untilRecorded(() =>
    worker.db.selectFrom('plans').selectAll().where('run_id', '=', run.id).executeTakeFirst(),
  );
  if (!plan) throw new RunFailure('Its plan is no longer kept: plan again.');
  const prepared = await prepare(active);
  try {
    const { encryption } = worker;
    await unpackWorkFiles(prepared.directory.checkout, encryption.open(`work-files/${run.id}`, plan.work_files));
    await writeFile(planFileOf(prepared), encryption.open(`plan/${run.id}`, plan.plan_file), { mode: 0o600 });
    const { outcome, diagnostics } = await initialise(active, prepared);
    if (outcome === 'initialised') return prepared;
    active.throwIfStopped();
    const recorded = recordDiagnostics(run, prepared, diagnostics);
    throw new RunFailure(
      `terraform init failed before the apply: ${firstError(recorded, 'no reason given')}. Nothing was applied.`,
    );
  } catch (error) {
    await prepared.log.end();
    throw error;
  }
}

async function endApply(
  active: ActiveRun,
  prepared: Prepared,
  result: ApplyResult,
  progress: RunProgress,
): Promise<Run> {
  const { run, worker, remarks, stoppedBecause } = active;
  const diagnostics = recordDiagnostics(run, prepared, result.diagnostics);
  const ending = { diagnostics, progress };
  const { db } = worker;
  const also = (sentence: string) => [sentence, ...remarks].join(' ');
  return worker.untilRecorded(() => {
    switch (result.outcome) {
      case 'applied':
        return finishApply(db, run, stateIdentity(run, prepared), ending);
      case 'interrupted':
      case 'killed':
        return finishCanceled(db, run, also(stoppedBecause ?? describeCanceled(result)), ending);
      case 'lost':
        return failApply(db, run, also(describeLost(result)), ending);
      default: {
        const error = result.stale
          ? 'The state has changed since the plan was made, so nothing was applied. Plan again.'
          : firstError(diagnostics, 'terraform apply failed');
        return failApply(db, run, remarks.length > 0 ? also(`${error}.`) : error, ending);
      }
    }
  });
}

function describeCanceled({ outcome, progress: { applied, planned } }: ApplyResult): string {
  const after = `after ${applied} of ${planned} resources`;
  if (outcome === 'killed') return `Terraform was killed ${after}, so its state may be incomplete.`;
  return `Terraform was interrupted ${after}; its state is kept.`;
}

function describeLost({ signal, progress: { applied, planned } }: ApplyResult): string {
  const how = signal === undefined ? 'ended without a word' : `was ended by ${signal}`;
  return `Terraform ${how} after ${applied} of ${planned} resources, so its state may be incomplete.`;
}

/** Brings progress into the record, at most once a second and never two at once. */
class ProgressReporter {
  readonly #active: ActiveRun;
  #latest: Progress | undefined;
  readonly #mask: Mask;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(active: ActiveRun, mask: Mask) {
    this.#active = active;
    this.#mask = mask;
  }

  report(progress: Progress): void {
    this.#latest = progress;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#writing.then(() => this.#write());
    }, PROGRESS_MS);
  }

  /** Nothing more is written after this: the last word goes to the record with the end of the apply. */
  async stop(): Promise<void> {
    clearTimeout(this.#timer);
    await this.#writing;
  }

  async #write(): Promise<void> {
    const { run, worker } = this.#active;
    const latest = this.#latest;
    if (latest === undefined) return;
    try {
      await worker.db.transaction().execute(async (tx) => {
        await tx
          .updateTable('runs')
          .set({ progress: JSON.stringify(recordedProgress(latest, this.#mask)) })
          .where('id', '=', run.id)
          .where('state', '=', 'applying')
          .execute();
        await enqueue(tx, ...reportsOf(run));
        await sql`select pg_notify('signalbox', ${`runs ${run.id}`})`.execute(tx);
      });
    } catch (error) {
      worker.log.debug({ run: run.id, err: error }, 'Progress could not be recorded');
    }
  }
}
