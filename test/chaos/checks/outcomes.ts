import { type Check, describe, type Evidence, type RunFact } from '../evidence.js';

/** What a run says it did, it did: by the journal, by the state, and by what its commit asks for. */
export const outcomes: Check = (evidence) => [
  ...evidence.runs.flatMap((run) => saidAndDone(run, evidence)),
  ...evidence.workspaces.flatMap(({ name }) => presentState(name, evidence)),
];

function saidAndDone(run: RunFact, { journal, events }: Evidence): string[] {
  const entries = journal.filter((entry) => entry.run === run.id);
  const applying = events.some((event) => event.run === run.id && event.type === 'apply_started');
  if (!applying) return entries.length > 0 ? [`${describe(run)} made resources without an apply`] : [];
  if (run.state !== 'applied') return [];
  const began = entries.filter(({ what }) => what === 'begin');
  return began.flatMap(({ resource }) => {
    const ended = entries.some((entry) => entry.what === 'end' && entry.resource === resource);
    const line = `terraform_data.${resource}: Creation complete`;
    return [
      ...(ended ? [] : [`${describe(run)} says applied, but ${resource} never ended`]),
      ...(run.applyOutput.includes(line) ? [] : [`the log of ${describe(run)} has no "${line}"`]),
    ];
  });
}

/** After an apply that went well, the state is what the commit says, until another one starts. */
function presentState(workspace: string, { runs, events, pushes, stateVersions }: Evidence): string[] {
  const starts = events.filter(({ run, type }) => {
    return type === 'apply_started' && runs.some(({ id, workspace: of }) => id === run && of === workspace);
  });
  const last = runs.find(({ id }) => id === starts.at(-1)?.run);
  if (last?.state !== 'applied') return [];
  const wanted = pushes.find(({ after }) => after === last.commit)?.content[workspace];
  const found = stateVersions.findLast((each) => each.workspace === workspace)?.resources ?? {};
  if (wanted === undefined || text(wanted) === text(found)) return [];
  return [
    `${workspace} is ${text(found)}, but ${describe(last)} was the last to be applied, which says ${text(wanted)}`,
  ];
}

function text(resources: Record<string, string>): string {
  const sorted = Object.entries(resources).sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([name, version]) => `${name}=${version}`).join(' ');
}
