import type { RunDiagnostic } from '../db/schema.js';
import type { CheckRunAnnotation } from './check-run-content.js';
import { oneLine, plain, shorten } from './markdown.js';

/** As many as GitHub takes in one request. */
export const MAX_ANNOTATIONS = 50;

/** Terraform's messages on the lines that they are about, errors first. */
export function annotationsOf(diagnostics: RunDiagnostic[]): CheckRunAnnotation[] {
  const bySeverity = [...diagnostics].sort((a, b) => Number(b.severity === 'error') - Number(a.severity === 'error'));
  return bySeverity.flatMap(annotationOf).slice(0, MAX_ANNOTATIONS);
}

/** Whether a message has a line to stand on. */
export function canAnnotate({ file, startLine }: RunDiagnostic): boolean {
  return Boolean(file) && Number.isSafeInteger(startLine) && Number(startLine) > 0;
}

function annotationOf(diagnostic: RunDiagnostic): CheckRunAnnotation[] {
  const { file, startLine, endLine, severity, summary, detail, address } = diagnostic;
  if (!file || !startLine || !canAnnotate(diagnostic)) return [];
  const message = plain([detail || summary, address && `with ${address}`].filter(Boolean).join('\n\n')).trim();
  return [
    {
      path: file,
      start_line: startLine,
      end_line: endLine && endLine > startLine ? endLine : startLine,
      annotation_level: severity === 'error' ? 'failure' : 'warning',
      title: shorten(oneLine(summary), 255),
      message: shorten(message, 8_000) || 'Terraform gave no details.',
    },
  ];
}
