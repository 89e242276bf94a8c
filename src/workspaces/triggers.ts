import { compileGlob } from './glob.js';
import type { WorkspaceSettings } from './settings.js';
import { SETTINGS_FILE } from './settings-file.js';

/** Paths from the repository's root, or that nobody could tell. */
export type ChangedPaths = readonly string[] | 'unknown';

type Triggers = Pick<WorkspaceSettings, 'directory' | 'triggerPrefixes' | 'triggerPatterns'>;

/**
 * The workspaces that a change affects, in the order given: those whose directory, prefixes or patterns hold a changed
 * path. Unknown changes affect them all. The settings file triggers nothing by itself, not even at the root: a changed
 * setting counts from the next run on.
 */
export function affectedWorkspaces<W extends Triggers>(workspaces: readonly W[], changed: ChangedPaths): W[] {
  if (changed === 'unknown') return [...workspaces];
  const paths = changed.filter((path) => path !== SETTINGS_FILE);
  if (paths.length === 0) return [];
  const touched = directoriesOf(paths);
  // Many workspaces tend to have the same patterns.
  const matched = new Map<string, boolean>();
  const isMatched = (pattern: string): boolean => {
    const known = matched.get(pattern) ?? paths.some(compileGlob(pattern) ?? (() => true));
    matched.set(pattern, known);
    return known;
  };
  return workspaces.filter(
    ({ directory, triggerPrefixes, triggerPatterns }) =>
      touched.has(directory) ||
      triggerPrefixes.some((prefix) => touched.has(prefix)) ||
      triggerPatterns.some(isMatched),
  );
}

/** Every path and every directory above it: looking up a prefix is then exact by segment, and quick. */
function directoriesOf(paths: readonly string[]): Set<string> {
  const all = new Set(['.']);
  for (const path of paths) {
    let prefix = path;
    while (!all.has(prefix)) {
      all.add(prefix);
      const slash = prefix.lastIndexOf('/');
      if (slash <= 0) break;
      prefix = prefix.slice(0, slash);
    }
  }
  return all;
}
