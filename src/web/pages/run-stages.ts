import type { Run, RunEvent } from '../../db/schema.js';
import type { RunState } from '../../runs/machine.js';

/** A stage of a run, as the strip on its page shows it. */
export interface RunStage {
  name: 'Queue' | 'Plan' | 'Confirm' | 'Apply';
  /** `stopped`: a person ended it there; `skipped`: it will never come. */
  look: 'done' | 'running' | 'waiting' | 'failed' | 'stopped' | 'skipped' | 'ahead';
  /** How long it took. Undefined before it began. */
  spentMs: number | undefined;
  /** When it began, while it goes on. */
  since: Date | undefined;
}

const STAGE_OF: Partial<Record<RunState, RunStage['name']>> = {
  pending: 'Queue',
  planning: 'Plan',
  needs_confirmation: 'Confirm',
  confirmed: 'Confirm',
  applying: 'Apply',
};
/** What the last stage that a run came to looks like, by the state it ended in. */
const ENDS: Partial<Record<RunState, RunStage['look']>> = {
  plan_errored: 'failed',
  apply_errored: 'failed',
  discarded: 'stopped',
  canceled: 'stopped',
};

/** The stages that a run has gone through, is in and will come to. */
export function stagesOf(
  run: Pick<Run, 'state' | 'speculative' | 'ended_at'>,
  timeline: RunEvent[],
  now: Date,
): RunStage[] {
  const names: RunStage['name'][] = run.speculative ? ['Queue', 'Plan'] : ['Queue', 'Plan', 'Confirm', 'Apply'];
  const spans = spansOf(timeline, run.ended_at ?? now);
  const current = STAGE_OF[run.state];
  const reached = current ?? spans.at(-1)?.name ?? 'Queue';
  return names.map((name, index): RunStage => {
    const own = spans.filter((span) => span.name === name);
    const since = name === current ? own.at(-1)?.from : undefined;
    const before = index < names.indexOf(reached);
    return {
      name,
      since,
      spentMs: own.length === 0 ? undefined : own.reduce((sum, { ms }) => sum + ms, 0),
      look: lookOf({ name, before, run, current, reached, visited: own.length > 0 }),
    };
  });
}

function lookOf(stage: {
  name: RunStage['name'];
  before: boolean;
  run: Pick<Run, 'state'>;
  current: RunStage['name'] | undefined;
  reached: RunStage['name'];
  visited: boolean;
}): RunStage['look'] {
  const { name, before, run, current, reached, visited } = stage;
  if (before) return visited ? 'done' : 'skipped';
  if (name === current) {
    return run.state === 'pending' || run.state === 'needs_confirmation' ? 'waiting' : 'running';
  }
  if (name === reached) return ENDS[run.state] ?? 'done';
  return current === undefined ? 'skipped' : 'ahead';
}

/** How long each event kept the run in a stage. */
function spansOf(timeline: RunEvent[], end: Date): { name: RunStage['name']; from: Date; ms: number }[] {
  const spans: { name: RunStage['name']; from: Date; ms: number }[] = [];
  for (const [index, event] of timeline.entries()) {
    const name = STAGE_OF[event.state];
    if (name === undefined) continue;
    const until = timeline[index + 1]?.at ?? end;
    const ms = until.getTime() - event.at.getTime();
    const last = spans.at(-1);
    if (last?.name === name) last.ms += Math.max(0, ms);
    else spans.push({ name, from: event.at, ms: Math.max(0, ms) });
  }
  return spans;
}
