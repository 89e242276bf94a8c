import type { SettingKey } from '../db/schema.js';
import { compileGlob } from './glob.js';

/** What may be asked of a pull request before its runs are applied. */
export const APPLY_REQUIREMENTS = ['mergeable', 'undiverged', 'approved'] as const;
export type ApplyRequirement = (typeof APPLY_REQUIREMENTS)[number];

/** The settings of one workspace, as the default branch states them. */
export interface WorkspaceSettings {
  name: string;
  /** From the repository's root, without a trailing slash; `.` is the root. */
  directory: string;
  /** Absent: the default branch. */
  branch?: string;
  autoApply: boolean;
  /** Directories, written as `directory` is. */
  triggerPrefixes: string[];
  triggerPatterns: string[];
  applyRequirements: ApplyRequirement[];
  supersedePending: boolean;
  /** Where the settings file names it, from 1; 1 for a discovered workspace. */
  line: number;
  /** Where the settings file says each of them. Absent for a discovered workspace. */
  lines?: Partial<Record<SettingKey, number>>;
}

/** A check run's name is `signalbox/<workspace> (plan)`; GitHub's pages stay readable up to about this. */
export const MAX_NAME_LENGTH = 90;

/** `signalbox/config` is the check run of the settings file itself. */
const RESERVED_NAMES = ['config'];

/** A workspace about which nothing but its name and directory is said. */
export function defaultSettings(name: string, directory: string, line = 1): WorkspaceSettings {
  return {
    name,
    directory,
    autoApply: false,
    triggerPrefixes: [],
    triggerPatterns: [],
    applyRequirements: ['mergeable', 'undiverged'],
    supersedePending: false,
    line,
  };
}

/** Whether a workspace may not be called so, whatever its case. */
export function isReservedName(name: string): boolean {
  return RESERVED_NAMES.includes(name.toLowerCase());
}

/** What is wrong with a workspace's name, as the rest of a sentence about it. */
export function nameFault(name: string): string | undefined {
  if (name === '') return 'is empty';
  if (name.length > MAX_NAME_LENGTH) return `is longer than ${MAX_NAME_LENGTH} characters`;
  if (!/^[A-Za-z0-9_-]+$/.test(name)) return 'may have letters, digits, `-` and `_` only';
  if (isReservedName(name)) return `can't be \`${name}\`: \`signalbox/config\` is the check run of this file`;
  return undefined;
}

/** What is wrong with a path to a directory of the repository, as the rest of a sentence about it. */
export function directoryFault(directory: string): string | undefined {
  if (directory.trim() === '') return "is empty: write `.` for the repository's root";
  if (directory.includes('\\')) return 'has a backslash: separate directories by `/`';
  if (directory.startsWith('/')) return "is absolute: write it from the repository's root, without the first `/`";
  if (directory.split('/').includes('..')) return 'has `..`, which could leave the repository';
  if (/\p{Cc}/u.test(directory)) return 'has a control character';
  return undefined;
}

/** `./infra//network/` as `infra/network`; the root as `.`. */
export function normalDirectory(directory: string): string {
  const segments = directory.split('/').filter((segment) => segment !== '' && segment !== '.');
  return segments.length === 0 ? '.' : segments.join('/');
}

/** What is wrong with a branch's name, as the rest of a sentence about it. */
export function branchFault(branch: string): string | undefined {
  if (branch === '') return 'is empty: leave it out to follow the default branch';
  if (branch.startsWith('refs/')) return 'is a full ref: write the name alone, without `refs/heads/`';
  const illegal = /[\p{Cc} ~^:?*[\\]|\.\.|@\{|\/\/|\/\.|^[./-]|[./]$|\.lock(\/|$)/u;
  if (illegal.test(branch)) return 'is not a name that a branch can have (patterns are not supported)';
  return undefined;
}

/** What is wrong with a trigger pattern, as the rest of a sentence about it. */
export function patternFault(pattern: string): string | undefined {
  const fault = directoryFault(pattern);
  if (fault) return fault;
  if (pattern.startsWith('!')) return 'begins with `!`: patterns only add triggers';
  if (pattern.length > 256) return 'is longer than 256 characters';
  if (compileGlob(pattern) === undefined) return 'has braces with more than 64 alternatives';
  return undefined;
}
