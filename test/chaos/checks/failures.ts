import { type Check, describe, eventsOf } from '../evidence.js';

/** So many workers have to die under a plan before it is given up: it is made again twice. */
const PLAN_DEATHS = 3;

/**
 * Nothing that people push is wrong, so a run fails only because its Terraform was killed, or its worker: a plan's not
 * before the third time. That the record, the queue, GitHub or web was away is no reason.
 */
export const failuresHaveCauses: Check = (evidence) =>
  evidence.runs.flatMap((run) => {
    if (run.state !== 'plan_errored' && run.state !== 'apply_errored') return [];
    const stage = run.state === 'plan_errored' ? 'plan_started' : 'apply_started';
    const from = eventsOf(evidence, run).find(({ type }) => type === stage)?.at ?? run.createdAt;
    const met = evidence.blows.filter(({ at }) => at >= from && at <= (run.endedAt ?? from));
    const terraforms = met.filter(({ kind }) => kind === 'kill-terraform').length;
    const workers = met.filter(({ kind }) => kind === 'kill-worker').length;
    if (terraforms > 0 || workers >= (stage === 'plan_started' ? PLAN_DEATHS : 1)) return [];
    const others = met.map(({ kind }) => kind).join(', ') || 'nothing';
    return [`${describe(run)} failed, and only ${others} had happened meanwhile: ${run.error}`];
  });
