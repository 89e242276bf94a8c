import type { PlanDifference, PlanSummary, Run, RunDiagnostic, RunEvent } from '../db/schema.js';
import { FORCE_CANCEL_AFTER_SECONDS } from '../runs/actions.js';
import { aftermathOf, INCOMPLETE } from '../runs/aftermath.js';
import { isFinal } from '../runs/machine.js';
import { canAnnotate, MAX_ANNOTATIONS } from './annotations.js';
import { canApplyPlan } from './buttons.js';
import type { RunReport } from './check-run-content.js';
import { cutMiddle } from './long-text.js';
import { boundedTable, code, fence, login, MAX_BYTES, oneLine, sentence, shorten, table } from './markdown.js';
import { outageOf } from './outage.js';
import { waiting } from './waiting.js';
import {
  ACTIONS,
  type Addresses,
  cause,
  checkRunUrl,
  commitLink,
  done,
  duration,
  icon,
  moment,
  plural,
  pullRequestLink,
  runUrl,
  stateWords,
} from './words.js';

/**
 * The summary of a run's check run: what is, what to do about it, what was found, and how it came to be. Each part has
 * its own bound, and the bounds together stay below GitHub's.
 */
export function summaryOf(run: Run, report: RunReport): string {
  const parts = [
    stateLine(run, report),
    nextStep(run, report),
    errors(run),
    progress(run),
    differences(run.differences ?? []),
    run.plan_summary ? counts(run.plan_summary) : '',
    notes(report.timeline),
    facts(run, report),
    timeline(report.timeline),
  ];
  const summary = parts.filter((part) => part !== '').join('\n\n');
  // The bounds make this longer than any text; a summary that GitHub refuses would be no summary at all.
  return Buffer.byteLength(summary) <= MAX_BYTES
    ? summary
    : cutMiddle(summary, MAX_BYTES, runUrl(report.addresses, run.id));
}

function stateLine(run: Run, report: RunReport): string {
  const detail = stateDetail(run, report);
  return `### ${icon(run.state)} ${stateWords(run.state)}${detail ? `\n\n${detail}` : ''}`;
}

/** One sentence or two, in Markdown. */
function stateDetail(run: Run, report: RunReport): string {
  const { timeline } = report;
  const plan = run.plan_summary;
  const canceling = beingCanceled(run, report);
  const waitsFor = outageOf(timeline);
  const outage = waitsFor && sentence(waitsFor);
  switch (run.state) {
    case 'pending':
      return waiting(run, report);
    case 'planning':
      return run.worker_id === null
        ? `${lastDetail(timeline, 'plan_died')} Nothing was changed: it is planned again as soon as a worker is free.`
        : `${outage ?? '`terraform plan` is running.'}${canceling}`;
    case 'planned':
      return 'This is what applying would change. Nothing was applied.';
    case 'no_changes':
      return 'The infrastructure is what the configuration says: there is nothing to apply.';
    case 'needs_confirmation':
      return run.differences?.length
        ? `The fresh plan differs from the one that ${login(run.approved_by ?? run.actor)} approved, so it was not applied.`
        : `${whyItWaits(timeline)}Nothing is applied until somebody confirms this plan.`;
    case 'confirmed':
      return `${confirmation(run)} It is applied as soon as a worker is free.`;
    case 'applying':
      return `${confirmation(run)} ${outage ?? '`terraform apply` is running.'}${canceling}`;
    case 'applied':
      return `${plan ? `${done(plan)}. ` : ''}${confirmation(run)}`;
    case 'plan_errored':
      return 'Nothing was applied.';
    case 'apply_errored':
      return [
        confirmation(run),
        'The apply stopped with an error.',
        aftermathOf(run, true),
        lastDetail(timeline, 'handed_in'),
      ]
        .filter(Boolean)
        .join(' ');
    case 'canceled':
      return ending(run, timeline);
    case 'discarded':
      return run.superseded_by === null ? ending(run, timeline) : superseded(run.superseded_by, report);
  }
}

function lastDetail(timeline: RunEvent[], type: string): string {
  const detail = timeline.findLast((event) => event.type === type)?.detail;
  return detail ? sentence(detail) : '';
}

