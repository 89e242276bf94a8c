import type { Check } from '../evidence.js';
import type { JournalEntry } from '../journal.js';

/** No resource is made by two runs at once, nor twice by the same. */
export const once: Check = ({ journal }) => {
  const differences: string[] = [];
  const open = new Map<string, JournalEntry>();
  const begun = new Set<string>();
  for (const entry of journal) {
    const { run, workspace, resource, version, what } = entry;
    const place = `${workspace}/${resource}`;
    const other = open.get(place);
    if (what === 'begin') {
      const making = `${run} ${place} ${version}`;
      if (begun.has(making)) differences.push(`${run} made ${place} twice`);
      begun.add(making);
      // Whoever was killed leaves no end: that two were at it shows when the earlier one speaks again.
      open.set(place, entry);
    } else if (other && other.run !== run) {
      differences.push(`${run} was still at ${place} when ${other.run} had begun it`);
    } else open.delete(place);
  }
  return differences;
};
