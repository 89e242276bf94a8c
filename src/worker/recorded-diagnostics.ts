import { join } from 'node:path';
import type { Run, RunDiagnostic, RunSnippet } from '../db/schema.js';
import type { Diagnostic, Snippet } from '../terraform/diagnostic.js';
import type { Mask } from '../variables/masking.js';

const MAX_LINES = 20;
const MAX_BYTES = 4_096;

/** Terraform's diagnostics as the record keeps them: secrets masked, files named from the repository's root. */
export function recordDiagnostics(run: Run, { mask }: { mask: Mask }, diagnostics: Diagnostic[]): RunDiagnostic[] {
  return diagnostics.map(({ severity, summary, detail, address, range, snippet }) => ({
    severity,
    summary: mask.mask(summary),
    detail: mask.mask(detail),
    ...(address === undefined ? {} : { address: mask.mask(address) }),
    ...(snippet === undefined ? {} : { snippet: recordSnippet(snippet, mask) }),
    ...(range === undefined
      ? {}
      : {
          file: join(run.settings.directory, range.filename),
          startLine: range.startLine,
          endLine: range.endLine,
        }),
  }));
}

/** Without `values`: what explains a problem may be secret. */
function recordSnippet({ code, context, startLine, highlight }: Snippet, mask: Mask): RunSnippet {
  const bytes = Buffer.from(code);
  const [start, end] = highlight;
  const parts = [bytes.subarray(0, start), bytes.subarray(start, end), bytes.subarray(end)];
  const [before = '', marked = '', after = ''] = parts.map((part) => mask.mask(part.toString()));
  const masked = mask.mask(code);
  const shown = beginning(masked);
  // A secret that reaches over an end of what is pointed at is found only in the whole.
  const canPoint = before + marked + after === masked && before.length + marked.length <= shown.length;
  return {
    code: shown,
    startLine,
    highlight: canPoint ? [before.length, before.length + marked.length] : [0, 0],
    ...(context !== undefined && { context: beginning(mask.mask(context)) }),
  };
}

function beginning(text: string): string {
  const lines = text.split('\n').slice(0, MAX_LINES).join('\n');
  const bytes = Buffer.from(lines);
  if (bytes.length <= MAX_BYTES) return lines;
  // Not a part of a character.
  return bytes
    .subarray(0, MAX_BYTES)
    .toString()
    .replace(/\uFFFD$/, '');
}
