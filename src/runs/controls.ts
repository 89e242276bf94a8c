import type { Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { Access } from '../signin/access.js';
import { type ActionResult, cancelRun, confirmRun, discardRun, forceCancelFrom, forceCancelRun } from './actions.js';
import { isLegal } from './machine.js';

/** What moves a run from its page. */
export type Move = 'confirm' | 'discard' | 'cancel' | 'force-cancel';
export type Control = Move | 'comment';

/** A control that a run's page has for somebody. */
export interface OfferedControl {
  control: Control;
  /** Its accessible name. */
  label: string;
  /** Confirming it destroys or replaces something: it asks again. */
  asksAgain: boolean;
  /** It is there from then on; undefined: now. */
  from: Date | undefined;
}

/** Whether somebody with this access may use a control at all, whatever the run's state. */
export function mayUse(control: Control, access: Access | undefined): boolean {
  if (control === 'force-cancel') return access === 'admin';
  return access === 'write' || access === 'admin';
}

/** The controls that a run's page has for somebody now, and the one that it will have if nothing else happens. */
export function controlsOf(run: Run, access: Access | undefined, now: Date): OfferedControl[] {
  return present(run, now).filter(({ control }) => mayUse(control, access));
}

function present(run: Run, now: Date): OfferedControl[] {
  const controls: OfferedControl[] = [];
  const offer = (control: Control, label: string, more: Partial<OfferedControl> = {}) =>
    controls.push({ control, label, asksAgain: false, from: undefined, ...more });
  if (isLegal(run, 'confirmed')) offer('confirm', 'Confirm & Apply', { asksAgain: takesAway(run) });
  if (isLegal(run, 'discarded')) offer('discard', run.state === 'pending' ? 'Discard Run' : 'Discard Plan');
  if (isLegal(run, 'canceled') && run.cancel_requested_at === null) offer('cancel', 'Cancel Run');
  const from = forceCancelFrom(run);
  if (from !== undefined) offer('force-cancel', 'Force Cancel', { from: from > now ? from : undefined });
  offer('comment', 'Add comment');
  return controls;
}

function takesAway({ plan_summary: plan }: Run): boolean {
  return plan !== null && plan.destroy + plan.replace > 0;
}

/**
 * Moves a run as somebody asked on its page, or says what became of it. A pull request's run is confirmed only after GitHub
 * was asked (see github/page-press.ts).
 */
export async function act(tx: Tx, run: Run, move: Move, actor: string): Promise<ActionResult> {
  switch (move) {
    case 'confirm':
      if (run.pull_request !== null) throw new Error(`GitHub has to be asked before ${run.id} is confirmed.`);
      return confirmRun(tx, run, actor);
    case 'discard':
      return discardRun(tx, run, 'It was discarded on its page.', actor);
    case 'cancel':
      return cancelRun(tx, run, 'It was canceled on its page.', actor);
    case 'force-cancel':
      return forceCancelRun(tx, run, 'The cancel was forced on its page.', actor);
  }
}
