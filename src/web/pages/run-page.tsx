import type { Child } from 'hono/jsx';
import type { JSX } from 'hono/jsx/jsx-runtime';
import { stateTitle } from '../../runs/machine.js';
import { repositoryListPath, workspacePath } from './addresses.js';
import { cut, Foreign } from './foreign.js';
import { Layout } from './layout.js';
import { type Notice, NoticeBanner } from './parts.js';
import { RunCause, runTitle } from './run-cause.js';
import { Commenting, RunControls, type RunControlsProps } from './run-controls.js';
import { RunDiagnostics } from './run-diagnostics.js';
import { RunFacts } from './run-facts.js';
import { RunPlan } from './run-plan.js';
import { RunProgressRegion } from './run-progress.js';
import { RunStatus } from './run-status.js';
import { RunTimeline } from './run-timeline.js';
import { stateMark } from './state.js';
import { Time } from './time.js';

export interface RunPageProps extends RunControlsProps {
  /** What became of what was just pressed. */
  notice?: Notice | undefined;
  /** The outputs of its stages, as far as there are any. */
  outputs: { plan?: Child; apply?: Child };
  /** Stands where the plan is to be put. */
  planPlace?: Child;
  /** Names of the scripts that keep the page live, in assets.ts. */
  scripts?: string[];
}

/** The parts of the page that change while it is open, by their ids. */
export function regions(props: RunControlsProps): Record<string, JSX.Element> {
  const { shown, page, plan, planNotShown } = props;
  return {
    status: <RunStatus shown={shown} title={runPageTitle(shown)} />,
    facts: <RunFacts shown={shown} page={page} />,
    progress: <RunProgressRegion shown={shown} page={page} />,
    diagnostics: <RunDiagnostics shown={shown} page={page} />,
    plan: <RunPlan shown={shown} plan={plan} notShown={planNotShown} />,
    timeline: <RunTimeline shown={shown} page={page} />,
    commenting: <Commenting {...props} />,
    controls: <RunControls {...props} />,
  };
}

export function runPageTitle({ run, workspace, repository }: RunControlsProps['shown']): string {
  return `${stateMark(run.state)} ${stateTitle(run.state)} · ${cut(workspace.name, 60)} · ${repository.owner}/${repository.name}`;
}

/** What it is doing, what it will change, who can move it, and what happened. */
export function RunPage(props: RunPageProps) {
  const { shown, page, outputs } = props;
  const { run, workspace, repository } = shown;
  const parts = regions(props);
  return (
    <Layout
      page={page}
      title={runPageTitle(shown)}
      scripts={props.scripts ?? []}
      crumbs={[
        { text: `${repository.owner}/${repository.name}`, href: repositoryListPath(repository) },
        { text: workspace.name, href: workspacePath(repository, workspace.name) },
        { text: run.id, code: true },
      ]}
    >
      <div class="run" data-run={run.id} data-state={run.state}>
        <div class="run-head">
          <h1>
            <Foreign text={runTitle(run)} max={160} />
          </h1>
          {parts.status}
          <p class="run-cause">
            {run.speculative && <span class="label">Speculative plan</span>}{' '}
            <RunCause run={run} repository={repository} page={page} /> <Time at={run.created_at} now={page.now} />
          </p>
        </div>
        <NoticeBanner notice={props.notice} />
        <div class="run-columns">
          <div class="run-main">
            {parts.progress}
            {parts.diagnostics}
            {outputs.plan}
            {props.planPlace ?? parts.plan}
            {outputs.apply}
          </div>
          <div class="run-side">
            {parts.facts}
            {parts.timeline}
            {parts.commenting}
          </div>
        </div>
        {parts.controls}
      </div>
    </Layout>
  );
}
