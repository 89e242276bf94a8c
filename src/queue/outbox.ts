import { sql } from 'kysely';
import { wakeUp } from '../db/notifications.js';
import type { Db, Tx } from '../db/pool.js';
import type { Effect } from './effect.js';
import { rankOf, repositoryOf } from './effect-order.js';

export type { Effect, EffectKind, Reaction, SettingsProblem, StageJob } from './effect.js';

/**
 * Writes an effect in the transaction of the change that causes it. An effect of the same kind and subject that is
 * still waiting takes this one's payload and stays one effect.
 */
export async function enqueue(tx: Db | Tx, ...effects: Effect[]): Promise<void> {
  if (effects.length === 0) return;
  // One statement can write a row only once: of effects that are the same row the last one counts.
  const rows = new Map(effects.map((effect) => [`${effect.kind} ${subjectOf(effect)}`, effect]));
  await tx
    .insertInto('outbox')
    .values(
      [...rows.values()].map((effect) => ({
        kind: effect.kind,
        subject: subjectOf(effect),
        payload: JSON.stringify(effect),
        repository_id: repositoryOf(effect),
        rank: rankOf(effect),
      })),
    )
    .onConflict((conflict) =>
      conflict.columns(['kind', 'subject']).doUpdateSet({
        payload: (eb) => eb.ref('excluded.payload'),
        repository_id: (eb) => eb.ref('excluded.repository_id'),
        rank: (eb) => eb.ref('excluded.rank'),
        version: sql`outbox.version + 1`,
        due_at: sql`now()`,
        attempts: 0,
      }),
    )
    .returning(wakeUp('outbox').as('told'))
    .execute();
}

function subjectOf(effect: Effect): string {
  switch (effect.kind) {
    case 'job':
      return `${effect.job.run}-${effect.job.stage}-${effect.job.attempt}`;
    case 'apply_check':
    case 'run_report':
      return effect.run;
    case 'pull_request_report':
      return `${effect.repository}/${effect.number}`;
    case 'head_report':
    case 'settings_report':
      return `${effect.repository}/${effect.sha}`;
    case 'reaction':
      return `${effect.comment}/${effect.content}`;
    case 'reply':
      return `${effect.repository}/${effect.number}/${effect.key}`;
  }
}
