import { type Check, describe, eventsOf } from '../evidence.js';

/** A workspace's state has one lineage, serials that only grow, and comes from the run whose turn it was. */
export const stateVersionsInOrder: Check = (evidence) => {
  const { stateVersions, runs } = evidence;
  return stateVersions.flatMap((version, index) => {
    const before = stateVersions.slice(0, index).findLast(({ workspace }) => workspace === version.workspace);
    const name = `state version ${version.serial} of ${version.workspace}, by ${version.run},`;
    const differences: string[] = [];
    if (before && before.lineage !== version.lineage)
      differences.push(`${name} has another lineage than the one before`);
    if (before && before.serial >= version.serial) differences.push(`${name} follows ${before.serial}`);
    const run = runs.find(({ id }) => id === version.run);
    if (!run) return [...differences, `${name} is of no run`];
    const started = eventsOf(evidence, run).find(({ type }) => type === 'apply_started')?.at;
    if (started === undefined || version.at < started)
      differences.push(`${name} came before the apply of ${describe(run)}`);
    if (run.endedAt !== undefined && version.at > run.endedAt)
      differences.push(`${name} came after the end of ${describe(run)}`);
    return differences;
  });
};
