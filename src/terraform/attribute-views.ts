import { isDeepStrictEqual } from 'node:util';
import { type PathStep, pathText, quote, scalarText } from './hcl.js';
import {
  child,
  hasTrue,
  type Json,
  type Kind,
  keysOf,
  kindOf,
  lengthOf,
  MAX_DEPTH,
  type MarkedValue,
} from './marked-value.js';

export type ValueView = { kind: 'value'; text: string } | { kind: 'sensitive' } | { kind: 'unknown' };

export interface AttributeView {
  /** In HCL's notation, like `rule[0].port` or `tags["a b"]`. */
  path: string;
  change: 'add' | 'remove' | 'change' | 'same';
  before?: ValueView;
  after?: ValueView;
  forcesReplacement: boolean;
}

/** Both sides of a change. `collect` is given each text that must not be shown anywhere. */
export function sidesOf(change: Json, collect: (secret: string) => void): [before: MarkedValue, after: MarkedValue] {
  const { before_sensitive, after_sensitive, after_unknown } = change;
  const before = { value: change.before, sensitive: before_sensitive, alsoSensitive: after_sensitive, unknown: false };
  const after = {
    value: change.after,
    sensitive: after_sensitive,
    alsoSensitive: before_sensitive,
    unknown: after_unknown,
  };
  collectSecrets(before, 0, collect);
  collectSecrets(after, 0, collect);
  return [before, after];
}

/** What is nested so deeply that it can't even be compared counts as changed. */
function areEqual(a: unknown, b: unknown): boolean {
  try {
    return isDeepStrictEqual(a, b);
  } catch {
    return false;
  }
}

/** What distinguishes a resource from others of its kind, shown also where it stays as it is. */
const TELLING = new Set(['id', 'name']);

/**
 * The attributes that change, by path; of those that don't, the few that help to recognise the resource.
 *
 * @param replacePaths `replace_paths`: what forces a replacement
 */
export function attributeViews(before: MarkedValue, after: MarkedValue, replacePaths: unknown): AttributeView[] {
  const views: AttributeView[] = [];
  const forcing = Array.isArray(replacePaths) ? replacePaths.filter(Array.isArray) : [];
  // Of what appears or goes as a whole, what is empty tells nothing.
  const isWhole = kindOf(before, 0) === 'absent' || kindOf(after, 0) === 'absent';
  const emit = (path: PathStep[], [b, kb]: Side, [a, ka]: Side, depth: number) => {
    const isEqual = kb === ka && areEqual(a.value, b.value) && !hasTrue(a.unknown, depth);
    const isRemarked = kb === 'sensitive' && (b.sensitive === true) !== (a.sensitive === true);
    if (isEqual && !isRemarked && !(path.length === 1 && TELLING.has(String(path[0])))) return;
    const old = viewOf(b, kb, depth);
    const fresh = viewOf(a, ka, depth);
    const change = isEqual ? 'same' : old === undefined ? 'add' : fresh === undefined ? 'remove' : 'change';
    views.push({
      path: isLong(path) ? TOO_LONG : pathText(path),
      change,
      ...(old && { before: old }),
      ...(fresh && { after: fresh }),
      forcesReplacement: change !== 'same' && forcing.some((steps) => isWithin(path, steps)),
    });
  };
  const walk = (path: PathStep[], b: MarkedValue, a: MarkedValue, depth: number): void => {
    if (isPlainlyEqual(b, a) && depth > 1) return;
    const kb = kindOf(b, depth);
    const ka = kindOf(a, depth);
    const kind = kb === 'absent' ? ka : kb;
    if (kind === 'absent') return;
    const canDescend = (kind === 'object' || kind === 'list') && (kb === ka || kb === 'absent' || ka === 'absent');
    if (!canDescend) {
      emit(path, [b, kb], [a, ka], depth);
      return;
    }
    const steps = kind === 'list' ? indexes(Math.max(lengthOf(b), lengthOf(a))) : sortedKeys(b, a);
    if (steps.length === 0 && path.length > 0 && !isWhole) emit(path, [b, kb], [a, ka], depth);
    for (const step of steps) walk([...path, step], child(b, step), child(a, step), depth + 1);
  };
  walk([], before, after, 0);
  return views;
}

