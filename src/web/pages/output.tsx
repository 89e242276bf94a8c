import { type AnsiState, parseAnsi, type Span } from '../browser/ansi.js';
import { outputPath } from './addresses.js';

export interface OutputProps {
  run: string;
  stage: 'plan' | 'apply';
  /** As the record has it, colour codes and all: the beginning. A quarter of a MiB takes 0.2 s to be written. */
  text: string;
  /** The place that `text` reaches to, as `/runs/<id>/events` takes it. Undefined: there is no text yet. */
  position: string | undefined;
  /** There is more than `text`. */
  more: boolean;
  /** The stage is under way: it is shown unfolded. */
  running: boolean;
  /** Why there is no text and will be none: a sentence. */
  removed?: string | undefined;
}

/** As many as the script in the browser puts into a chunk. */
const CHUNK_LINES = 200;

/** What Terraform printed. The script goes on from where this ends; without it, the rest is in Raw. */
export function Output({ run, stage, text, position, more, running, removed }: OutputProps) {
  const title = stage === 'plan' ? 'Plan output' : 'Apply output';
  const { lines, state } = linesOf(text);
  const raw = outputPath(run, stage);
  return (
    <section
      class="Output"
      data-run={run}
      data-stage={stage}
      data-attempt={position?.split('.')[1]}
      data-position={position}
      data-ansi={JSON.stringify(state)}
      data-running={running ? '' : undefined}
      hidden={text === '' && !more && !running && removed === undefined}
    >
      <details class="Output-fold" open={running}>
        <summary class="Output-summary">{title}</summary>
        {removed !== undefined ? (
          <p class="Output-removed">{removed}</p>
        ) : (
          <>
            <div class="Output-toolbar">
              <div class="Output-search" hidden>
                <input
                  class="form-control input-sm Output-query"
                  type="search"
                  placeholder="Search output"
                  aria-label="Search output"
                />
                <span class="Output-count" aria-live="polite" />
                <button class="btn btn-sm" type="button" data-step="-1">
                  Previous match
                </button>
                <button class="btn btn-sm" type="button" data-step="1">
                  Next match
                </button>
              </div>
              <a class="Output-link Output-link--end" href={`#${stage}-end`}>
                To the end
              </a>
              <a class="Output-link" href={raw}>
                Raw
              </a>
            </div>
            <div class="Output-log" role="log" aria-label={title} aria-live="off" tabindex={0} data-stage={stage}>
              {chunksOf(lines).map((chunk, at) => (
                <div class={chunk.length === CHUNK_LINES ? 'Output-chunk Output-chunk--full' : 'Output-chunk'}>
                  {chunk.map((line, offset) => (
                    <Line stage={stage} number={at * CHUNK_LINES + offset + 1} spans={line} />
                  ))}
                </div>
              ))}
            </div>
            {more && (
              <p class="Output-more">
                This is the beginning. All of it is in <a href={raw}>Raw</a>.
              </p>
            )}
            <span id={`${stage}-end`} />
          </>
        )}
      </details>
    </section>
  );
}

function Line({ stage, number, spans }: { stage: string; number: number; spans: Span[] }) {
  const id = `${stage}-L${number}`;
  return (
    <>
      {/* biome-ignore lint/a11y/useAnchorContent: its number is drawn by CSS, so that nobody copies it. */}
      <a id={id} data-line={number} href={`#${id}`} tabindex={-1} aria-label={`Line ${number}`} />
      {spans.map(({ text, classes }) => (classes === '' ? text : <span class={classes}>{text}</span>))}
    </>
  );
}

function linesOf(text: string): { lines: Span[][]; state: AnsiState } {
  const { spans, state } = parseAnsi(text);
  const lines: Span[][] = [];
  let line: Span[] | undefined;
  for (const span of spans) {
    if (line === undefined) {
      line = [];
      lines.push(line);
    }
    line.push(span);
    if (span.text.endsWith('\n')) line = undefined;
  }
  return { lines, state };
}

function chunksOf(lines: Span[][]): Span[][][] {
  return Array.from({ length: Math.ceil(lines.length / CHUNK_LINES) }, (_, at) =>
    lines.slice(at * CHUNK_LINES, (at + 1) * CHUNK_LINES),
  );
}
