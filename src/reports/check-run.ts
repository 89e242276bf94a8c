import type { Run } from '../db/schema.js';
import { isFinal } from '../runs/machine.js';
import { annotationsOf } from './annotations.js';
import { actionsOf, conclusionOf } from './buttons.js';
import type { CheckRunContent, RunReport } from './check-run-content.js';
import { summaryOf } from './check-run-summary.js';
import { cutMiddle, type LongText, longText } from './long-text.js';
import { byteLength, fence, fenceOverhead, MAX_BYTES, oneLine, shorten } from './markdown.js';
import { outageOf } from './outage.js';
import { waitingTitle } from './waiting.js';
import { done, runUrl, toDo } from './words.js';

const MAX_TITLE = 160;

/** `signalbox/<workspace>`, and `signalbox/<workspace> (plan)` for a speculative plan. */
export function checkRunName(run: Pick<Run, 'settings' | 'speculative'>): string {
  return `signalbox/${run.settings.name}${run.speculative ? ' (plan)' : ''}`;
}

/** A run's present state as a check run. Every limit of GitHub's is kept. */
export function runCheck(run: Run, report: RunReport): CheckRunContent {
  const started = startOf(report);
  const conclusion = conclusionOf(run);
  const text = textOf(run, report);
  return {
    name: checkRunName(run),
    external_id: report.externalId,
    details_url: runUrl(report.addresses, run.id),
    status: conclusion ? 'completed' : run.state === 'pending' ? 'queued' : 'in_progress',
    ...(conclusion && { conclusion }),
    ...(started && { started_at: started.toISOString() }),
    output: {
      title: titleOf(run, report),
      summary: summaryOf(run, report),
      ...(text !== '' && { text }),
      annotations: annotationsOf(run.diagnostics ?? []),
    },
    actions: actionsOf(run, report.pullRequest),
  };
}

function titleOf(run: Run, report: RunReport): string {
  const isWaiting = !isFinal(run.state) && outageOf(report.timeline) !== undefined;
  return shorten(oneLine(`${longTitleOf(run, report)}${isWaiting ? ', waiting for git' : ''}`), MAX_TITLE);
}

function longTitleOf(run: Run, { queue }: RunReport): string {
  const plan = run.plan_summary;
  const canceling = cancelingTitle(run);
  switch (run.state) {
    case 'pending':
      return waitingTitle(queue);
    case 'planning':
      return `${run.attempt > 1 ? `Planning again (attempt ${run.attempt})` : 'Planning'}${canceling}`;
    case 'needs_confirmation':
      return `${run.differences?.length ? 'Differs from the reviewed plan: ' : ''}${plan ? toDo(plan) : 'Waiting for confirmation'}`;
    case 'planned':
      return plan ? toDo(plan) : 'Planned';
    case 'no_changes':
      return 'No changes';
    case 'confirmed':
      return `Waiting to apply${plan ? `: ${toDo(plan)}` : ''}`;
    case 'applying':
      return `${run.progress ? `${run.progress.applied} of ${run.progress.total} applied` : 'Applying'}${canceling}`;
    case 'applied':
      return plan ? done(plan) : 'Applied';
    case 'plan_errored':
      return `Plan errored: ${errorOf(run)}`;
    case 'apply_errored':
      return `Apply errored${progressOf(run)}: ${errorOf(run)}`;
    case 'discarded':
      return run.superseded_by === null ? 'Discarded' : `Superseded by ${run.superseded_by}`;
    case 'canceled':
      return `${canceledTitle(run)}${progressOf(run)}`;
  }
}

function cancelingTitle(run: Run): string {
  if (run.force_cancel_requested_at !== null) return `, being killed as ${run.force_cancel_requested_by} asked`;
  return run.cancel_requested_at !== null ? `, canceling as ${run.cancel_requested_by} asked` : '';
}

function canceledTitle(run: Run): string {
  if (run.force_cancel_requested_at !== null) return `Force-canceled by ${run.force_cancel_requested_by}`;
  return `Canceled${run.cancel_requested_by ? ` by ${run.cancel_requested_by}` : ''}`;
}

function progressOf({ progress }: Run): string {
  return progress ? ` after ${progress.applied} of ${progress.total} were applied` : '';
}

/** The shortest honest word on what went wrong. */
function errorOf(run: Run): string {
  const first = run.diagnostics?.find(({ severity }) => severity === 'error');
  return first?.summary ?? run.error?.split('\n').find((line) => line.trim() !== '') ?? 'no reason is known';
}

/** When the work that this check run shows began: GitHub shows how long it took. */
function startOf({ timeline, externalId }: RunReport): Date | undefined {
  const [, stage] = externalId.split('/');
  const beginning = stage === 'apply' ? ['plan_approved', 'confirmed'] : ['plan_started', 'plan_restarted'];
  return timeline.find(({ type }) => beginning.includes(type))?.at;
}

/** What Terraform printed: the apply above the plan, which gets the room that the apply leaves. */
function textOf(run: Run, { planOutput, applyOutput, addresses }: RunReport): string {
  if (run.output_removed_at !== null && run.attempt > 0) return "Terraform's output is no longer kept.";
  const where = (stage: 'plan' | 'apply') => `all of it: ${runUrl(addresses, run.id)}/${stage}.txt`;
  const apply =
    applyOutput === undefined ? '' : section('Apply', applyOutput, planOutput ? 40_000 : MAX_BYTES, where('apply'));
  const room = MAX_BYTES - byteLength(apply) - 1;
  const plan = planOutput === undefined ? '' : section(apply ? 'Plan' : '', planOutput, room, where('plan'));
  return [apply, plan].filter(Boolean).join('\n');
}

function section(title: string, output: LongText | string, limit: number, where: string): string {
  const long = typeof output === 'string' ? longText(output) : output;
  if (long.bytes === 0) return '';
  const heading = title ? `#### ${title}\n\n` : '';
  let room = limit - byteLength(heading) - 16;
  for (;;) {
    const body = cutMiddle(long, room, where);
    const excess = byteLength(heading) + byteLength(body) + fenceOverhead(body, 'text') - limit;
    // Only a text full of backticks needs a fence so long that it has to give way to it.
    if (excess <= 0) return body.trim() === '' ? '' : `${heading}${fence(body, 'text')}`;
    room -= excess;
  }
}
