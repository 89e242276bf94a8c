import type { Run } from '../db/schema.js';
import { isHolding, stateTitle } from '../runs/machine.js';
import type { Lock, Outlook, QueueExplanation, WaitedFor } from '../runs/queue-explanation.js';
import type { RunReport } from './check-run-content.js';
import { code, login } from './markdown.js';
import { checkRunUrl, duration, moment, plural, pullRequestLink, runUrl, stateWords } from './words.js';

type Waiting = Pick<RunReport, 'queue' | 'addresses' | 'repository'>;

/** What a pending run waits for, in one line of plain text. */
export function waitingTitle(queue: QueueExplanation | undefined): string {
  if (queue?.lock) {
    const { by, reason } = queue.lock;
    return `Locked by ${by ?? 'Signalbox'}${reason ? `: ${reason}` : ''}`;
  }
  if (queue?.waitsFor) {
    const { run, state } = queue.waitsFor;
    const ahead = runsBefore(queue);
    const others = ahead > 1 ? ` and ${plural(ahead - 1, 'other run')}` : '';
    return `Waiting for ${run} (${stateTitle(state)})${others}`;
  }
  if (queue?.heldFor) return `Held for pull request #${queue.heldFor.pullRequest}`;
  return 'Waiting for a free worker';
}

/** What a pending run waits for, who can move that, and for about how long, in Markdown. */
export function waiting(run: Run, { queue, addresses, repository }: Waiting): string {
  const lines: string[] = [];
  const name = code(run.settings.name);
  if (queue?.lock) lines.push(locked(run, queue.lock));
  if (queue?.heldFor) {
    const pullRequest = pullRequestLink(addresses, repository, queue.heldFor.pullRequest);
    lines.push(
      `${pullRequest} was applied and isn't merged yet, so ${name} is held for it: this commit doesn't contain its changes, and would plan to undo them. It goes on when that pull request is closed, or when somebody with write access comments ${code(`signalbox unlock ${run.settings.name}`)} on it; when it is merged, the merge's own run takes over.`,
    );
  }
  if (queue?.waitsFor) lines.push(waitingFor(run, queue, queue.waitsFor, { addresses, repository }));
  else if (queue && queue.ahead > 0) lines.push(place(run, queue));
  if (queue?.outlook) lines.push(foretold(queue.outlook));
  if (lines.length === 0) lines.push('Waiting for a worker with a free slot.');
  return lines.join('\n\n');
}

/** Whose lock it is, since when, why, and who may end it. */
export function locked(run: Pick<Run, 'settings'>, { by, at, reason, run: cause }: Lock): string {
  const name = code(run.settings.name);
  const because = cause === null ? '' : ` because of ${code(cause)}`;
  const why = reason ? `: ${code(reason, 300)}` : '.';
  const who = by === null ? 'An administrator' : `${login(by)} or an administrator`;
  return `${by === null ? 'Signalbox' : login(by)} locked ${name} at ${moment(at)} UTC${because}${why}\n\n${who} of this repository can end that: comment ${code(`signalbox unlock ${run.settings.name}`)} on any of its pull requests, or press **Unlock** on the workspace's page. Until then runs of ${name} wait in order.`;
}

function waitingFor(
  run: Run,
  queue: QueueExplanation,
  first: WaitedFor,
  { addresses, repository }: Pick<Waiting, 'addresses' | 'repository'>,
): string {
  const url = first.githubId ? checkRunUrl(addresses, repository, first.githubId) : runUrl(addresses, first.run);
  const before = runsBefore(queue);
  return [
    place(run, queue),
    `Waiting for [${code(first.run)}](${url}): ${stateWords(first.state)} since ${moment(first.since)} UTC.`,
    before > 1 ? `${before} runs are ahead in all.` : '',
    whoMoves(run, first, { addresses, repository }),
  ]
    .filter(Boolean)
    .join(' ');
}

function place(run: Run, { ahead }: QueueExplanation): string {
  return `**${ahead === 0 ? 'Next' : `Number ${ahead + 1}`}** in the queue of ${code(run.settings.name)}.`;
}

/** Who can make the run go on that is waited for. */
function whoMoves(
  run: Run,
  { run: id, state, actor, pullRequest }: WaitedFor,
  { addresses, repository }: Pick<Waiting, 'addresses' | 'repository'>,
): string {
  const on = pullRequest === undefined ? '' : ` on ${pullRequestLink(addresses, repository, pullRequest)}`;
  const page = runUrl(addresses, id);
  const comment = (verb: string) => `comment ${code(`signalbox ${verb} ${run.settings.name}`)}${on}`;
  const writers = actor.endsWith('[bot]')
    ? 'Anybody with write access'
    : `${login(actor)} or anybody with write access`;
  switch (state) {
    case 'needs_confirmation':
      return `${writers} can **Apply** or **Discard** it on its check run or [its page](${page}).`;
    case 'pending':
      return `Anybody with write access can ${on && `${comment('discard')} or `}press **Discard Run** on [its page](${page}).`;
    default:
      return `It goes on by itself; to stop it, anybody with write access can ${on && `${comment('cancel')} or `}press **Cancel Run** on [its page](${page}).`;
  }
}

function foretold(outlook: Outlook): string {
  const usual = `A run of this workspace takes ${duration(outlook.medianMs)}, by the median of its last ${outlook.runs}`;
  if ('startsAt' in outlook) return `${usual}, so this one should start at about ${moment(outlook.startsAt)} UTC.`;
  if (outlook.because === 'overdue') return `${usual}; the one that is under way takes longer.`;
  return `${usual}, not counting the time that people take: how long they will take now can't be foretold.`;
}

function runsBefore({ ahead, waitsFor }: QueueExplanation): number {
  return ahead + (waitsFor && isHolding(waitsFor.state) ? 1 : 0);
}
