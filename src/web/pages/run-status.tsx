import { plural, resourceChanges, toDo, done as whatWasDone } from '../../reports/words.js';
import { aftermathOf } from '../../runs/aftermath.js';
import { isHolding, stateTitle } from '../../runs/machine.js';
import { cut } from './foreign.js';
import type { ShownRun } from './shown-run.js';
import { StateLabel } from './state.js';

/** The state's word, which is the live region, and one sentence. `title` is the window's: it changes with the state. */
export function RunStatus({ shown, title }: { shown: ShownRun; title: string }) {
  const { state } = shown.run;
  return (
    <div id="status" class="run-status" data-state={state} data-title={title}>
      <span role="status">
        <StateLabel state={state} />
      </span>
      <span class="run-status-text">
        <bdi>{cut(statusSentence(shown), 400)}</bdi>
      </span>
    </div>
  );
}

/** What the state means for this run. */
export function statusSentence(shown: ShownRun): string {
  const { run, timeline, explanation } = shown;
  const plan = run.plan_summary;
  switch (run.state) {
    case 'pending':
      return waitsFor(explanation);
    case 'planning':
      if (run.worker_id === null) return 'Nothing was changed. It is planned again as soon as a worker is free.';
      return canceling(run) ?? 'Terraform is working out what would change.';
    case 'planned':
      return `${changes(plan)}: nothing was applied, this is what applying would do.${wayOn(shown)}`;
    case 'no_changes':
      return 'The infrastructure is what the configuration says: there is nothing to apply.';
    case 'needs_confirmation':
      return run.differences?.length
        ? `The fresh plan differs from the one that ${run.approved_by ?? run.actor} approved, so it was not applied.`
        : `${changes(plan)}. Nothing is applied until somebody confirms this plan.`;
    case 'confirmed':
      return `${confirmedBy(run)} It is applied as soon as a worker is free.`;
    case 'applying':
      return canceling(run) ?? `Terraform is making the changes. ${confirmedBy(run)}`;
    case 'applied':
      return `${plan ? whatWasDone(plan) : 'The changes were made'}. ${confirmedBy(run)}`;
    case 'plan_errored':
      return 'The plan failed. Nothing was applied.';
    case 'apply_errored':
      return `The apply failed. ${aftermathOf(run, true)}`.trim();
    case 'discarded':
    case 'canceled':
      return ending(run, timeline);
  }
}

/** How a pull request's plan is applied: as long as it is the one that would be. */
function wayOn({ run, workspace, pullRequest, appliedAs, newest }: ShownRun): string {
  if (pullRequest?.state !== 'open' || pullRequest.head_sha !== run.commit_sha) return '';
  if (newest !== run.id || appliedAs !== undefined || workspace.removed_at !== null) return '';
  return ` To apply it, comment “apply ${cut(workspace.name, 100)}” on #${pullRequest.number}, or press Apply on its check run.`;
}

function changes(plan: ShownRun['run']['plan_summary']): string {
  if (!plan) return 'The plan has changes';
  return resourceChanges(plan) === 0 ? `${plural(plan.outputs, 'output')} to change` : toDo(plan);
}

function confirmedBy({ confirmed_by: by }: ShownRun['run']): string {
  return by === null ? '' : `Confirmed by ${by}.`;
}

function canceling({ state, ...run }: ShownRun['run']): string | undefined {
  if (run.cancel_requested_at === null) return undefined;
  if (run.force_cancel_requested_at !== null) {
    return `${run.force_cancel_requested_by ?? 'Signalbox'} forced the cancel: Terraform is being killed. The state may be incomplete.`;
  }
  const by = run.cancel_requested_by ?? 'Signalbox';
  return `${by} asked to cancel: Terraform is being interrupted${state === 'applying' ? ' and saves what it has' : ''}.`;
}

function ending(run: ShownRun['run'], timeline: ShownRun['timeline']): string {
  if (run.superseded_by !== null) return 'A newer push took its place. Nothing was applied.';
  const event = timeline.findLast(({ type }) => type === run.state);
  const who = event?.actor ?? run.cancel_requested_by ?? 'Signalbox';
  const applied = timeline.some(({ type }) => type === 'apply_started');
  return `${stateTitle(run.state)} by ${who}${event?.detail ? `: ${event.detail.replace(/\.$/, '')}` : ''}. ${aftermathOf(run, applied)}`.trim();
}

function waitsFor(queue: ShownRun['explanation']): string {
  if (queue?.lock) {
    return `Locked by ${queue.lock.by ?? 'Signalbox'}${queue.lock.reason ? `: ${queue.lock.reason}` : ''}`;
  }
  if (queue?.waitsFor) {
    const before = queue.ahead + (isHolding(queue.waitsFor.state) ? 1 : 0);
    const others = before > 1 ? ` and ${plural(before - 1, 'other run')}` : '';
    return `Waiting for ${queue.waitsFor.run} (${stateTitle(queue.waitsFor.state)})${others}.`;
  }
  if (queue?.heldFor) return `Held for pull request #${queue.heldFor.pullRequest}.`;
  return 'Waiting for a worker with a free slot.';
}
