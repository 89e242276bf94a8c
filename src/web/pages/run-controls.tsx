import type { Child } from 'hono/jsx';
import { enumerate, plural } from '../../reports/words.js';
import { MAX_COMMENT_LENGTH } from '../../runs/comments.js';
import type { OfferedControl } from '../../runs/controls.js';
import type { Access } from '../../signin/access.js';
import type { PlanView } from '../../terraform/plan-view.js';
import { runPath } from './addresses.js';
import { Foreign } from './foreign.js';
import { Icon } from './icon.js';
import type { PageContext } from './page-context.js';
import { ActionForm } from './parts.js';
import type { ShownRun } from './shown-run.js';

export interface RunControlsProps {
  shown: ShownRun;
  page: PageContext;
  access: Access;
  /** What this person may do with this run now. */
  controls: OfferedControl[];
  plan?: PlanView | undefined;
  /** Why there is none, though it was planned: a sentence. */
  planNotShown?: string | undefined;
  /** Confirm & Apply was pressed, and asks again. */
  ask: boolean;
}

/** The buttons for the state that the run is in, at the bottom and always in sight. Each says what it will do. */
export function RunControls(props: RunControlsProps) {
  const { controls, access, shown } = props;
  const buttons = controls.filter(({ control }) => control !== 'comment');
  const confirm = buttons.find(({ control }) => control === 'confirm');
  return (
    <section id="controls" class="run-controls" aria-label="Controls">
      {buttons.length > 0 ? (
        <div class="controls-bar">
          {props.ask && confirm?.asksAgain ? (
            <Question {...props} />
          ) : (
            buttons.map((offered) => <Control offered={offered} {...props} />)
          )}
        </div>
      ) : (
        <WhoCan access={access} shown={shown} />
      )}
    </section>
  );
}

/** What each control does. */
const CONTROLS = {
  discard: { look: 'btn-danger', does: 'Drops this plan and changes nothing. The next run may start.' },
  cancel: {
    look: 'btn-danger',
    does: 'Interrupts Terraform, which finishes what it is doing and saves the state.',
  },
  'force-cancel': {
    look: 'btn-danger',
    does: 'Kills Terraform at once. The state may be incomplete: only if the cancel doesn’t work.',
  },
} as const;

function Control({ offered, shown, page, plan }: RunControlsProps & { offered: OfferedControl }) {
  const { control, label, from } = offered;
  const { run } = shown;
  if (control === 'comment') return null;
  const early = from !== undefined && from.getTime() > page.now.getTime();
  if (control === 'confirm') return <Confirm offered={offered} shown={shown} page={page} plan={plan} />;
  const { look, does } = CONTROLS[control];
  const pending = run.state === 'pending';
  return (
    <div class="control" data-from={from?.toISOString()} hidden={early}>
      <ActionForm page={page} action={`${runPath(run.id)}/${control}`}>
        <button type="submit" class={`btn ${look}`}>
          {label}
        </button>
      </ActionForm>
      <p class="control-does">
        {control === 'discard' && pending
          ? 'Takes it out of the queue. Nothing was planned yet.'
          : control === 'cancel' && run.state === 'confirmed'
            ? 'Stops it before the apply begins. Nothing is changed.'
            : control === 'cancel' && run.state === 'planning'
              ? 'Interrupts the plan. Nothing is changed.'
              : does}
      </p>
    </div>
  );
}

function Confirm({
  offered: { label, asksAgain },
  shown,
  page,
  plan,
}: Pick<RunControlsProps, 'shown' | 'page' | 'plan'> & { offered: OfferedControl }) {
  const { run } = shown;
  return (
    <div class="control">
      {asksAgain ? (
        <form method="get" action={`${runPath(run.id)}#controls`}>
          <input type="hidden" name="ask" value="apply" />
          <button type="submit" class="btn btn-primary">
            {label}
          </button>
        </form>
      ) : (
        <ActionForm page={page} action={`${runPath(run.id)}/confirm`}>
          <button type="submit" class="btn btn-primary">
            {label}
          </button>
        </ActionForm>
      )}
      <p class="control-does">
        {asksAgain
          ? `Asks once more: this plan ${losses(shown, plan).join(' and ')}.`
          : 'Makes the changes of this plan, exactly as shown.'}
      </p>
    </div>
  );
}

const NAMED = 3;

/** The second question, before something is lost. */
function Question({ shown, page, plan }: RunControlsProps) {
  const { run } = shown;
  const lost = (plan?.resources ?? []).filter(({ action }) => action === 'destroy' || action === 'replace');
  return (
    <section class="question" aria-labelledby="question">
      <p id="question" class="question-text">
        <Icon name="alert" tone="danger" />
        <span>
          This {enumerate(losses(shown, plan))}
          {lost.length > 0 && ': '}
          {lost.slice(0, NAMED).map(
            ({ address }, index): Child => (
              <>
                {index > 0 && ', '}
                <code>
                  <Foreign text={address} max={120} />
                </code>
              </>
            ),
          )}
          {lost.length > NAMED && ` and ${lost.length - NAMED} more`}.
        </span>
      </p>
      <div class="question-answers">
        <ActionForm page={page} action={`${runPath(run.id)}/confirm`}>
          <button type="submit" class="btn btn-danger-solid">
            Confirm &amp; Apply
          </button>
        </ActionForm>
        <a class="btn" href={runPath(run.id)}>
          Back to the plan
        </a>
      </div>
    </section>
  );
}

/** 'destroys 2', 'replaces 1 resource'. */
function losses({ run }: ShownRun, plan: PlanView | undefined): string[] {
  const count = (action: 'destroy' | 'replace') =>
    run.plan_summary?.[action] ?? plan?.resources.filter((resource) => resource.action === action).length ?? 0;
  const destroyed = count('destroy');
  const replaced = count('replace');
  const both = destroyed > 0 && replaced > 0;
  return [
    ...(destroyed > 0 ? [`destroys ${both ? destroyed : plural(destroyed, 'resource')}`] : []),
    ...(replaced > 0 ? [`replaces ${plural(replaced, 'resource')}`] : []),
  ];
}

/** One quiet line for whoever may only look. */
function WhoCan({ access, shown: { run } }: { access: Access; shown: ShownRun }) {
  if (access !== 'read') return null;
  const what = {
    pending: 'Discarding this run',
    planning: 'Canceling this run',
    needs_confirmation: 'Confirming or discarding this plan',
    confirmed: 'Canceling this run',
    applying: 'Canceling this run',
  }[run.state as string];
  return what === undefined ? null : (
    <p class="who-can quiet">
      <Icon name="lock" /> {what} takes write access to the repository.
    </p>
  );
}

/** The same whatever the run does, so what is being typed stays; gone with the right to write. */
export function Commenting({ shown, page, controls }: RunControlsProps) {
  return (
    <div id="commenting">
      {controls.some(({ control }) => control === 'comment') && (
        <ActionForm page={page} action={`${runPath(shown.run.id)}/comment`} name="comment-form">
          <label for="comment">Comment</label>
          <textarea
            id="comment"
            name="comment"
            class="form-control"
            rows={3}
            maxlength={MAX_COMMENT_LENGTH}
            required
          ></textarea>
          <button type="submit" class="btn">
            Add comment
          </button>
        </ActionForm>
      )}
    </div>
  );
}
