import type { Run, RunEvent } from '../db/schema.js';
import { isFinal, isMove, type RunState } from './machine.js';

export type RunStage = 'pending' | 'plan' | 'confirmation' | 'apply';

/** One stretch of a run's life. `to` undefined: it is in it now. */
export interface StageTime {
  stage: RunStage;
  from: Date;
  to: Date | undefined;
}

/**
 * The stages that a run went through, by its timeline. A plan that was tried again is one stage; a confirmed run that waits
 * for a worker is in the apply's.
 */
export function stagesOf(run: Pick<Run, 'created_at'>, timeline: readonly RunEvent[]): StageTime[] {
  const stages: StageTime[] = [{ stage: 'pending', from: run.created_at, to: undefined }];
  for (const { at, state } of timeline.filter(({ type }) => isMove(type))) {
    const last = stages.at(-1);
    if (!last || last.to !== undefined) break;
    const stage = stageOf(state);
    if (stage === last.stage) continue;
    last.to = at;
    if (stage !== undefined) stages.push({ stage, from: at, to: undefined });
  }
  return stages;
}

/** Undefined for a run that has ended. */
function stageOf(state: RunState): RunStage | undefined {
  if (isFinal(state)) return undefined;
  switch (state) {
    case 'pending':
      return 'pending';
    case 'needs_confirmation':
      return 'confirmation';
    case 'confirmed':
    case 'applying':
      return 'apply';
    default:
      return 'plan';
  }
}
