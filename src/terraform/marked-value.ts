import { ExactNumber } from './exact-numbers.js';

/** Deeper than any configuration nests; Terraform's `jsondecode` would let a hostile one nest ten thousand deep. */
export const MAX_DEPTH = 64;

export type Json = Record<string, unknown>;

/** One side of a change: a value, and what Terraform says of its parts in values of the same shape. */
export interface MarkedValue {
  value: unknown;
  /** `true`: all of it is sensitive. Otherwise an object or list of marks. */
  sensitive: unknown;
  /** The other side's marks: a value that is, or will be, sensitive isn't shown at all. */
  alsoSensitive: unknown;
  /** In the same way: what isn't known before the apply. */
  unknown: unknown;
}

export const NOTHING: MarkedValue = { value: undefined, sensitive: false, alsoSensitive: false, unknown: false };

export type Kind = 'absent' | 'sensitive' | 'unknown' | 'scalar' | 'object' | 'list' | 'deep';

/** What there is to show. Marks that don't fit the value hide all of it. */
export function kindOf({ value, sensitive, alsoSensitive, unknown }: MarkedValue, depth: number): Kind {
  const absent = (value === null || value === undefined) && !hasTrue(unknown, depth);
  if (absent) return 'absent';
  if (sensitive === true || alsoSensitive === true) return 'sensitive';
  if (misfits(value, sensitive, unknown, depth) || misfits(value, alsoSensitive, unknown, depth, true)) {
    return 'sensitive';
  }
  if (unknown === true) return 'unknown';
  if (depth >= MAX_DEPTH) return 'deep';
  if (Array.isArray(value) || (value == null && Array.isArray(unknown))) return 'list';
  if (isObject(value) || (value == null && isObject(unknown))) return 'object';
  return 'scalar';
}

export function child(marked: MarkedValue, key: string | number): MarkedValue {
  const { value, sensitive, alsoSensitive, unknown } = marked;
  return {
    value: at(value, key),
    sensitive: at(sensitive, key),
    alsoSensitive: at(alsoSensitive, key),
    unknown: at(unknown, key),
  };
}

/** The keys of what is there, or will be. */
export function keysOf({ value, unknown }: MarkedValue): string[] {
  const there = isObject(value) ? Object.keys(value) : [];
  if (!isObject(unknown)) return there;
  const coming = Object.keys(unknown).filter((key) => !(isObject(value) && Object.hasOwn(value, key)));
  return [...there, ...coming.filter((key) => hasTrue(at(unknown, key), 0))];
}

export function lengthOf({ value, unknown }: MarkedValue): number {
  return Math.max(Array.isArray(value) ? value.length : 0, Array.isArray(unknown) ? unknown.length : 0);
}

export function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof ExactNumber);
}

/** Whether anything in it is marked. What is nested too deeply counts as marked. */
export function hasTrue(marks: unknown, depth: number): boolean {
  if (marks === true) return true;
  if (typeof marks !== 'object' || marks === null) return false;
  if (depth > MAX_DEPTH) return true;
  return Object.values(marks).some((mark) => hasTrue(mark, depth + 1));
}

/** `loosely`: marks of the other side, whose lists may well be longer or shorter. */
function misfits(value: unknown, marks: unknown, unknown: unknown, depth: number, loosely = false): boolean {
  if (typeof marks !== 'object' || marks === null) return false;
  const lengths = [Array.isArray(value) ? value.length : 0, Array.isArray(unknown) ? unknown.length : 0];
  const fits = Array.isArray(marks)
    ? (Array.isArray(value) || (value == null && Array.isArray(unknown))) &&
      (loosely || marks.length === Math.max(...lengths))
    : isObject(value) || (value == null && isObject(unknown));
  return !fits && hasTrue(marks, depth);
}

function at(holder: unknown, key: string | number): unknown {
  // `true` for a whole is `true` for each part.
  if (holder === true) return true;
  if (Array.isArray(holder)) return typeof key === 'number' ? holder[key] : undefined;
  return isObject(holder) && typeof key === 'string' && Object.hasOwn(holder, key) ? holder[key] : undefined;
}
