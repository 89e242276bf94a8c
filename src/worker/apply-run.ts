import { readFile, writeFile } from 'node:fs/promises';
import { sql } from 'kysely';
import type { Run } from '../db/schema.js';
import { enqueue } from '../queue/outbox.js';
import { failApply, finishApply, finishCanceled } from '../runs/outcome.js';
import { reportsOf } from '../runs/transition.js';
import { type ApplyResult, apply } from '../terraform/apply.js';
import type { Progress } from '../terraform/progress.js';
import type { ActiveRun } from './active-run.js';
import { RunFailure } from './failure.js';
import { OutputLog } from './output-log.js';
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
import { unpackWorkFiles } from './work-files.js';

/** How often progress goes to the record, in ms. Reports are slower still: they have GitHub's limits to keep. */
const PROGRESS_MS = 1_000;

/**
 * The apply stage of a claimed run: the saved plan, as a file, in the same path in which it was made. `planned` is its
 * checkout when this worker has just made the plan there; otherwise it is built again from the commit and from what the
 * plan left behind.
 */
export async function applyRun(active: ActiveRun, planned: Prepared | undefined): Promise<Run> {
  const { run, worker } = active;
  const prepared = planned
    ? { ...planned, log: new OutputLog(worker.db, run, 'apply', planned.mask) }
    : await restorePlan(active);
  const progress = new ProgressReporter(active);
  try {
    active.throwIfStopped();
    const result = await apply({
      ...stageOptions(active, prepared, 'apply'),
      planFile: planFileOf(prepared),
      onProgress: (now) => progress.report(now),
    });
    active.passed('apply');
    await prepared.log.end();
    const errored = result.erroredState && (await takeErroredState(active, prepared, result.erroredState));
    await worker.stateServer.drained(run.id);
    await progress.end(result.progress);
    return await endApply(active, prepared, result, errored);
  } finally {
    await prepared.log.end();
  }
}

async function restorePlan(active: ActiveRun): Promise<Prepared> {
  const { run, worker } = active;
  const plan = await worker.db.selectFrom('plans').selectAll().where('run_id', '=', run.id).executeTakeFirst();
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

/**
 * Takes in the state that Terraform couldn't hand over at its end, and left as a file. Where Signalbox keeps the state,
 * that is its newest version; a backend of the repository's own needs a person. Yields what to tell that person.
 */
async function takeErroredState(
  { run, worker }: ActiveRun,
  prepared: Prepared,
  path: string,
): Promise<string | undefined> {
  try {
    if (prepared.ownBackend === undefined) {
      await worker.stateServer.write(run.id, await readFile(path));
      return undefined;
    }
  } catch (error) {
    worker.log.error({ run: run.id, err: error }, 'A state that Terraform left behind could not be taken in');
  }
  const kept = await worker.workDirectories.keepFile(run, path);
  return `The ${prepared.ownBackend ?? 'http'} backend did not take the last state. It is kept on ${worker.config.workerName} as ${kept}: hand it in with \`terraform state push\`.`;
}

async function endApply(
  { run, worker }: ActiveRun,
  prepared: Prepared,
  result: ApplyResult,
  errored: string | undefined,
): Promise<Run> {
  const diagnostics = recordDiagnostics(run, prepared, result.diagnostics);
  const { db } = worker;
  return worker.untilRecorded(() => {
    if (result.outcome === 'applied') return finishApply(db, run, stateIdentity(run, prepared), diagnostics);
    if (result.outcome === 'interrupted' || result.outcome === 'killed') {
      const detail = describeCanceled(result.progress);
      return finishCanceled(db, run, errored ? `${detail} ${errored}` : detail, diagnostics);
    }
    const error = result.stale
      ? 'The state has changed since the plan was made, so nothing was applied. Plan again.'
      : firstError(diagnostics, 'terraform apply failed');
    return failApply(db, run, errored ? `${error}. ${errored}` : error, diagnostics);
  });
}

function describeCanceled({ applied, planned, inFlight }: Progress): string {
  const unfinished = inFlight.length === 0 ? '' : ` In flight were ${inFlight.join(', ')}.`;
  return `Terraform was interrupted after ${applied} of ${planned} resources; its state is kept.${unfinished}`;
}

/** Brings progress into the record, at most once a second and never two at once. */
class ProgressReporter {
  readonly #active: ActiveRun;
  #latest: Progress | undefined;
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(active: ActiveRun) {
    this.#active = active;
  }

  report(progress: Progress): void {
    this.#latest = progress;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#writing = this.#writing.then(() => this.#write(true));
    }, PROGRESS_MS);
  }

  /** The last word: what the final report says. It needs no report of its own. */
  async end(progress: Progress): Promise<void> {
    clearTimeout(this.#timer);
    this.#latest = progress;
    await this.#writing;
    await this.#write(false);
  }

  async #write(report: boolean): Promise<void> {
    const { run, worker } = this.#active;
    const latest = this.#latest;
    if (latest === undefined) return;
    const { planned: total, applied, failed, inFlight } = latest;
    try {
      await worker.db.transaction().execute(async (tx) => {
        await tx
          .updateTable('runs')
          .set({ progress: JSON.stringify({ total, applied, failed, inFlight }) })
          .where('id', '=', run.id)
          .where('state', '=', 'applying')
          .execute();
        if (report) await enqueue(tx, ...reportsOf(run));
        await sql`select pg_notify('signalbox', ${`runs ${run.id}`})`.execute(tx);
      });
    } catch (error) {
      worker.log.debug({ run: run.id, err: error }, 'Progress could not be recorded');
    }
  }
}
