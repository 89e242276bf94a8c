import type { PlanSummary } from '../../db/schema.js';
import { elapsed } from '../browser/relative-time.js';
import { runPath } from './addresses.js';
import { Foreign } from './foreign.js';
import { Icon } from './icon.js';
import type { PageContext } from './page-context.js';
import { RunCause, runTitle } from './run-cause.js';
import type { ListedRun, RepositoryName } from './shown-run.js';
import { StateWord } from './state.js';
import { Time } from './time.js';

/** Runs of one workspace, as GitHub lists those of a workflow. */
export function RunList({
  runs,
  repository,
  page,
}: {
  runs: ListedRun[];
  repository: RepositoryName;
  page: PageContext;
}) {
  return (
    <ul>
      {runs.map((run) => (
        <li class="list-row">
          <div class="list-state">
            <StateWord state={run.state} />
          </div>
          <div class="list-what">
            <div class="list-title">
              <a class="list-name" href={runPath(run.id)}>
                <Foreign text={runTitle(run)} max={120} />
              </a>
              {run.speculative && <span class="label">Speculative plan</span>}
            </div>
            <div class="list-detail">
              <RunCause run={run} repository={repository} page={page} />
              {run.plan_summary && <PlanCounts plan={run.plan_summary} />}
            </div>
          </div>
          <div class="list-when">
            <span>
              <Icon name="clock" /> <Time at={run.created_at} now={page.now} />
            </span>
            {run.ended_at && (
              <span>
                <Icon name="hourglass" /> {elapsed(run.ended_at.getTime() - run.created_at.getTime())}
              </span>
            )}
          </div>
        </li>
      ))}
    </ul>
  );
}

/** `+3 ~1 ±1 -2`, with words for those who don't see it. */
export function PlanCounts({ plan }: { plan: PlanSummary }) {
  const counts = [
    ['+', plan.add, 'create', 'to add'],
    ['~', plan.change, 'update', 'to change'],
    ['±', plan.replace, 'replace', 'to replace'],
    ['-', plan.destroy, 'destroy', 'to destroy'],
  ] as const;
  const shown = counts.filter(([, count]) => count > 0);
  if (shown.length === 0) return null;
  return (
    <span class="plan-counts">
      {shown.map(([sign, count, action, words]) => (
        <span class={`action-${action}`} title={`${count} ${words}`}>
          <span aria-hidden="true">
            {sign}
            {count}
          </span>
          <span class="sr-only">
            {count} {words}
          </span>
        </span>
      ))}
    </span>
  );
}
