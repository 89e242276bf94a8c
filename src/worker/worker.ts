import type { Db } from '../db/pool.js';
import type { Run, Stage } from '../db/schema.js';
import type { StageJob } from '../queue/outbox.js';
import { claimStage, LEASE_SECONDS, renewLease } from '../runs/claim.js';
import { IllegalTransition } from '../runs/machine.js';
import { failApply, failPlan, finishCanceled } from '../runs/outcome.js';
import { RunMovedOn } from '../runs/transition.js';
import { ActiveRun, RunStopped } from './active-run.js';
import { applyRun } from './apply-run.js';
import type { WorkerContext } from './context.js';
import { describeFailure } from './failure.js';
import { planRun } from './plan-run.js';
import type { Prepared } from './preparation.js';

/** Works on runs: claims a stage, runs Terraform, and brings the outcome into the record. */
export class Worker {
  readonly #context: WorkerContext;
  readonly #active = new Map<string, ActiveRun>();
  /** By run: settled when a plan's slot has either taken up the apply or let go of everything. */
  readonly #handovers = new Map<string, Promise<void>>();
  readonly #stopListening: () => void;

  constructor(context: WorkerContext) {
    this.#context = context;
    this.#stopListening = context.notifications.on('runs', (run) => void this.#lookForCancel(run));
  }

  async claim(job: StageJob): Promise<Run | undefined> {
    // A confirmed run's job may be here before the slot that made its plan has done with it.
    if (job.stage === 'apply') await this.#handovers.get(job.run);
    return this.#claim(job);
  }

  #claim(job: StageJob): Promise<Run | undefined> {
    return claimStage(this.#context.db, job, this.#context.config.workerName);
  }

  /** Takes a claimed run as far as it goes without a person. Never throws: what goes wrong becomes the run's outcome. */
  async work(claimed: Run): Promise<void> {
    if (claimed.state === 'applying') {
      await this.#stage(claimed, 'apply', (active) => applyRun(active, undefined));
      return;
    }
    let prepared: Prepared | undefined;
    let handedOver = () => {};
    this.#handovers.set(claimed.id, new Promise((resolve) => (handedOver = () => resolve())));
    let applying: Run | undefined;
    try {
      const planned = await this.#stage(claimed, 'plan', async (active) => {
        const result = await planRun(active);
        prepared = result.prepared;
        return result.run;
      });
      if (planned?.state !== 'confirmed') return;
      applying = await this.#continueWithApply(planned);
      if (!applying) await this.#cleanUp(planned);
    } finally {
      this.#handovers.delete(claimed.id);
      handedOver();
    }
    if (applying) await this.#stage(applying, 'apply', (active) => applyRun(active, prepared));
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

  async #stage(run: Run, stage: Stage, work: (active: ActiveRun) => Promise<Run>): Promise<Run | undefined> {
    const { log, db } = this.#context;
    const active = new ActiveRun(this.#context, run, stage);
    this.#active.set(run.id, active);
    const renewal = setInterval(() => void this.#renew(active), (LEASE_SECONDS * 1000) / 3);
    const started = performance.now();
    log.info({ run: run.id, workspace: run.settings.name, commit: run.commit_sha }, `${stage} started`);
    try {
      await this.#lookForCancel(run.id);
      const ended = await work(active);
      log.info({ run: run.id, state: ended.state, ms: Math.round(performance.now() - started) }, `${stage} ended`);
      if (ended.state !== 'confirmed') await this.#cleanUp(run);
      return ended;
    } catch (error) {
      await this.#fail(db, active, error);
      await this.#cleanUp(run);
      return undefined;
    } finally {
      clearInterval(renewal);
      this.#active.delete(run.id);
    }
  }

  async #fail(db: Db, { run, stage }: ActiveRun, error: unknown): Promise<void> {
    const { log, untilRecorded } = this.#context;
    if (error instanceof RunMovedOn || error instanceof IllegalTransition) {
      log.warn({ run: run.id }, `${stage} ended, but the run had been taken away: ${error.message}`);
      return;
    }
    const { message, foreseen } = describeFailure(error);
    if (error instanceof RunStopped) log.info({ run: run.id }, `${stage} was stopped before Terraform ran`);
    else
      log[foreseen ? 'warn' : 'error'](
        { run: run.id, ...(foreseen ? {} : { err: error }) },
        `${stage} failed: ${message}`,
      );
    try {
      await untilRecorded(() => {
        if (error instanceof RunStopped) return finishCanceled(db, run, 'It was canceled before Terraform ran.', []);
        return stage === 'plan' ? failPlan(db, run, message, []) : failApply(db, run, message, []);
      });
    } catch (second) {
      log.error({ run: run.id, err: second }, "The run's failure could not be recorded");
    }
  }

  async #cleanUp(run: Run): Promise<void> {
    const { stateServer, workDirectories, log } = this.#context;
    try {
      await stateServer.release(run.id);
      await workDirectories.remove(run);
    } catch (error) {
      log.warn({ run: run.id, err: error }, 'The work directory could not be removed');
    }
  }

  async #renew(active: ActiveRun): Promise<void> {
    const { db, config, log } = this.#context;
    try {
      // A wake-up may get lost, and its look into the record may fail.
      await this.#lookForCancel(active.run.id);
      if (await renewLease(db, active.run.id, config.workerName)) return;
      if (!this.#active.has(active.run.id)) return;
      log.warn({ run: active.run.id }, 'The run is no longer ours: Terraform is stopped');
      active.interrupt();
    } catch (error) {
      log.debug({ run: active.run.id, err: error }, 'The lease could not be renewed');
    }
  }

  async #lookForCancel(run: string): Promise<void> {
    const looked = run === '' ? [...this.#active.keys()] : [run];
    for (const id of looked) {
      const active = this.#active.get(id);
      if (!active) continue;
      const row = await this.#context.db
        .selectFrom('runs')
        .select('cancel_requested_at')
        .where('id', '=', id)
        .executeTakeFirst()
        .catch(() => undefined);
      if (row?.cancel_requested_at) active.interrupt();
    }
  }
}
