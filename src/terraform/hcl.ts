import { ExactNumber } from './exact-numbers.js';

export type PathStep = string | number;

/** A path in HCL's notation: `rule[0].port`, `tags["a b"]`. */
export function pathText(path: readonly PathStep[]): string {
  return path
    .map((step, at) => {
      if (typeof step === 'number') return `[${step}]`;
      if (/^[A-Za-z_][\w-]*$/.test(step)) return at === 0 ? step : `.${step}`;
      return `[${quote(step)}]`;
    })
    .join('');
}

/** A value that has no parts. A string that is JSON or has several lines stays as it is; any other is quoted. */
export function scalarText(value: unknown): string {
  if (typeof value === 'string') return isDocument(value) ? value : quote(value);
  return value instanceof ExactNumber ? value.text : String(value);
}

export function quote(text: string): string {
  return JSON.stringify(text);
}

function isDocument(text: string): boolean {
  if (text.includes('\n')) return true;
  const trimmed = text.trim();
  if (!/^(\{.*\}|\[.*\])$/.test(trimmed)) return false;
  try {
    JSON.parse(trimmed);
    return true;
  } catch {
    return false;
  }
}