/** A cancel that doesn't work may be forced after a while; until then Terraform is left in peace. */
function beingCanceled(run: Run, { conversation, addresses, repository }: RunReport): string {
  if (run.cancel_requested_at === null) return '';
  if (run.force_cancel_requested_at !== null) {
    return ` ${login(run.force_cancel_requested_by ?? 'Signalbox')} asked to force the cancel: Terraform is being killed. ${INCOMPLETE}`;
  }
  const by = login(run.cancel_requested_by ?? 'Signalbox');
  const from = new Date(run.cancel_requested_at.getTime() + FORCE_CANCEL_AFTER_SECONDS * 1_000);
  const comment =
    conversation === undefined
      ? ''
      : `comment ${code(`signalbox force-cancel ${run.settings.name}`)} on ${pullRequestLink(addresses, repository, conversation)} or `;
  const force = ` If it hasn't ended by ${moment(from)} UTC, an administrator of this repository can ${comment}press **Force Cancel** on ${pageLink(run, addresses)}: that kills it, and its state may be incomplete.`;
  return ` ${by} asked to cancel: Terraform is being interrupted and saves what it has.${force}`;
}

function pageLink({ id }: Run, addresses: Addresses): string {
  return `[its page](${runUrl(addresses, id)})`;
}

function superseded(successor: string, { successor: shown, addresses, repository }: RunReport): string {
  const url = shown?.githubId ? checkRunUrl(addresses, repository, shown.githubId) : runUrl(addresses, successor);
  return `A newer push took its place: [${code(successor)}](${url}). Nothing was applied.`;
}

/** A run that would have applied by itself says why it waits after all. */
function whyItWaits(timeline: RunEvent[]): string {
  const reason = lastDetail(timeline, 'plan_ready');
  return reason === '' ? '' : `${reason} `;
}

function confirmation(run: Run): string {
  if (run.confirmed_by === null) return '';
  if (run.confirmed_by === 'auto-apply') return 'Confirmed by auto-apply.';
  return `Confirmed by ${login(run.confirmed_by)}.`;
}

function ending(run: Run, timeline: RunEvent[]): string {
  const event = timeline.findLast(({ type }) => type === run.state);
  const who = event?.actor ?? (run.state === 'canceled' ? run.cancel_requested_by : null);
  const by = who ? `By ${login(who)}.` : '';
  const asked = timeline.findLast(({ type }) => type === 'cancel_requested');
  const reason = [asked, event]
    .map((each) => (each?.detail ? sentence(each.detail) : ''))
    .filter(Boolean)
    .join(' ');
  const applied = run.progress !== null || timeline.some(({ type }) => type === 'apply_started');
  const forced = run.force_cancel_requested_at !== null;
  const killed = forced ? `${login(run.force_cancel_requested_by ?? 'Signalbox')} forced the cancel.` : '';
  return [by, killed, reason, aftermathOf(run, applied)].filter(Boolean).join(' ');
}

/** What the reader can do now. */
function nextStep(run: Run, { pullRequest, conversation, addresses, repository }: RunReport): string {
  const command = (verb: string) => code(`signalbox ${verb} ${run.settings.name}`);
  const comment = (verb: string) => `comment ${command(verb)}`;
  const on = pullRequest && ` on ${pullRequestLink(addresses, repository, pullRequest.number)}`;
  const reached = conversation && ` on ${pullRequestLink(addresses, repository, conversation)}`;
  switch (run.state) {
    case 'needs_confirmation':
      return `**Next:** press **Apply** or **Discard** above${on ? `, or ${comment('apply')} or ${command('discard')}${on}` : reached ? `, or ${comment('discard')}${reached}` : ''}.`;
    case 'planned':
      return canApplyPlan(run, pullRequest)
        ? `**Next:** press **Apply** above, or ${comment('apply')}${on}. What you approve is this plan: should a fresh one differ, it stops and shows how.`
        : '';
    case 'pending':
      return `To discard it, ${reached ? `${comment('discard')}${reached}, or ` : ''}press **Discard Run** on ${pageLink(run, addresses)}.`;
    case 'planning':
    case 'confirmed':
    case 'applying':
      return run.cancel_requested_at === null
        ? `To stop it, ${reached ? `${comment('cancel')}${reached}, or ` : ''}press **Cancel Run** on ${pageLink(run, addresses)}.`
        : '';
    case 'plan_errored':
    case 'apply_errored':
      return on && pullRequest.state === 'open'
        ? `**Next:** push a fix, or ${comment('plan')}${on} to plan this commit again.`
        : '**Next:** push a fix, or re-run this check to plan the commit again.';
    default:
      return '';
  }
}

