import type { Child } from 'hono/jsx';
import type { RunProgress } from '../../db/schema.js';
import { plural } from '../../reports/words.js';
import { elapsed } from '../browser/relative-time.js';
import { Foreign } from './foreign.js';
import { Icon, type IconName } from './icon.js';
import type { PageContext } from './page-context.js';
import { QueueWords } from './queue-explanation.js';
import { type RunStage, stagesOf } from './run-stages.js';
import type { ShownRun } from './shown-run.js';
import { Spinner, type Tone } from './state.js';

/** How far the run is: its stages, what a pending one waits for, and each resource of an apply. */
export function RunProgressRegion({ shown, page }: { shown: ShownRun; page: PageContext }) {
  const { run, explanation, repository, timeline } = shown;
  return (
    <section id="progress" class="run-progress" aria-label="Progress">
      <ol class="stages">
        {stagesOf(run, timeline, page.now).map((stage) => (
          <StageStep stage={stage} />
        ))}
      </ol>
      {run.state === 'pending' && explanation && (
        <QueueWords queue={explanation} repository={repository} workspace={run.settings.name} page={page} />
      )}
      {run.progress && (
        <ApplyProgress progress={run.progress} running={run.state === 'applying'} failed={failedOf(run)} />
      )}
    </section>
  );
}

const LOOKS: Record<RunStage['look'], { icon: IconName | 'spinner'; tone: Tone; word: string }> = {
  done: { icon: 'check-circle-fill', tone: 'success', word: 'done' },
  running: { icon: 'spinner', tone: 'accent', word: 'running' },
  waiting: { icon: 'clock', tone: 'attention', word: 'waiting' },
  failed: { icon: 'x-circle-fill', tone: 'danger', word: 'failed' },
  stopped: { icon: 'stop', tone: 'muted', word: 'stopped' },
  skipped: { icon: 'skip', tone: 'muted', word: 'not reached' },
  ahead: { icon: 'circle', tone: 'muted', word: 'to come' },
};

function StageStep({ stage }: { stage: RunStage }) {
  const { icon, tone, word } = LOOKS[stage.look];
  const current = stage.look === 'running' || stage.look === 'waiting';
  return (
    <li class={`stage stage-${stage.look}`} aria-current={current ? 'step' : undefined}>
      {icon === 'spinner' ? <Spinner tone={tone} /> : <Icon name={icon} tone={tone} />}
      <span class="stage-name">{stage.name}</span>
      <span class="stage-time">
        {stage.since ? (
          <span data-since={stage.since.toISOString()}>{elapsed(stage.spentMs ?? 0)}</span>
        ) : stage.look === 'ahead' || stage.look === 'skipped' || stage.spentMs === undefined ? (
          word
        ) : (
          elapsed(stage.spentMs)
        )}
        {stage.look !== 'ahead' && stage.look !== 'skipped' && <span class="sr-only">, {word}</span>}
      </span>
    </li>
  );
}

/** Addresses that an error of Terraform's is about. */
function failedOf({ diagnostics }: ShownRun['run']): string[] {
  const errors = (diagnostics ?? []).filter(({ severity }) => severity === 'error');
  return [...new Set(errors.flatMap(({ address }) => (address === undefined ? [] : [address])))];
}

const DONE_SHOWN = 5;

function ApplyProgress({ progress, running, failed }: { progress: RunProgress; running: boolean; failed: string[] }) {
  const done = [...(progress.done ?? [])].reverse();
  const text = [
    `${progress.applied} of ${plural(progress.total, 'resource')} applied`,
    ...(progress.failed > 0 ? [`${progress.failed} failed`] : []),
    ...(running && progress.inFlight.length > 0 ? [`${progress.inFlight.length} in progress`] : []),
  ].join(', ');
  return (
    <div class="apply-progress">
      <p class="apply-text">{text}</p>
      <Bar progress={progress} running={running} text={text} />
      <ul class="apply-list">
        {failed.slice(0, progress.failed).map((address) => (
          <Line address={address} icon={<Icon name="x-circle-fill" tone="danger" />} word="failed" />
        ))}
        {(progress.unsaved ?? []).map((address) => (
          <Line
            address={address}
            icon={<Icon name="alert" tone="danger" />}
            word="done, but not in the state on record"
          />
        ))}
        {progress.inFlight.map((address) => (
          <Line
            address={address}
            icon={running ? <Spinner tone="accent" /> : <Icon name="alert" tone="attention" />}
            word={running ? 'in progress' : 'was in progress when it ended'}
          />
        ))}
        {done.slice(0, running ? DONE_SHOWN : 0).map(doneLine)}
      </ul>
      {done.length > (running ? DONE_SHOWN : 0) && (
        <details class="more" data-keep="progress-done">
          <summary>{running ? `${done.length - DONE_SHOWN} more done` : `${done.length} done`}</summary>
          <ul class="apply-list">{done.slice(running ? DONE_SHOWN : 0).map(doneLine)}</ul>
        </details>
      )}
    </div>
  );
}

function doneLine(address: string) {
  return <Line address={address} icon={<Icon name="check" tone="success" />} word="done" />;
}

function Line({ address, icon, word }: { address: string; icon: Child; word: string }) {
  return (
    <li>
      {icon}
      <code class="address">
        <Foreign text={address} max={300} />
      </code>
      <span class="quiet">{word}</span>
    </li>
  );
}

/** Drawn, not styled: a width in a style attribute is what the content security policy forbids. */
function Bar({ progress, running, text }: { progress: RunProgress; running: boolean; text: string }) {
  const percent = (count: number) => (100 * count) / Math.max(1, progress.total);
  const applied = percent(progress.applied);
  const failed = percent(progress.failed);
  const inFlight = running ? Math.min(100 - applied - failed, percent(progress.inFlight.length)) : 0;
  return (
    <div
      class="bar"
      role="progressbar"
      aria-label="Apply"
      aria-valuemin={0}
      aria-valuemax={progress.total}
      aria-valuenow={progress.applied}
      aria-valuetext={text}
    >
      <svg width="100%" height="8" aria-hidden="true">
        <rect class="bar-done" width={`${applied}%`} height="8" />
        <rect class="bar-failed" x={`${applied}%`} width={`${failed}%`} height="8" />
        <rect class="bar-running" x={`${applied + failed}%`} width={`${Math.max(0, inFlight)}%`} height="8" />
      </svg>
    </div>
  );
}
