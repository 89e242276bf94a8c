import type { Run, Stage } from '../../db/schema.js';
import { type OutputBeginning, outputBeginning } from '../../live/beginning.js';
import type { Regions } from '../../live/watched-run.js';
import { controlsOf } from '../../runs/controls.js';
import { findRunDetail } from '../../runs/run-detail.js';
import type { Access } from '../../signin/access.js';
import type { PlanView } from '../../terraform/plan-view.js';
import { Output } from '../pages/output.js';
import type { PageContext } from '../pages/page-context.js';
import type { Notice } from '../pages/parts.js';
import type { RunControlsProps } from '../pages/run-controls.js';
import { RunPage, regions } from '../pages/run-page.js';
import { pageContext } from './answer.js';
import type { PageServices } from './services.js';

/** The whole page of a run. */
export async function renderRun(
  services: PageServices,
  id: string,
  options: { page: PageContext; access: Access; ask: boolean; notice: Notice | undefined },
) {
  const [props, beginning] = await Promise.all([readProps(services, id, options), outputBeginning(services.db, id)]);
  const { run } = props.shown;
  return (
    <RunPage
      {...props}
      notice={options.notice}
      outputs={{ plan: output(run, 'plan', beginning.plan), apply: output(run, 'apply', beginning.apply) }}
      scripts={['browser/run-page.js']}
    />
  );
}

/** The parts of it that change, for whoever has this access. Forms in them are completed by the page that gets them. */
export async function renderRegions(services: PageServices, id: string, access: Access): Promise<Regions> {
  const props = await readProps(services, id, { page: pageContext(services, undefined), access, ask: false });
  const parts = Object.entries(regions(props));
  const texts = parts.map(async ([name, part]) => [
    name,
    await (name === 'plan' ? renderPlan(props, part) : part.toString()),
  ]);
  return Object.fromEntries(await Promise.all(texts));
}

async function readProps(
  services: PageServices,
  id: string,
  { page, access, ask }: { page: PageContext; access: Access; ask: boolean },
): Promise<RunControlsProps> {
  const [shown, plan] = await Promise.all([findRunDetail(services.db, id), services.plans.of(id)]);
  if (!shown) throw new Error(`${id} is gone.`);
  return {
    shown,
    page,
    access,
    controls: controlsOf(shown.run, access, page.now),
    plan: plan?.shown ? plan.plan : undefined,
    planNotShown: plan?.shown === false ? plan.reason : undefined,
    ask,
  };
}

/** A plan may have thousands of resources, and stays as it is while everything around it changes. */
const rendered = new WeakMap<PlanView, { state: string; html: string }>();

async function renderPlan(
  { shown, plan }: RunControlsProps,
  part: { toString(): string | Promise<string> },
): Promise<string> {
  const { state } = shown.run;
  const known = plan && rendered.get(plan);
  if (known?.state === state) return known.html;
  const html = await part.toString();
  if (plan) rendered.set(plan, { state, html });
  return html;
}

function output(run: Run, stage: Stage, beginning: OutputBeginning) {
  const removed = run.output_removed_at;
  return (
    <Output
      run={run.id}
      stage={stage}
      {...beginning}
      running={run.state === (stage === 'plan' ? 'planning' : 'applying')}
      removed={
        removed === null ? undefined : `It was removed on ${removed.toISOString().slice(0, 10)} because of its age.`
      }
    />
  );
}