const ERRORS_SHOWN = 12;

/** What Terraform said, and what went wrong beside it. */
function errors(run: Run): string {
  const diagnostics = run.diagnostics ?? [];
  const lines = diagnostics.slice(0, ERRORS_SHOWN).map(diagnosticText);
  const known = diagnostics.some(({ summary, detail }) => run.error?.includes(summary) || run.error?.includes(detail));
  if (run.error && !known) lines.unshift(run.error.trim());
  if (lines.length === 0) return '';
  const rest = diagnostics.length - Math.min(diagnostics.length, ERRORS_SHOWN);
  const annotated = diagnostics.filter(canAnnotate).length;
  const remarks = [
    rest > 0 ? `And ${plural(rest, 'more message')} in the output.` : '',
    annotated > MAX_ANNOTATIONS ? `${MAX_ANNOTATIONS} of ${annotated} are shown on their lines.` : '',
  ];
  const text = cutMiddle(lines.join('\n\n'), 12_000, 'see the output');
  return [fence(text, 'text').trimEnd(), remarks.filter(Boolean).join(' ')].filter(Boolean).join('\n\n');
}

function diagnosticText({ severity, summary, detail, address, file, startLine }: RunDiagnostic): string {
  const place = file && `  on ${file}${startLine ? ` line ${startLine}` : ''}${address ? `, in ${address}` : ''}`;
  return [
    `${severity === 'error' ? 'Error' : 'Warning'}: ${summary}`,
    place ?? (address && `  with ${address}`),
    detail && `  ${shorten(detail.trim(), 1_000).replaceAll('\n', '\n  ')}`,
  ]
    .filter(Boolean)
    .join('\n');
}

/** After an apply that stopped half-way: what is known of it. */
function progress(run: Run): string {
  const known = run.progress;
  if (!known || !isFinal(run.state) || run.state === 'applied') return '';
  const list = (label: string, addresses: string[]) =>
    addresses.length === 0
      ? ''
      : `${label}: ${addresses
          .slice(0, 20)
          .map((address) => code(address))
          .join(', ')}${addresses.length > 20 ? ` and ${addresses.length - 20} more` : ''}.`;
  const { applied, total, failed, inFlight, done = [], unsaved } = known;
  return [
    `**${applied} of ${total}** changes were applied.`,
    failed > 0 ? `${failed} failed.` : '',
    list(run.force_cancel_requested_at === null ? 'In flight when it ended' : 'In flight when it was killed', inFlight),
    unsaved ? list('Known to be done', done) : '',
    unsaved?.length
      ? `${list('Done or begun, but not in the saved state', unsaved)} **Look at these before you apply again:** what exists of them has to be imported (an \`import\` block will do) or removed by hand, else it is created a second time.`
      : '',
  ]
    .filter(Boolean)
    .join(' ');
}

function differences(found: PlanDifference[]): string {
  if (found.length === 0) return '';
  const rows = found.map(({ kind, address, detail }) => [code(kind, 40), code(address, 160), code(detail, 200)]);
  return `**What differs from the reviewed plan**\n\n${boundedTable(['What', 'Where', 'How'], 'lll', rows, 14_000).trimEnd()}`;
}

const COUNT_TITLES: Record<(typeof ACTIONS)[number], string> = {
  destroy: 'Destroy',
  replace: 'Replace',
  change: 'Change',
  add: 'Add',
  import: 'Import',
  move: 'Move',
  forget: 'Forget',
};

