import { type Check, describe, type Evidence, eventsOf, isFinal, type RunFact } from '../evidence.js';

/** In each workspace one run at a time, in the order in which they were asked for: by the record, and by the journal. */
export const order: Check = (evidence) => {
  const workspaces = [...new Set(evidence.runs.map(({ workspace }) => workspace))];
  return workspaces.flatMap((workspace) => [
    ...overlaps(evidence, workspace),
    ...overtakings(evidence, workspace),
    ...interleavings(evidence, workspace),
  ]);
};

interface Turn {
  run: RunFact;
  from: number;
  to: number;
}

/** From the first plan to the end: the time in which a run holds its workspace. */
function turnsOf(evidence: Evidence, workspace: string): Turn[] {
  return evidence.runs
    .filter((run) => run.workspace === workspace && !run.speculative)
    .flatMap((run) => {
      const events = eventsOf(evidence, run);
      const from = events.find(({ type }) => type === 'plan_started')?.at;
      if (from === undefined) return [];
      return [{ run, from, to: events.find(isFinal)?.at ?? Number.POSITIVE_INFINITY }];
    })
    .sort((a, b) => a.from - b.from);
}

function overlaps(evidence: Evidence, workspace: string): string[] {
  const turns = turnsOf(evidence, workspace);
  return turns.flatMap((turn, index) => {
    const next = turns[index + 1];
    if (!next || turn.to <= next.from) return [];
    return [`${describe(next.run)} started while ${describe(turn.run)} held the workspace`];
  });
}

/** Only what belongs to the pull request that a workspace is held for may go before an older run. */
function overtakings(evidence: Evidence, workspace: string): string[] {
  const turns = turnsOf(evidence, workspace).filter(({ run }) => run.pullRequest === undefined && !run.clearsHold);
  return turns.flatMap(({ run }, index) => {
    const later = turns.slice(index + 1).find((other) => other.run.sequence < run.sequence);
    return later ? [`${describe(run)} went before the older ${describe(later.run)}`] : [];
  });
}

/** What the resources said: nothing of one run between the first and the last word of another, nor outside of its turn. */
function interleavings({ journal, runs, events }: Evidence, workspace: string): string[] {
  const differences: string[] = [];
  const over = new Set<string>();
  let current: string | undefined;
  for (const entry of journal.filter((each) => each.workspace === workspace)) {
    if (entry.run !== current) {
      if (over.has(entry.run)) differences.push(`${entry.run} went on in ${workspace} after another run had begun`);
      if (current !== undefined) over.add(current);
      current = entry.run;
    }
    const run = runs.find(({ id }) => id === entry.run);
    if (!run) {
      differences.push(`the journal of ${workspace} names ${entry.run}, which is not on record`);
      continue;
    }
    const word = `${entry.what} of ${entry.resource} in ${describe(run)}`;
    const started = events.find(({ run: of, type }) => of === run.id && type === 'apply_started')?.at;
    if (started === undefined || entry.at < started) differences.push(`${word} came before its apply had started`);
    if (run.endedAt !== undefined && entry.at > run.endedAt) {
      differences.push(`${word} came ${((entry.at - run.endedAt) / 1_000).toFixed(1)} s after the run had ended`);
    }
  }
  return [...new Set(differences)];
}
