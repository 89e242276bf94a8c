import { z } from 'zod';
import { colour } from './colour.js';

/** Where in the configuration something is wrong. Lines and columns count from 1; columns are characters. */
export interface SourceRange {
  /** Relative to the workspace's directory, as Terraform was run there. */
  filename: string;
  startLine: number;
  startColumn?: number;
  endLine: number;
  endColumn?: number;
}

/** An error or a warning of Terraform's. */
export interface Diagnostic {
  severity: 'error' | 'warning';
  summary: string;
  detail: string;
  /** The resource it is about. */
  address?: string;
  range?: SourceRange;
  snippet?: Snippet;
}

/** The lines of source that a diagnostic is about. */
export interface Snippet {
  /** The block they are in, like `resource "x" "y"`. */
  context?: string;
  code: string;
  /** The first line's number, from 1. */
  startLine: number;
  /** What to point at, as UTF-8 byte offsets in `code`. */
  highlight: [start: number, end: number];
  /** Values that explain the problem, like `var.x is "foo"`. */
  values: string[];
}

const position = z.object({ line: z.number(), column: z.number().optional() });

const wire = z.object({
  severity: z.string(),
  summary: z.string(),
  detail: z.string().default(''),
  address: z.string().optional(),
  range: z.object({ filename: z.string(), start: position, end: position }).optional().catch(undefined),
  snippet: z
    .object({
      context: z.string().nullish(),
      code: z.string(),
      start_line: z.number(),
      highlight_start_offset: z.number().default(0),
      highlight_end_offset: z.number().default(0),
      values: z.array(z.object({ traversal: z.string(), statement: z.string() })).nullish(),
    })
    .optional()
    .catch(undefined),
});

/**
 * Reads the `diagnostic` of a message.
 *
 * @returns `undefined` when it has no summary
 */
export function parseDiagnostic(value: unknown): Diagnostic | undefined {
  const parsed = wire.safeParse(value);
  if (!parsed.success) return undefined;
  const { severity, summary, detail, address, range, snippet } = parsed.data;
  return {
    severity: severity === 'warning' ? 'warning' : 'error',
    summary,
    detail,
    ...(address !== undefined && { address }),
    ...(range && {
      range: {
        filename: range.filename,
        startLine: range.start.line,
        ...(range.start.column !== undefined && { startColumn: range.start.column }),
        endLine: range.end.line,
        ...(range.end.column !== undefined && { endColumn: range.end.column }),
      },
    }),
    ...(snippet && {
      snippet: {
        ...(snippet.context != null && { context: snippet.context }),
        code: snippet.code,
        startLine: snippet.start_line,
        highlight: [snippet.highlight_start_offset, snippet.highlight_end_offset],
        values: (snippet.values ?? []).map(({ traversal, statement }) => `${traversal} ${statement}`),
      },
    }),
  };
}

/** The diagnostic as Terraform prints it, with colour; without, it is what `-no-color` prints, lines unwrapped. */
export function renderDiagnostic(diagnostic: Diagnostic): string {
  const { severity, summary, detail, address, range, snippet } = diagnostic;
  const title = severity === 'error' ? colour.red(colour.bold('Error: ')) : colour.yellow(colour.bold('Warning: '));
  const place: string[] = [];
  if (address !== undefined) place.push(`  with ${address}${range ? ',' : ''}`);
  if (range !== undefined) {
    const context = snippet?.context === undefined ? '' : `, in ${snippet.context}`;
    place.push(`  on ${range.filename} line ${range.startLine}${context}:`);
  }
  if (snippet !== undefined) {
    highlighted(snippet).forEach((line, at) => {
      place.push(`${String(snippet.startLine + at).padStart(4)}: ${line}`);
    });
    if (snippet.values.length > 0) {
      place.push('    ├────────────────', ...snippet.values.map((value) => `    │ ${value}`));
    }
  }
  const parts = [`${title}${colour.bold(summary)}`, place.join('\n'), detail.replace(/\n+$/, '')];
  return `\n${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

function highlighted({ code, highlight }: Snippet): string[] {
  const bytes = Buffer.from(code);
  const [start, end] = highlight;
  const marked = bytes.subarray(start, end).toString();
  if (marked === '' || marked.includes('\n')) return code.split('\n');
  return `${bytes.subarray(0, start)}${colour.underline(marked)}${bytes.subarray(end)}`.split('\n');
}
