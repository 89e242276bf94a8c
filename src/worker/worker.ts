import type { Run, Stage } from '../db/schema.js';
import type { StageJob } from '../queue/outbox.js';
import { cancelRun } from '../runs/actions.js';
import { claimStage } from '../runs/claim.js';
import { IllegalTransition } from '../runs/machine.js';
import { diePlan, failApply, failPlan, finishCanceled } from '../runs/outcome.js';
import { findRun } from '../runs/store.js';
import { RunMovedOn } from '../runs/transition.js';
import { StateRevoked } from '../state/state-versions.js';
import { within } from '../within.js';
import { ActiveRun, RunStopped } from './active-run.js';
import { applyRun } from './apply-run.js';
import { endBrokenOff } from './broken-off.js';
import type { WorkerContext } from './context.js';
import { describeFailure } from './failure.js';
import { clearForeignDirectories, handIn } from './hand-in.js';
import { heldRuns } from './held-runs.js';
import { PlanDied, planRun } from './plan-run.js';
import type { Prepared } from './preparation.js';
import type { Registration } from './registration.js';
import { stageLimit } from './time-limit.js';

/** A database that hangs mustn't keep us from trying again on another connection. In ms. */
const BEAT_MS = 10_000;

/** Works on runs: claims a stage, runs Terraform, and brings the outcome into the record. */
export class Worker {
  readonly #context: WorkerContext;
  readonly #registration: Registration;
  readonly #active = new Map<string, ActiveRun>();
  /** Runs of which a claim is under way, or which are between two stages. */
  readonly #inHand = new Map<string, number>();
  /** By run: settled when a plan's slot has either taken up the apply or let go of everything. */
  readonly #handovers = new Map<string, Promise<void>>();
  readonly #stopListening: () => void;
  #replaced = false;

  constructor(context: WorkerContext, registration: Registration) {
    this.#context = context;
    this.#registration = registration;
    this.#stopListening = context.notifications.on('runs', (run) => void this.#look(run));
  }

  async claim(job: StageJob): Promise<Run | undefined> {
    // A confirmed run's job may be here before the slot that made its plan has done with it.
    if (job.stage === 'apply') await this.#handovers.get(job.run);
    return this.#claim(job);
  }

