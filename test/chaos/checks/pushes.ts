import { type Check, describe, type Evidence, type PushFact } from '../evidence.js';

const MAIN = 'main';

/**
 * No push to main without its run in each workspace that it touches, one each, in git's order. A push whose webhook
 * GitHub couldn't deliver may be covered by the run of a later one; and no head of an open pull request without its plan.
 */
export const pushesHaveRuns: Check = (evidence) => [
  ...evidence.pushes.filter(({ branch }) => branch === MAIN).flatMap((push) => runsOf(push, evidence)),
  ...disorder(evidence),
  ...unplannedHeads(evidence),
];

function runsOf(push: PushFact, { runs, pushes }: Evidence): string[] {
  const { after, repository, workspaces, delivered, at } = push;
  const name = `push ${after.slice(0, 7)} to ${repository}`;
  return workspaces.flatMap((workspace) => {
    const own = runs.filter((run) => run.workspace === workspace && run.commit === after && run.trigger === 'push');
    if (own.length === 1) return [];
    if (own.length > 1) return [`${name} has ${own.length} runs in ${workspace}`];
    const later = pushes.filter((each) => each.repository === repository && each.branch === MAIN && each.at > at);
    const covered = runs.some(
      (run) => run.workspace === workspace && run.trigger === 'push' && later.some((each) => each.after === run.commit),
    );
    if (!delivered && covered) return [];
    return [`${name} has no run in ${workspace}${delivered ? '' : ', and its webhook was never delivered'}`];
  });
}

function disorder({ pushes, runs }: Evidence): string[] {
  const differences: string[] = [];
  const rank = new Map(pushes.filter(({ branch }) => branch === MAIN).map(({ after }, index) => [after, index]));
  const newest = new Map<string, { rank: number; name: string }>();
  for (const run of runs) {
    const mine = run.trigger === 'push' ? rank.get(run.commit) : undefined;
    if (mine === undefined) continue;
    const before = newest.get(run.workspace);
    if (before && before.rank > mine) differences.push(`${describe(run)} was queued after the newer ${before.name}`);
    else newest.set(run.workspace, { rank: mine, name: describe(run) });
  }
  return differences;
}

function unplannedHeads({ pulls, runs }: Evidence): string[] {
  return pulls.flatMap(({ state, repository, number, head, workspaces }) => {
    if (state !== 'open') return [];
    return workspaces.flatMap((workspace) => {
      const planned = runs.some((run) => run.speculative && run.workspace === workspace && run.commit === head);
      return planned ? [] : [`the head ${head.slice(0, 7)} of ${repository}#${number} has no plan of ${workspace}`];
    });
  });
}
