import type { RunEvent } from '../../db/schema.js';
import { isFinal } from '../../runs/machine.js';
import { elapsed } from '../browser/relative-time.js';
import { cut, Foreign, Login, LongText } from './foreign.js';
import { Icon, type IconName } from './icon.js';
import type { PageContext } from './page-context.js';
import type { ShownRun } from './shown-run.js';
import type { Tone } from './state.js';
import { Time } from './time.js';

/** What happened, in order, who did it, and how long it took until the next thing. */
export function RunTimeline({ shown, page }: { shown: ShownRun; page: PageContext }) {
  const { run, timeline } = shown;
  const line = (event: RunEvent, index: number) =>
    event.type === 'comment' ? (
      <Comment event={event} page={page} />
    ) : (
      <Happened event={event} next={nextChange(timeline, index)} over={isFinal(run.state)} page={page} />
    );
  const lines = timeline.map(line);
  const earlier = lines.slice(0, -SHOWN);
  return (
    <section id="timeline" class="run-timeline" aria-labelledby="timeline-title">
      <h2 id="timeline-title" class="side-title">
        Timeline
      </h2>
      {earlier.length > 0 && (
        <details class="more" data-keep="timeline-earlier">
          <summary>{earlier.length} earlier</summary>
          <ol>{earlier}</ol>
        </details>
      )}
      <ol id="timeline-newest">{lines.slice(-SHOWN)}</ol>
    </section>
  );
}

/** The newest events; those before stand behind a fold. */
const SHOWN = 50;

interface Words {
  icon: IconName;
  tone: Tone;
  text: string;
  /** The detail says nothing that isn't said elsewhere on the page. */
  quiet?: boolean;
}

const WORDS: Readonly<Record<string, Words>> = {
  created: { icon: 'clock', tone: 'muted', text: 'queued this run' },
  plan_started: { icon: 'play', tone: 'accent', text: 'started planning', quiet: true },
  plan_restarted: { icon: 'sync', tone: 'accent', text: 'started planning again', quiet: true },
  plan_failed: { icon: 'x', tone: 'danger', text: 'Plan errored' },
  plan_empty: { icon: 'check', tone: 'success', text: 'found no changes' },
  plan_finished: { icon: 'check', tone: 'success', text: 'finished the plan' },
  plan_ready: { icon: 'person', tone: 'attention', text: 'asks for confirmation' },
  plan_approved: { icon: 'check', tone: 'success', text: 'Plan confirmed' },
  confirmed: { icon: 'check', tone: 'success', text: 'confirmed the plan' },
  apply_started: { icon: 'play', tone: 'accent', text: 'started applying', quiet: true },
  apply_finished: { icon: 'check', tone: 'success', text: 'applied the plan' },
  apply_failed: { icon: 'x', tone: 'danger', text: 'Apply errored' },
  discarded: { icon: 'circle-slash', tone: 'muted', text: 'discarded the run' },
  cancel_requested: { icon: 'stop', tone: 'attention', text: 'asked to cancel' },
  force_cancel_requested: { icon: 'stop', tone: 'danger', text: 'forced the cancel' },
  canceled: { icon: 'stop', tone: 'muted', text: 'canceled the run' },
  plan_died: { icon: 'alert', tone: 'attention', text: 'Plan died' },
  handed_in: { icon: 'server', tone: 'muted', text: 'Worker is back' },
  waiting: { icon: 'hourglass', tone: 'attention', text: 'waits' },
  waiting_ended: { icon: 'play', tone: 'accent', text: 'goes on' },
  refused: { icon: 'alert', tone: 'danger', text: 'was refused' },
};

function Happened({
  event,
  next,
  over,
  page,
}: {
  event: RunEvent;
  next: RunEvent | undefined;
  over: boolean;
  page: PageContext;
}) {
  const words = WORDS[event.type] ?? {
    icon: 'dot-fill',
    tone: 'muted',
    text: cut(event.type.replaceAll('_', ' '), 60),
  };
  const impersonal = /^[A-Z]/.test(words.text);
  const under = ['planning', 'applying'].includes(event.state) && event.type.endsWith('started');
  return (
    <li class="event">
      <span class={`event-badge tone-${words.tone}`}>
        <Icon name={words.icon} />
      </span>
      <div class="event-text">
        {!impersonal && <Login login={event.actor} />} {words.text}
        {impersonal && event.actor !== null && (
          <>
            {' '}
            by <Login login={event.actor} />
          </>
        )}{' '}
        <Time at={event.at} now={page.now} />
        {next && under && <span class="took">, took {elapsed(next.at.getTime() - event.at.getTime())}</span>}
        {!next && !over && under && (
          <span class="took">
            , <span data-since={event.at.toISOString()}>{elapsed(page.now.getTime() - event.at.getTime())}</span> so far
          </span>
        )}
        {event.detail && !words.quiet && (
          <p class="event-detail">
            <Foreign text={event.detail} max={500} />
          </p>
        )}
      </div>
    </li>
  );
}

function Comment({ event, page }: { event: RunEvent; page: PageContext }) {
  return (
    <li class="event event-comment">
      <span class="event-badge tone-muted">
        <Icon name="comment" />
      </span>
      <div class="comment">
        <p class="comment-head">
          <Login login={event.actor} /> commented <Time at={event.at} now={page.now} />
        </p>
        <div class="comment-text">
          <LongText text={event.detail ?? ''} characters={1_000} lines={20} />
        </div>
      </div>
    </li>
  );
}

/** The next event that brought the run into another state. */
function nextChange(timeline: RunEvent[], index: number): RunEvent | undefined {
  return timeline.slice(index + 1).find(({ state }) => state !== timeline[index]?.state);
}