  /** From here until `work` has begun the run is ours without being active. */
  #claim(job: StageJob): Promise<Run | undefined> {
    return this.#holding(job.run, () => claimStage(this.#context.db, job, this.#registration.worker));
  }

  /** Takes a claimed run as far as it goes without a person. Never throws: what goes wrong becomes the run's outcome. */
  work(claimed: Run): Promise<void> {
    return this.#holding(claimed.id, () => this.#work(claimed, false));
  }

  /**
   * Takes up what an earlier process of this worker has left: its runs, each of which goes on, and directories of runs that
   * were taken from it since. Resolves when the latter are gone; what it yields are the runs that go on.
   */
  async takeUp(): Promise<Promise<void>[]> {
    const held = await heldRuns(this.#context.db, this.#registration.worker.id);
    const works = held.map((run) => this.#takeUp(run));
    await clearForeignDirectories(this.#context, this.#registration.worker.id, new Set(held.map(({ id }) => id)));
    return works;
  }

  /** Ends what the worker holds apart from its runs; the dispatcher has waited for those. */
  stop(): void {
    this.#stopListening();
  }

  /** How many Terraform stages are under way. */
  get active(): number {
    return this.#active.size;
  }

  /**
   * Gives a sign of life, and looks what the record says of the runs here. A worker that was declared lost may claim again
   * only when nothing runs here any more of what was taken from it.
   */
  async beat(): Promise<void> {
    const { log } = this.#context;
    try {
      const standing = await within(BEAT_MS, this.#registration.beat());
      await this.#look('');
      if (standing === 'replaced' && !this.#replaced) {
        this.#replaced = true;
        log.error('Another process is this worker by now: is its DATA_DIR a copy?');
      }
      if (standing !== 'lost' || [...this.#active.values()].some(({ takenAway }) => takenAway)) return;
      await this.#registration.comeBack();
      log.warn('This worker was declared lost, and is back');
    } catch (error) {
      log.debug({ err: error }, 'No sign of life could be given');
    }
  }

  async #work(claimed: Run, adopted: boolean): Promise<void> {
    if (claimed.state === 'applying') {
      await this.#stage(claimed, 'apply', adopted, (active) => applyRun(active, undefined));
      return;
    }
    let prepared: Prepared | undefined;
    let handedOver = () => {};
    this.#handovers.set(claimed.id, new Promise((resolve) => (handedOver = () => resolve())));
    let applying: Run | undefined;
    try {
      const planned = await this.#stage(claimed, 'plan', adopted, async (active) => {
        const result = await planRun(active);
        prepared = result.prepared;
        return result.run;
      });
      if (planned?.state !== 'confirmed') return;
      applying = await this.#continueWithApply(planned);
      if (!applying) await this.#cleanUp(claimed);
    } finally {
      this.#handovers.delete(claimed.id);
      handedOver();
    }
    if (applying) await this.#stage(applying, 'apply', false, (active) => applyRun(active, prepared));
  }

  /**
   * A run that was confirmed in the moment in which its plan ended needs no way through the queue: its slot, its
   * checkout and its turn are here. The job that the record has queued for it finds the stage claimed.
   */
  async #continueWithApply(run: Run): Promise<Run | undefined> {
    if (run.pull_request !== null) return undefined;
    const job = { run: run.id, workspace: run.workspace_id, speculative: false, attempt: run.attempt } as const;
    try {
      return await this.#claim({ ...job, stage: 'apply' });
    } catch (error) {
      this.#context.log.warn(
        { run: run.id, err: error },
        'The apply could not be claimed at once: it is left to the queue',
      );
      return undefined;
    }
  }

  async #stage(
    run: Run,
    stage: Stage,
    adopted: boolean,
    work: (active: ActiveRun) => Promise<Run>,
  ): Promise<Run | undefined> {
    const { log } = this.#context;
    const active = new ActiveRun(this.#context, run, stage, adopted);
    this.#active.set(run.id, active);
    const limit = stageLimit(active, (reason) => this.#stopForTime(active, reason));
    const started = performance.now();
    log.info(
      { run: run.id, workspace: run.settings.name, commit: run.commit_sha },
      `${stage} ${adopted ? 'taken up again' : 'started'}`,
    );
    try {
      await this.#look(run.id);
      const ended = await work(active);
      log.info({ run: run.id, state: ended.state, ms: Math.round(performance.now() - started) }, `${stage} ended`);
      if (ended.state !== 'confirmed') await this.#cleanUp(run);
      return ended;
    } catch (error) {
      // What couldn't be recorded stays on disk: a later look takes it up again.
      if (await this.#fail(active, error)) await this.#cleanUp(run);
      return undefined;
    } finally {
      limit.stop();
      this.#active.delete(run.id);
    }
  }

  /** The record hears of it as of any cancel, so that the reports say what is going on. */
  async #stopForTime(active: ActiveRun, reason: string): Promise<void> {
    active.stoppedBecause = reason;
    active.interrupt();
    const { db, log, untilRecorded } = this.#context;
    log.warn({ run: active.run.id }, reason);
    await untilRecorded(() =>
      db.transaction().execute(async (tx) => cancelRun(tx, await findRun(tx, active.run.id), reason)),
    ).catch((error) => log.warn({ run: active.run.id, err: error }, 'That a run is out of time could not be recorded'));
  }

  /** Yields whether the record knows of the end, and there is something to clean up. */
  async #fail(active: ActiveRun, error: unknown): Promise<boolean> {
    const { run, stage, stoppedBecause } = active;
    const { db, log, untilRecorded } = this.#context;
    if (isTakenAway(error)) return this.#letGo(active, error as Error);
    const { message: what, foreseen } = describeFailure(error);
    const unharmed = stage === 'apply' && !active.begun && !what.includes('Nothing was applied');
    const message = unharmed ? `${what} Nothing was applied.` : what;
    if (error instanceof RunStopped) log.info({ run: run.id }, `${stage} was stopped before Terraform ran`);
    else if (error instanceof PlanDied) log.info({ run: run.id }, `plan can't be taken up: ${error.message}`);
    else
      log[foreseen ? 'warn' : 'error'](
        { run: run.id, ...(foreseen ? {} : { err: error }) },
        `${stage} failed: ${message}`,
      );
    try {
      const { said, progress } = await endBrokenOff(active);
      const whole = [message, ...said].join(' ');
      await untilRecorded(() => {
        if (error instanceof RunStopped)
          return finishCanceled(db, run, stoppedBecause ?? 'It was canceled before Terraform ran.', {
            diagnostics: [],
          });
        if (error instanceof PlanDied) return diePlan(db, run, error.message);
        if (stage === 'plan') return failPlan(db, run, whole, []);
        return failApply(db, run, whole, { diagnostics: [], progress });
      });
      return true;
    } catch (second) {
      if (isTakenAway(second)) return this.#letGo(active, second as Error);
      log.error(
        { run: run.id, err: second },
        'The run is not brought to its end now, after a failure: it is taken up again',
      );
      return false;
    }
  }

  async #letGo(active: ActiveRun, reason: Error): Promise<false> {
    await handIn(active, reason, await this.#cleanUp(active.run));
    return false;
  }

  /** Yields where state was set aside that the record doesn't have. */
  async #cleanUp(run: Run): Promise<string | undefined> {
    const { stateServer, workDirectories, log } = this.#context;
    try {
      await stateServer.release(run.id);
      return await workDirectories.remove(run);
    } catch (error) {
      log.warn({ run: run.id, err: error }, 'The work directory could not be removed');
      return undefined;
    }
  }

  /** What the record says of the runs here: canceled, taken away, or ours without our knowing it. '' is all of them. */
  async #look(run: string): Promise<void> {
    if (run !== '' && !this.#active.has(run)) return;
    const before = new Set([...this.#active.values()]);
    const held = await heldRuns(this.#context.db, this.#registration.worker.id).catch(() => undefined);
    if (!held) return;
    const byId = new Map(held.map((each) => [each.id, each]));
    for (const active of before) {
      if (this.#active.get(active.run.id) !== active) continue;
      const now = byId.get(active.run.id);
      if (now === undefined || now.attempt !== active.run.attempt) active.takeAway();
      else if (now.force_cancel_requested_at) active.kill();
      else if (now.cancel_requested_at) active.interrupt();
    }
    // A claim whose answer was lost is ours all the same.
    for (const each of held) if (!this.#inHand.has(each.id)) void this.#takeUp(each);
  }

  /** Judged anew once it is in hand: what was read before may have ended since. */
  #takeUp({ id }: Run): Promise<void> {
    const { db, log } = this.#context;
    return this.#holding(id, async () => {
      try {
        const run = (await heldRuns(db, this.#registration.worker.id)).find((held) => held.id === id);
        if (run) await this.#work(run, true);
      } catch (error) {
        log.debug({ run: id, err: error }, 'A run can not be taken up now');
      }
    });
  }

  async #holding<T>(run: string, work: () => Promise<T>): Promise<T> {
    this.#inHand.set(run, (this.#inHand.get(run) ?? 0) + 1);
    try {
      return await work();
    } finally {
      const left = (this.#inHand.get(run) ?? 1) - 1;
      if (left > 0) this.#inHand.set(run, left);
      else this.#inHand.delete(run);
    }
  }
}

function isTakenAway(error: unknown): boolean {
  return error instanceof RunMovedOn || error instanceof IllegalTransition || error instanceof StateRevoked;
}