/** Most attributes are: the short way past them halves the cost of a large plan. */
function isPlainlyEqual(b: MarkedValue, a: MarkedValue): boolean {
  return b.value === a.value && typeof b.value !== 'object' && b.sensitive === a.sensitive && !a.unknown;
}

const TOO_LONG = '(a path too long to be shown)';
/** In characters. Else one long key would be there again for each of the thousands of values in it. */
const LONGEST_PATH = 2_000;

function isLong(path: readonly PathStep[]): boolean {
  return path.reduce<number>((sum, step) => sum + String(step).length, 0) > LONGEST_PATH;
}

type Side = [value: MarkedValue, kind: Kind];

/** A value in one piece. */
export function wholeView(marked: MarkedValue): ValueView | undefined {
  return viewOf(marked, kindOf(marked, 0), 0);
}

const TOO_DEEP = '(nested too deeply to be shown)';

function viewOf(marked: MarkedValue, kind: Kind, depth: number): ValueView | undefined {
  switch (kind) {
    case 'absent':
      return undefined;
    case 'sensitive':
    case 'unknown':
      return { kind };
    case 'scalar':
      return { kind: 'value', text: scalarText(marked.value) };
    case 'deep':
      return { kind: 'value', text: TOO_DEEP };
    default:
      if (hasTrue(marked.sensitive, depth) || hasTrue(marked.alsoSensitive, depth)) return { kind: 'sensitive' };
      return { kind: 'value', text: nestedText(marked, depth, '') };
  }
}

/** Nothing in it is sensitive. */
function nestedText(marked: MarkedValue, depth: number, indent: string): string {
  const kind = kindOf(marked, depth);
  const deeper = `${indent}  `;
  if (kind === 'object') {
    const lines = keysOf(marked).map((key) => {
      const name = /^[A-Za-z_][\w-]*$/.test(key) ? key : quote(key);
      return `${deeper}${name} = ${nestedText(child(marked, key), depth + 1, deeper)}\n`;
    });
    return lines.length === 0 ? '{}' : `{\n${lines.join('')}${indent}}`;
  }
  if (kind === 'list') {
    const lines = indexes(lengthOf(marked)).map(
      (step) => `${deeper}${nestedText(child(marked, step), depth + 1, deeper)},\n`,
    );
    return lines.length === 0 ? '[]' : `[\n${lines.join('')}${indent}]`;
  }
  if (kind === 'unknown') return '(known after apply)';
  if (kind === 'sensitive') return '(sensitive value)';
  if (kind === 'absent') return 'null';
  if (kind === 'deep') return TOO_DEEP;
  return typeof marked.value === 'string' ? quote(marked.value) : scalarText(marked.value);
}

function collectSecrets(marked: MarkedValue, depth: number, collect: (secret: string) => void): void {
  const kind = kindOf(marked, depth);
  if (kind === 'sensitive') collectTexts(marked.value, depth, collect);
  if (!hasTrue(marked.sensitive, depth) && !hasTrue(marked.alsoSensitive, depth)) return;
  if (kind === 'object') {
    for (const key of keysOf(marked)) collectSecrets(child(marked, key), depth + 1, collect);
  } else if (kind === 'list') {
    for (const step of indexes(lengthOf(marked))) collectSecrets(child(marked, step), depth + 1, collect);
  }
}

export function collectTexts(value: unknown, depth: number, collect: (text: string) => void): void {
  if (typeof value === 'string') collect(value);
  if (depth > MAX_DEPTH || typeof value !== 'object' || value === null) return;
  for (const part of Object.values(value)) collectTexts(part, depth + 1, collect);
}

/** Either may be the longer one: what is hidden as a whole is shown as a whole. */
function isWithin(path: PathStep[], steps: unknown[]): boolean {
  const length = Math.min(path.length, steps.length);
  return path.slice(0, length).every((step, at) => step === steps[at]);
}

function sortedKeys(b: MarkedValue, a: MarkedValue): string[] {
  const keys = keysOf(a);
  const known = new Set(keys);
  for (const key of keysOf(b)) if (!known.has(key)) keys.push(key);
  return keys.sort();
}

function indexes(length: number): number[] {
  return Array.from({ length }, (_, at) => at);
}
