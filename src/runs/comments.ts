import type { Tx } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import { said } from './said.js';
import { addEvent } from './transition.js';

/** In characters: a screen or two. */
export const MAX_COMMENT_LENGTH = 5_000;

/**
 * Adds what somebody says about a run to its timeline, whatever its state. Yields whether there was anything to add. It is
 * shown on the run's page; GitHub has comments of its own. Throws SaidTooMuch.
 */
export async function addComment(tx: Tx, run: Pick<Run, 'id'>, actor: string, text: string): Promise<boolean> {
  const detail = said(text, MAX_COMMENT_LENGTH);
  if (detail === '') return false;
  // Shared, so that the line says the state that the run has then, and stands in order with those of its moves.
  const present = await tx
    .selectFrom('runs')
    .select(['id', 'state'])
    .where('id', '=', run.id)
    .forShare()
    .executeTakeFirstOrThrow();
  await addEvent(tx, present, 'comment', { actor, detail });
  return true;
}
