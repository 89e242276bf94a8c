import { type RunState, stateTitle } from '../../runs/machine.js';
import { Icon, type IconName } from './icon.js';

export type Tone = 'accent' | 'attention' | 'danger' | 'muted' | 'success';

const LOOKS: Record<RunState, { icon: IconName | 'spinner'; tone: Tone }> = {
  pending: { icon: 'clock', tone: 'muted' },
  planning: { icon: 'spinner', tone: 'accent' },
  needs_confirmation: { icon: 'feed-person', tone: 'attention' },
  confirmed: { icon: 'hourglass', tone: 'accent' },
  applying: { icon: 'spinner', tone: 'accent' },
  applied: { icon: 'check-circle-fill', tone: 'success' },
  no_changes: { icon: 'check-circle', tone: 'success' },
  planned: { icon: 'check-circle-fill', tone: 'success' },
  plan_errored: { icon: 'x-circle-fill', tone: 'danger' },
  apply_errored: { icon: 'x-circle-fill', tone: 'danger' },
  discarded: { icon: 'circle-slash', tone: 'muted' },
  canceled: { icon: 'stop', tone: 'muted' },
};

export function toneOf(state: RunState): Tone {
  return LOOKS[state].tone;
}

export function StateIcon({ state, plain }: { state: RunState; plain?: boolean }) {
  const { icon, tone } = LOOKS[state];
  const shown = plain ? undefined : tone;
  return icon === 'spinner' ? <Spinner tone={shown} /> : <Icon name={icon} tone={shown} />;
}

/** A ring that turns: at work. */
export function Spinner({ tone }: { tone?: Tone | undefined }) {
  return (
    <svg class={`spinner${tone ? ` fg-${tone}` : ''}`} width="16" height="16" viewBox="0 0 16 16" aria-hidden="true">
      <circle cx="8" cy="8" r="6.5" fill="none" stroke="currentColor" stroke-width="2" opacity=".3" />
      <path d="M8 1.5A6.5 6.5 0 0 1 14.5 8" fill="none" stroke="currentColor" stroke-width="2" stroke-linecap="round" />
      <circle cx="8" cy="8" r="3" fill="currentColor" />
    </svg>
  );
}

/** Icon and word on colour, as GitHub shows that a pull request is open. */
export function StateLabel({ state }: { state: RunState }) {
  return (
    <span class={`state-label bg-${toneOf(state)}`}>
      <StateIcon state={state} plain />
      {stateTitle(state)}
    </span>
  );
}

/** Icon and word in a row of a list. */
export function StateWord({ state }: { state: RunState }) {
  return (
    <span class={`state-word fg-${toneOf(state)}`}>
      <StateIcon state={state} plain />
      {stateTitle(state)}
    </span>
  );
}

/** For a tab's title, where there are no icons. */
export function stateMark(state: RunState): string {
  return { accent: '●', attention: '◆', danger: '✕', muted: '○', success: '✓' }[toneOf(state)];
}

/** In the order in which a run goes through them. */
export const RUN_STATES = Object.keys(LOOKS) as RunState[];
