import type { RunDiagnostic } from '../../db/schema.js';
import { fileUrl } from './addresses.js';
import { cut, Foreign, LongText } from './foreign.js';
import { Icon } from './icon.js';
import type { PageContext } from './page-context.js';
import type { RepositoryName, ShownRun } from './shown-run.js';

/** Lines of the file that a diagnostic is about, as Terraform quotes them. */
export interface QuotedCode {
  /** The block they are in, like `resource "x" "y"`. */
  context?: string;
  code: string;
  /** The first line's number, from 1. */
  startLine: number;
  /** What to point at, as offsets in `code` (UTF-16, as JavaScript counts); equal ones: nothing. */
  highlight?: [start: number, end: number];
}

export type ShownDiagnostic = RunDiagnostic & { snippet?: QuotedCode };

const SHOWN = 50;

/** What went wrong, each message beside the code it speaks of. */
export function RunDiagnostics({ shown, page }: { shown: ShownRun; page: PageContext }) {
  const { run, repository } = shown;
  const diagnostics: ShownDiagnostic[] = run.diagnostics ?? [];
  const known = diagnostics.some(({ summary, detail }) => run.error?.includes(summary) || run.error?.includes(detail));
  const ownError = run.error && !known ? run.error : undefined;
  return (
    <section id="diagnostics" class="run-diagnostics" aria-label="Errors and warnings">
      {ownError && (
        <article class="diagnostic diagnostic-error">
          <pre class="diagnostic-detail">{cut(ownError.trim(), 12_000)}</pre>
        </article>
      )}
      {diagnostics.slice(0, SHOWN).map((diagnostic) => (
        <Diagnostic diagnostic={diagnostic} sha={run.commit_sha} repository={repository} page={page} />
      ))}
      {diagnostics.length > SHOWN && <p class="quiet">And {diagnostics.length - SHOWN} more in the output.</p>}
    </section>
  );
}

interface DiagnosticProps {
  diagnostic: ShownDiagnostic;
  sha: string;
  repository: RepositoryName;
  page: PageContext;
}

function Diagnostic({ diagnostic, sha, repository, page }: DiagnosticProps) {
  const { severity, summary, detail, address, file, startLine, endLine, snippet } = diagnostic;
  const error = severity === 'error';
  return (
    <article class={`diagnostic diagnostic-${severity}`}>
      <header class="diagnostic-head">
        <Icon name={error ? 'x-circle-fill' : 'alert'} tone={error ? 'danger' : 'attention'} />
        <h2 class="diagnostic-title">
          {error ? 'Error' : 'Warning'}: <Foreign text={summary} max={300} />
        </h2>
      </header>
      {(file !== undefined || address !== undefined) && (
        <p class="diagnostic-place">
          {file !== undefined && (
            <a href={fileUrl(page.githubUrl, repository, { sha, path: file, startLine, endLine })}>
              <Icon name="file" /> <Foreign text={file} max={300} />
              {startLine !== undefined && `:${startLine}`}
            </a>
          )}
          {address !== undefined && (
            <span>
              with{' '}
              <code>
                <Foreign text={address} max={300} />
              </code>
            </span>
          )}
        </p>
      )}
      {snippet && <CodeLines snippet={snippet} />}
      {detail.trim() !== '' && (
        <div class="diagnostic-detail">
          <LongText text={detail.trim()} characters={1_500} lines={30} />
        </div>
      )}
    </article>
  );
}

function CodeLines({ snippet }: { snippet: QuotedCode }) {
  const [start, end] = snippet.highlight ?? [0, 0];
  let offset = 0;
  return (
    <table class="code-lines">
      <caption class="sr-only">{snippet.context ?? 'The lines that this is about'}</caption>
      <tbody>
        {snippet.code.split('\n').map((line, index) => {
          const from = offset;
          const to = from + line.length;
          offset = to + 1;
          const marked = [Math.max(from, start), Math.min(to, end)] as const;
          const [a, b] = marked[0] < marked[1] ? marked : ([to, to] as const);
          const part = (x: number, y: number) => line.slice(x - from, y - from);
          return (
            <tr class={a < b ? 'code-marked' : undefined}>
              <td class="code-number" data-line={snippet.startLine + index}></td>
              <td class="code-text">
                <bdi>
                  {part(from, a)}
                  {a < b && <mark>{part(a, b)}</mark>}
                  {part(b, to)}
                </bdi>
              </td>
            </tr>
          );
        })}
      </tbody>
    </table>
  );
}
