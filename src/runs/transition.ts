import { type ExpressionBuilder, sql, type UpdateObject } from 'kysely';

import { wakeUp } from '../db/notifications.js';
import type { Tx } from '../db/pool.js';
import type { Database, Run } from '../db/schema.js';
import { type Effect, enqueue } from '../queue/outbox.js';
import { type FactsOf, isFinal, nextState, type RunEventType, type RunState } from './machine.js';
import { enqueueNextRun, lockQueue } from './next.js';
import { note } from './noted.js';

type RunColumns = UpdateObject<Database, 'runs'>;
type Condition = (eb: ExpressionBuilder<Database, 'runs'>) => ReturnType<ExpressionBuilder<Database, 'runs'>['and']>;

export interface Move {
  /** Who caused it: a login, or undefined for Signalbox itself. */
  actor?: string | undefined;
  /** One line for the timeline. */
  detail?: string | undefined;
  /** Columns of the run that change along with its state. */
  columns?: RunColumns;
  /** What has to be true in the record beside the state, judged by the same statement. */
  condition?: Condition;
}

/** Somebody else moved the run first. Nothing has changed. */
export class RunMovedOn extends Error {
  constructor(readonly run: string) {
    super(`Run ${run} has moved on.`);
    this.name = 'RunMovedOn';
  }
}

/**
 * The only way in which a run changes its state: one conditional UPDATE, the timeline's line, and the effects, in the
 * caller's transaction. Throws IllegalTransition for a move that the machine doesn't know, RunMovedOn when the run in
 * the record is no longer in the state that the caller saw.
 */
export async function transition<E extends RunEventType>(
  tx: Tx,
  run: Run,
  event: E,
  facts: FactsOf<E>,
  move: Move = {},
): Promise<Run> {
  const state = nextState(run, event);
  if (isFinal(state) && !run.speculative) await lockQueue(tx, run.workspace_id);
  let update = tx
    .updateTable('runs')
    .set({ ...columnsOf(facts), ...move.columns, state, ...(isFinal(state) ? endOfRun() : {}) })
    .where('id', '=', run.id)
    .where('state', '=', run.state);
  if (move.condition) update = update.where(move.condition);
  const moved = await update.returningAll().executeTakeFirst();
  if (!moved) throw new RunMovedOn(run.id);
  await addEvent(tx, moved, event, { actor: move.actor, detail: move.detail ?? detailOf(facts) });
  await enqueue(tx, ...effectsOf(moved, run.state));
  if (isFinal(state) && !moved.speculative) await enqueueNextRun(tx, moved.workspace_id);
  return moved;
}

/** A line in the timeline that changes no state: a refusal, a remark. */
export async function addEvent(
  tx: Tx,
  run: Pick<Run, 'id' | 'state'>,
  type: string,
  { actor, detail }: { actor?: string | undefined; detail?: string | undefined },
): Promise<void> {
  await tx
    .insertInto('run_events')
    .values({ run_id: run.id, type, state: run.state, actor: actor ?? null, detail: detail ?? null })
    .returning(wakeUp('runs', run.id).as('told'))
    .execute();
  note(tx, { run: run.id, type, state: run.state, actor });
}

/** The reports that show this run: its check run, its pull request's comment, the sum on its head. */
export function reportsOf(run: Run): Effect[] {
  const reports: Effect[] = [{ kind: 'run_report', run: run.id }];
  if (run.pull_request !== null) {
    reports.push({ kind: 'pull_request_report', repository: run.repository_id, number: run.pull_request });
  }
  if (run.speculative) reports.push({ kind: 'head_report', repository: run.repository_id, sha: run.commit_sha });
  return reports;
}

function effectsOf(run: Run, from: RunState): Effect[] {
  const effects = reportsOf(run);
  if (run.state === 'confirmed' && from !== 'confirmed') effects.push(applyEffect(run));
  return effects;
}

/** A run of a pull request is checked once more, by web, before its apply may start. */
export function applyEffect(run: Run): Effect {
  if (run.pull_request !== null) return { kind: 'apply_check', run: run.id };
  return {
    kind: 'job',
    job: { run: run.id, workspace: run.workspace_id, speculative: false, stage: 'apply', attempt: run.attempt },
  };
}

/** The state's credentials end with the run: whatever of it still lives can't write any more. */
function endOfRun(): RunColumns {
  return { ended_at: sql<Date>`now()`, state_revoked_at: sql<Date>`now()` };
}

function columnsOf(facts: object): RunColumns {
  const { worker, error, confirmedBy } = facts as { worker?: string; error?: string; confirmedBy?: string };
  return {
    ...(worker === undefined ? {} : { worker }),
    ...(error === undefined ? {} : { error }),
    ...(confirmedBy === undefined ? {} : { confirmed_by: confirmedBy }),
  };
}

function detailOf(facts: object): string | undefined {
  const { error, reason } = facts as { error?: string; reason?: string };
  return reason ?? error?.split('\n')[0];
}
