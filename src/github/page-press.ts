import { type ActionResult, whatBecameOf } from '../runs/actions.js';
import { act, type Move } from '../runs/controls.js';
import { isLegal } from '../runs/machine.js';
import { commitNoted } from '../runs/noted.js';
import { findRun } from '../runs/store.js';
import { prepareConfirm } from './confirm.js';
import type { Services } from './handling.js';
import { inRepository } from './repository-scope.js';

/**
 * A control of a run's page, pressed by somebody who may. Yields what was done, or what became of the run instead. Confirming
 * a pull request's run asks GitHub first, as the button on its check run does, and throws what that throws.
 */
export async function pressOnPage(services: Services, id: string, move: Move, actor: string): Promise<ActionResult> {
  const { db, log } = services;
  const run = await findRun(db, id);
  if (move !== 'confirm' || run.pull_request === null) return commitNoted(db, log, (tx) => act(tx, run, move, actor));
  if (!isLegal(run, 'confirmed')) return { done: false, run, reason: await whatBecameOf(db, run) };
  return inRepository(services, run.repository_id, async (scope) => {
    const press = await prepareConfirm(scope, run, { trigger: 'page', actor, receivedAt: new Date() });
    return commitNoted(db, log, async (tx): Promise<ActionResult> => {
      const refusal = await press(tx);
      const now = await findRun(tx, run.id);
      if (refusal === undefined) return { done: true, run: now };
      // A reason is the rest of a sentence, and on a page there is no Markdown.
      return { done: false, run: now, reason: refusal.replaceAll('`', "'").replace(/\.$/, '') };
    });
  });
}
