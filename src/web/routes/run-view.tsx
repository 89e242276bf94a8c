import { raw } from 'hono/html';
import type { Run, Stage } from '../../db/schema.js';
import { type OutputBeginning, outputBeginning } from '../../live/beginning.js';
import type { Regions } from '../../live/watched-run.js';
import { controlsOf } from '../../runs/controls.js';
import { findRunDetail, type RunDetail } from '../../runs/run-detail.js';
import type { ShownPlan } from '../../runs/shown-plan.js';
import type { Access } from '../../signin/access.js';
import type { PlanView } from '../../terraform/plan-view.js';
import { Output } from '../pages/output.js';
import type { PageContext } from '../pages/page-context.js';
import type { Notice } from '../pages/parts.js';
import type { RunControlsProps } from '../pages/run-controls.js';
import { RunPage, regions } from '../pages/run-page.js';
import { RunPlan } from '../pages/run-plan.js';
import { pageContext } from './answer.js';
import type { PageServices } from './services.js';

interface RunView {
  page: PageContext;
  access: Access;
  ask: boolean;
  notice: Notice | undefined;
}

/**
 * The whole page of a run, in three pieces: what comes before its plan, the plan, and the rest. A plan of thousands of
 * resources takes a while to be read, and what matters most is above it.
 */
export async function* renderRun(services: PageServices, id: string, view: RunView): AsyncGenerator<string, void> {
  const planned = planOf(services, id);
  const [shown, beginning] = await Promise.all([findShown(services, id), outputBeginning(services.db, id)]);
  // The question names what is lost.
  const plan = view.ask ? planProps(await planned) : {};
  const props = { ...view, ...plan, shown, controls: controlsOf(shown.run, view.access, view.page.now) };
  const outputs = {
    plan: output(shown.run, 'plan', beginning.plan),
    apply: output(shown.run, 'apply', beginning.apply),
  };
  const around = <RunPage {...props} outputs={outputs} planPlace={raw(PLAN)} scripts={['browser/run-page.js']} />;
  const [before = '', after = ''] = (await around.toString()).split(PLAN);
  yield `<!doctype html>${before}`;
  yield await renderPlan({ ...props, ...planProps(await planned) });
  yield after;
}

/** Text of other people's never has a `<`. */
const PLAN = '<!--plan-->';

/** The parts of it that change, for whoever has this access. Forms in them are completed by the page that gets them. */
export async function renderRegions(services: PageServices, id: string, access: Access): Promise<Regions> {
  const page = pageContext(services, undefined);
  const [shown, plan] = await Promise.all([findShown(services, id), planOf(services, id)]);
  const controls = controlsOf(shown.run, access, page.now);
  const props = { ...planProps(plan), shown, page, access, controls, ask: false };
  const texts = Object.entries(regions(props)).map(async ([name, part]) => [
    name,
    await (name === 'plan' ? renderPlan(props) : part.toString()),
  ]);
  return Object.fromEntries(await Promise.all(texts));
}

/** What is around a plan is shown, and followed, though the plan itself can't be had. */
export function planOf({ plans, log }: PageServices, id: string): Promise<ShownPlan | undefined> {
  return plans.of(id).catch((error) => {
    log.warn({ err: error, run: id }, 'A plan could not be looked up');
    return { shown: false, reason: 'This plan can’t be shown now.' };
  });
}

async function findShown({ db }: PageServices, id: string): Promise<RunDetail> {
  const shown = await findRunDetail(db, id);
  if (!shown) throw new Error(`${id} is gone.`);
  return shown;
}

function planProps(plan: ShownPlan | undefined): Pick<RunControlsProps, 'plan' | 'planNotShown'> {
  return plan?.shown === false ? { planNotShown: plan.reason } : { plan: plan?.plan };
}

/** A plan may have thousands of resources, and stays as it is while everything around it changes. */
const rendered = new WeakMap<PlanView, { state: string; html: string }>();

async function renderPlan({ shown, plan, planNotShown }: RunControlsProps): Promise<string> {
  const { state } = shown.run;
  const known = plan && rendered.get(plan);
  if (known?.state === state) return known.html;
  const html = await (<RunPlan shown={shown} plan={plan} notShown={planNotShown} />).toString();
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
