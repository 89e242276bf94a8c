import { type Check, describe, reportsOf } from '../evidence.js';

/**
 * Every resource whose making began is in a state that this run handed in, or is named in the run's report. One whose
 * making never ended has to be named in the report's summary, where people look, if the run says that it failed.
 */
export const accounting: Check = (evidence) => {
  const { journal, runs, stateVersions } = evidence;
  return journal.flatMap(({ what, run: id, workspace, resource, version }) => {
    const run = runs.find((each) => each.id === id);
    if (what !== 'begin' || !run) return [];
    const address = `terraform_data.${resource}`;
    const last = stateVersions.findLast((each) => each.run === id);
    if (last?.resources[resource] === version) return [];
    const reports = reportsOf(evidence, run);
    const ended = journal.some(
      (entry) =>
        entry.what === 'end' && entry.run === id && entry.workspace === workspace && entry.resource === resource,
    );
    const names = reports.some(({ summary, text }) => (ended ? `${summary}${text}` : summary).includes(address));
    if (names) return [];
    const where = ended ? 'its report' : "its report's summary";
    return [`${describe(run)} began ${address}, which is neither in the state that it left nor in ${where}`];
  });
};
