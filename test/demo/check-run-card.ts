import type { Annotation, CheckRun } from '../support/github/index.js';
import { blocksOf, renderMarkdown } from './markdown.js';
import { clip, lineWidth, paint, wrap } from './terminal.js';

const BAR = '  │ ';

/** What the title and the end of the story tell too: counts, facts and timeline. */
const TOLD_ELSEWHERE = /^\| (Destroy|Trigger|Stage) /;

/** Lines of Terraform's output that are shown, and a few more rather than to cut those few. */
const OUTPUT_SHOWN = 16;

/** Where a plan's output comes to the point. */
const POINT = /^(Terraform will perform|No changes\.)/;

export interface CardOptions {
  /** Only what is, without what was found and Terraform's output. */
  brief?: boolean;
  /** The files that its annotations stand in, by path. */
  sources?: Record<string, string>;
}

/** A check run as GitHub's page shows it. */
export function checkRunCard(run: CheckRun, { brief = false, sources = {} }: CardOptions = {}): string[] {
  const columns = lineWidth() - BAR.length;
  const summary = blocksOf(run.summary ?? '').filter((block) => !TOLD_ELSEWHERE.test(block));
  const parts = [
    buttonsOf(run),
    renderMarkdown(summary.slice(0, brief ? 2 : undefined).join('\n\n'), columns),
    ...run.annotations.map((annotation) => annotationCard(annotation, sources, columns)),
    brief ? [] : outputOf(run).map((line) => paint('dim', clip(line, columns))),
  ].filter((lines) => lines.length > 0);
  const body = parts.flatMap((lines, index) => (index > 0 ? ['', ...lines] : lines));
  return [checkRunLine(run), ...body.map((line) => `${paint('dim', BAR)}${line}`.trimEnd())];
}

/** A check run in the list below a commit. */
export function checkRunLine(run: CheckRun): string {
  const title = run.title ? `  ${run.title}` : '';
  return `  ${symbolOf(run)} ${paint('bold', run.name)}${title}  ${paint('dim', `on ${run.headSha.slice(0, 7)}`)}`;
}

/** In GitHub's colours. */
function symbolOf(run: CheckRun): string {
  switch (run.status === 'completed' ? run.conclusion : run.status) {
    case 'success':
      return paint('green', '✔');
    case 'failure':
      return paint('red', '✘');
    case 'action_required':
      return paint('yellow', '!');
    case 'in_progress':
      return paint('yellow', '●');
    case 'queued':
      return paint('yellow', '○');
    default:
      return paint('gray', '■');
  }
}

function annotationCard(annotation: Annotation, sources: Record<string, string>, columns: number): string[] {
  const { path, start_line: number, title = '', message } = annotation;
  const source = sources[path]?.split('\n')[number - 1];
  const gutter = ' '.repeat(String(number).length);
  return [
    paint('underline', `${path}:${number}`),
    ...(source === undefined ? [] : [`${paint('dim', `${number} │`)} ${source}`]),
    `${paint('dim', `${gutter} ╰`)} ${paint(['red', 'bold'], title)}`,
    ...message
      .split('\n')
      .flatMap((line) => wrap(line, columns - gutter.length - 3).map((part) => `${gutter}   ${part}`)),
  ];
}

function outputOf({ text }: CheckRun): string[] {
  const output = blocksOf(text ?? '').find((block) => block.startsWith('```'));
  const lines = output === undefined ? [] : output.split('\n').slice(1, -1);
  const point = lines.findIndex((line) => POINT.test(line));
  const told = point > 0 ? lines.slice(point) : lines;
  const half = OUTPUT_SHOWN / 2;
  const left = told.length - 2 * half;
  return left < 4 ? told : [...told.slice(0, half), `… ${left} lines …`, ...told.slice(-half)];
}

function buttonsOf({ status, actions }: CheckRun): string[] {
  if (status !== 'completed' || actions.length === 0) return [];
  return [actions.map(({ label }) => paint('inverse', `[ ${label} ]`)).join('  ')];
}
