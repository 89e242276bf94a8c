import { type Check, describe, type Evidence, isFinal, type RunFact, reportsOf } from '../evidence.js';

/** What a run's state has to look like on GitHub: status and conclusion, the beginning of the title, the buttons. */
const SHOWN: Record<string, { conclusion?: string; title: RegExp; buttons?: string[] }> = {
  pending: { title: /^(Waiting|Held|Locked)/ },
  planning: { title: /^Planning/ },
  needs_confirmation: { conclusion: 'action_required', title: /./, buttons: ['apply', 'discard'] },
  confirmed: { title: /^Waiting to apply/ },
  applying: { title: /applied|^Applying/ },
  applied: { conclusion: 'success', title: /^\d+ added, \d+ changed, \d+ destroyed/ },
  no_changes: { conclusion: 'success', title: /^No changes/ },
  planned: { conclusion: 'success', title: /to add|^Planned/ },
  plan_errored: { conclusion: 'failure', title: /^Plan errored/ },
  apply_errored: { conclusion: 'failure', title: /^Apply errored/ },
  discarded: { conclusion: 'cancelled', title: /^(Discarded|Superseded)/ },
  canceled: { conclusion: 'cancelled', title: /^(Canceled|Force-canceled)/i },
};

/** Each run's last check run shows its state; none of an ended stage is left open; each exists once; the newest is in front. */
export const checkRunsEqualTheRecord: Check = (evidence) => [
  ...evidence.runs.flatMap((run) => presentState(run, evidence)),
  ...evidence.runs.flatMap((run) => leftOpen(run, evidence)),
  ...doubles(evidence),
  ...hidden(evidence),
  ...heads(evidence),
];

function nameOf({ workspace, speculative }: RunFact): string {
  return `signalbox/${workspace}${speculative ? ' (plan)' : ''}`;
}

function presentState(run: RunFact, evidence: Evidence): string[] {
  const last = reportsOf(evidence, run).at(-1);
  const shown = SHOWN[run.state];
  if (!shown) return [`${describe(run)} is in a state that nobody knows`];
  if (!last) {
    // What ended unseen behind a newer run of the same commit would only hide that one.
    return isFinal(run) && newestOf(run, evidence) !== run ? [] : [`${describe(run)} has no check run`];
  }
  const status = shown.conclusion ? 'completed' : run.state === 'pending' ? 'queued' : 'in_progress';
  const differences: string[] = [];
  const differs = (what: string, found: unknown, wanted: unknown) =>
    differences.push(`the check run ${last.id} of ${describe(run)} has ${what} ${found}, not ${wanted}`);
  if (last.name !== nameOf(run)) differs('the name', last.name, nameOf(run));
  if (last.head !== run.commit) differs('the commit', last.head, run.commit);
  if (last.status !== status) differs('the status', last.status, status);
  if (last.conclusion !== shown.conclusion) differs('the conclusion', last.conclusion, shown.conclusion);
  if (!shown.title.test(last.title)) differs('the title', last.title, shown.title);
  const buttons = shown.buttons ?? (mayBeApplied(run, evidence) ? ['apply'] : []);
  if (last.actions.join() !== buttons.join()) differs('the buttons', `[${last.actions}]`, `[${buttons}]`);
  return differences;
}

/** The plan of an open pull request's head. */
function mayBeApplied(run: RunFact, { pulls }: Evidence): boolean {
  const pull = pulls.find(({ repository, number }) => repository === run.repository && number === run.pullRequest);
  return run.state === 'planned' && pull?.state === 'open' && pull.head === run.commit;
}

function leftOpen(run: RunFact, evidence: Evidence): string[] {
  const reports = reportsOf(evidence, run);
  return reports.flatMap(({ id, status, externalId }, index) => {
    const over = index < reports.length - 1 || isFinal(run);
    return over && status !== 'completed'
      ? [`the check run ${id} (${externalId}) of ${describe(run)} is still ${status}`]
      : [];
  });
}

function doubles({ checkRuns }: Evidence): string[] {
  const seen = new Set<string>();
  return checkRuns.flatMap(({ id, repository, name, externalId }) => {
    const key = `${repository} ${name} ${externalId}`;
    if (seen.has(key)) return [`check run ${id} is there a second time: ${key}`];
    seen.add(key);
    return [];
  });
}

function newestOf(run: RunFact, { runs }: Evidence): RunFact | undefined {
  return runs.findLast(
    ({ workspace, commit, speculative }) =>
      workspace === run.workspace && commit === run.commit && speculative === run.speculative,
  );
}

/** GitHub shows the newest check run of a name. It has to be that of the newest run. */
function hidden(evidence: Evidence): string[] {
  return evidence.runs.flatMap((run) => {
    if (newestOf(run, evidence) !== run) return [];
    const front = evidence.checkRuns.findLast(({ name, head }) => name === nameOf(run) && head === run.commit);
    if (!front || front.externalId.startsWith(`${run.id}/`)) return [];
    return [`on ${run.commit.slice(0, 7)} GitHub shows ${front.externalId} in front of the newer ${describe(run)}`];
  });
}

/** The check run `signalbox` on the head of each open pull request. */
function heads({ pulls, checkRuns, runs }: Evidence): string[] {
  return pulls.flatMap(({ state, head, repository, number, workspaces }) => {
    if (state !== 'open') return [];
    const shown = checkRuns.findLast(({ name, head: of }) => name === 'signalbox' && of === head);
    const plans = workspaces.map((workspace) =>
      runs.findLast((run) => run.speculative && run.workspace === workspace && run.commit === head),
    );
    const has = (...states: string[]) => plans.some((run) => run && states.includes(run.state));
    const wanted = has('plan_errored') ? 'failure' : has('discarded', 'canceled') ? 'action_required' : 'success';
    if (shown?.status === 'completed' && shown.conclusion === wanted) return [];
    return [
      `the check run signalbox of ${repository}#${number} is ${shown?.conclusion ?? shown?.status}, not ${wanted}`,
    ];
  });
}