function counts(plan: PlanSummary): string {
  const shown = ACTIONS.filter((action, index) => index < 4 || plan[action] > 0);
  const header = shown.map((action) => COUNT_TITLES[action]);
  const cells = shown.map((action) => (plan[action] > 0 ? `**${plan[action]}**` : '0'));
  if (plan.outputs > 0) {
    header.push('Outputs');
    cells.push(`**${plan.outputs}**`);
  }
  return table(header, 'r'.repeat(header.length), [cells]).trimEnd();
}

const NOTES_SHOWN = 12;

/** Refusals: a button has no other place for an answer. Newest first, so that whoever just pressed one finds it. */
function notes(events: RunEvent[]): string {
  const refused = events.filter(({ type }) => type === 'refused').reverse();
  if (refused.length === 0) return '';
  const lines = refused
    .slice(0, NOTES_SHOWN)
    .map(
      ({ at, actor, detail }) =>
        `- ${moment(at)} UTC${actor ? `, ${login(actor)}` : ''}: ${sentence(detail ?? 'refused')}`,
    );
  const rest = refused.length - lines.length;
  if (rest > 0) lines.push(`- and ${rest} earlier`);
  return `**Refused**\n\n${lines.join('\n')}`;
}

function facts(run: Run, { addresses, repository }: RunReport): string {
  const [subject = ''] = run.commit_message.split('\n');
  const rows = [
    ['Commit', `${commitLink(addresses, repository, run.commit_sha)} ${code(subject, 72)}`],
    ['Branch', code(run.branch, 120)],
    ...(run.message === null ? [] : [['Message', code(run.message, 200)]]),
    ...(run.pull_request === null ? [] : [['Pull request', pullRequestLink(addresses, repository, run.pull_request)]]),
    ...(run.approved_by === null ? [] : [['Approved by', login(run.approved_by)]]),
    ...(run.settings.directory === '.' ? [] : [['Directory', code(run.settings.directory, 120)]]),
    ...(run.terraform_version === null ? [] : [['Terraform', code(run.terraform_version, 40)]]),
    ...(run.own_backend === null
      ? []
      : [['State', `in the configuration's own backend, ${code(run.own_backend, 40)}`]]),
    ['Run', code(run.id)],
  ];
  return table(['Trigger', cause(run)], 'll', rows).trimEnd();
}

const EVENT_WORDS: Record<string, string> = {
  created: 'Queued',
  plan_started: 'Planning',
  plan_restarted: 'Planning again',
  plan_failed: 'Plan errored',
  plan_empty: 'No changes',
  plan_finished: 'Planned',
  plan_ready: 'Needs confirmation',
  plan_approved: 'Confirmed',
  confirmed: 'Confirmed',
  apply_started: 'Applying',
  apply_finished: 'Applied',
  apply_failed: 'Apply errored',
  discarded: 'Discarded',
  cancel_requested: 'Cancel requested',
  plan_died: 'Plan died',
  handed_in: 'Worker is back',
  force_cancel_requested: 'Force-cancel requested',
  canceled: 'Canceled',
  waiting: 'Waiting for git',
  waiting_ended: 'Going on',
};
/** Refusals have a part of their own; what people say to each other stays on the run's page. */
const EVENTS_TOLD_ELSEWHERE = ['refused', 'comment'];
const TIMELINE_SHOWN = 40;

function timeline(events: RunEvent[]): string {
  const told = events.filter(({ type }) => !EVENTS_TOLD_ELSEWHERE.includes(type));
  if (told.length === 0) return '';
  const rows = told.map(({ type, at, actor }, index) => {
    const next = told[index + 1];
    const word = EVENT_WORDS[type] ?? code(oneLine(type.replaceAll('_', ' ')), 60);
    return [word, moment(at), next ? duration(next.at.getTime() - at.getTime()) : '', actor ? login(actor) : ''];
  });
  const shown = rows.length <= TIMELINE_SHOWN ? rows : [...rows.slice(0, 5), ...rows.slice(5 - TIMELINE_SHOWN)];
  const rest = rows.length - shown.length;
  const caption = rest > 0 ? `\n\n${plural(rest, 'event')} in the middle left out.` : '';
  return `${table(['Stage', 'Since (UTC)', 'Took', 'By'], 'llrl', shown).trimEnd()}${caption}`;
}
