import { raw } from 'hono/html';
import type { PlanDifference } from '../../db/schema.js';
import { plural } from '../../reports/words.js';
import type { RunState } from '../../runs/machine.js';
import type { OutputView, PlanView, ResourceView } from '../../terraform/plan-view.js';
import { resourcePath } from './addresses.js';
import { cut, Foreign } from './foreign.js';
import { Icon } from './icon.js';
import { AttributeTable } from './plan-attributes.js';
import { fittingDrift, fittingOutputs, isSmall, More } from './plan-size.js';
import type { ShownRun } from './shown-run.js';

type Action = ResourceView['action'];

/** Terraform's own words and signs, in the order in which a reviewer wants them. */
const SIGNS: Record<Action, string> = {
  destroy: '-',
  replace: '±',
  update: '~',
  create: '+',
  read: '←',
  move: '→',
  import: '⇐',
  forget: '×',
};
const ACTIONS = Object.keys(SIGNS) as Action[];

/** While somebody has to judge it, the plan is open. */
const OPEN_IN: readonly RunState[] = ['needs_confirmation', 'planned'];
/** A longer group begins folded, so that what comes after it is near. */
const OPEN_UP_TO = 100;
/** Of more resources the attributes are fetched when somebody unfolds one: they would be most of a large page. */
const WHOLE_UP_TO = 200;
/** Of more not even the heads are there: what is lost comes first, so what is left out is the least of it. */
const MOST_RESOURCES = 5_000;

export interface RunPlanProps {
  shown: ShownRun;
  plan: PlanView | undefined;
  /** Why there is none: a sentence. */
  notShown?: string | undefined;
}

/** What the plan changes, grouped by what happens: what is lost comes first. */
export function RunPlan({ shown, plan, notShown }: RunPlanProps) {
  const { run } = shown;
  const missing = notShown ?? (run.plan_summary === null ? undefined : 'This plan is no longer kept: see its output.');
  return (
    <section id="plan" class="run-plan" aria-label="Plan" data-attempt={run.attempt}>
      {run.differences && run.differences.length > 0 && <Differences differences={run.differences} />}
      {!plan && missing !== undefined && <p class="quiet">{missing}</p>}
      {plan && (
        <details class="box" open={OPEN_IN.includes(run.state)} data-keep="plan">
          <summary class="box-head">
            <h2>Plan</h2>
            <Counts plan={plan} />
          </summary>
          <PlanParts run={run.id} plan={plan} />
        </details>
      )}
    </section>
  );
}

const made = new WeakMap<PlanView, string>();

/** A plan never changes, and one of many resources takes a while: it is made once for each PlanView. */
function PlanParts({ run, plan }: { run: string; plan: PlanView }) {
  const html = made.get(plan) ?? String(<Groups run={run} plan={plan} />);
  made.set(plan, html);
  return raw(html);
}

function Groups({ run, plan }: { run: string; plan: PlanView }) {
  const shown = plan.resources.slice(0, MOST_RESOURCES);
  const later = plan.resources.length > WHOLE_UP_TO || !isSmall(plan) ? shown : [];
  const paths = new Map(later.map((resource, index) => [resource, resourcePath(run, index)]));
  const attributesAt = (resource: ResourceView) => paths.get(resource);
  const groups = ACTIONS.map((action) => shown.filter((resource) => resource.action === action));
  const outputs = fittingOutputs(plan.outputs);
  const drift = fittingDrift(plan.drift);
  return (
    <>
      {groups.map((resources) => resources.length > 0 && <Group resources={resources} attributesAt={attributesAt} />)}
      <More run={run} left={plan.resources.length - shown.length} />
      {plan.outputs.length > 0 && (
        <details class="group" open data-keep="plan-outputs">
          <summary>
            <h3>
              Outputs <span class="counter">{plan.outputs.length}</span>
            </h3>
          </summary>
          {outputs.map((output) => (
            <Output output={output} />
          ))}
          <More run={run} left={plan.outputs.length - outputs.length} />
        </details>
      )}
      {plan.drift.length > 0 && (
        <details class="group" open={plan.drift.length <= 10} data-keep="plan-drift">
          <summary>
            <h3>
              Changed outside of Terraform <span class="counter">{plan.drift.length}</span>
            </h3>
          </summary>
          {drift.map((resource) => (
            <Resource resource={resource} keep={`drift:${resource.address}`} drift />
          ))}
          <More run={run} left={plan.drift.length - drift.length} />
        </details>
      )}
      {plan.resources.length + plan.outputs.length + plan.drift.length === 0 && (
        <p class="box-row quiet">Nothing changes.</p>
      )}
    </>
  );
}

/** '2 to destroy', '1 to replace' …: the plan in one glance. */
function Counts({ plan }: { plan: PlanView }) {
  return (
    <span class="counts">
      {ACTIONS.map((action) => {
        const count = plan.resources.filter((resource) => resource.action === action).length;
        return (
          count > 0 && (
            <span class={`count action-${action}`}>
              <span class="sign" aria-hidden="true">
                {SIGNS[action]}
              </span>
              {count} to {action}
            </span>
          )
        );
      })}
      {plan.outputs.length > 0 && <span class="count">{plural(plan.outputs.length, 'output')}</span>}
    </span>
  );
}

interface GroupProps {
  resources: ResourceView[];
  /** Where a resource's attributes are, if not here. */
  attributesAt: (resource: ResourceView) => string | undefined;
}

function Group({ resources, attributesAt }: GroupProps) {
  const action = resources[0]?.action ?? 'read';
  return (
    <details class="group" open={resources.length <= OPEN_UP_TO} data-keep={`plan-${action}`}>
      <summary>
        <h3>
          {action.charAt(0).toUpperCase()}
          {action.slice(1)} <span class="counter">{resources.length}</span>
        </h3>
      </summary>
      {resources.map((resource) => (
        <Resource
          resource={resource}
          keep={`plan:${resource.address}:${resource.deposed ?? ''}`}
          attributesAt={attributesAt(resource)}
        />
      ))}
    </details>
  );
}

interface ResourceProps {
  resource: ResourceView;
  keep: string;
  drift?: boolean;
  attributesAt?: string | undefined;
}

function Resource({ resource, keep, drift, attributesAt }: ResourceProps) {
  const { action, address, attributes, deposed, imported, movedFrom, reason } = resource;
  const forcing = attributes.filter(({ forcesReplacement }) => forcesReplacement);
  const head = (
    <>
      <ActionWord action={action} />
      <span class="resource-name">
        <code class="address">
          <Foreign text={address} max={500} />
        </code>
        {deposed !== undefined && <span class="quiet"> deposed {cut(deposed, 20)}</span>}
        {forcing.length > 0 && (
          <span class="why">
            forced by{' '}
            {forcing.slice(0, 3).map(({ path }, index) => (
              <>
                {index > 0 && ', '}
                <code>
                  <Foreign text={path} max={100} />
                </code>
              </>
            ))}
            {forcing.length > 3 && ` and ${forcing.length - 3} more`}
          </span>
        )}
        {reason && (
          <span class="why">
            <Foreign text={reason} max={200} />
          </span>
        )}
        {drift && <span class="why">found so when planning</span>}
        {movedFrom !== undefined && (
          <span class="why">
            moved from{' '}
            <code>
              <Foreign text={movedFrom} max={300} />
            </code>
          </span>
        )}
        {imported !== undefined && (
          <span class="why">
            imported
            {imported !== true && (
              <>
                {' '}
                from{' '}
                <code>
                  <Foreign text={imported} max={200} />
                </code>
              </>
            )}
          </span>
        )}
      </span>
    </>
  );
  if (attributes.length === 0) return <div class="resource resource-plain">{head}</div>;
  return (
    <details class="resource" data-keep={keep}>
      <summary>{head}</summary>
      {attributesAt === undefined ? (
        <AttributeTable attributes={attributes} />
      ) : (
        <p class="attributes-later">
          <a data-attributes href={attributesAt}>
            {plural(attributes.length, 'attribute')}
          </a>
        </p>
      )}
    </details>
  );
}

function ActionWord({ action }: { action: Action }) {
  return (
    <span class={`action action-${action}`}>
      <span class="sign" aria-hidden="true">
        {SIGNS[action]}
      </span>
      {action}
    </span>
  );
}

function Output({ output }: { output: OutputView }) {
  const { name, action, before, after } = output;
  const change = { create: 'add', update: 'change', destroy: 'remove' } as const;
  return (
    <details class="resource" data-keep={`output:${name}`}>
      <summary>
        <ActionWord action={action} />
        <code class="address resource-name">
          <Foreign text={name} max={300} />
        </code>
      </summary>
      <AttributeTable
        attributes={[
          {
            path: name,
            change: change[action],
            forcesReplacement: false,
            ...(before && { before }),
            ...(after && { after }),
          },
        ]}
      />
    </details>
  );
}

const DIFFERENCES_SHOWN = 50;

/** Why a plan that was approved waits for a person after all. */
function Differences({ differences }: { differences: PlanDifference[] }) {
  return (
    <div class="box box-attention differences">
      <h2 class="box-head">
        <Icon name="alert" tone="attention" /> What differs from the reviewed plan
      </h2>
      <ul>
        {differences.slice(0, DIFFERENCES_SHOWN).map(({ address, detail }) => (
          <li class="box-row">
            <code class="address">
              <Foreign text={address} max={300} />
            </code>{' '}
            <Foreign text={detail} max={500} />
          </li>
        ))}
        {differences.length > DIFFERENCES_SHOWN && (
          <li class="box-row quiet">And {differences.length - DIFFERENCES_SHOWN} more.</li>
        )}
      </ul>
    </div>
  );
}
