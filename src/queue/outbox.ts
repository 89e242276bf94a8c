import { type RawBuilder, sql } from 'kysely';
import { wakeUp } from '../db/notifications.js';
import type { Db, Tx } from '../db/pool.js';
import type { Effect } from './effect.js';
import { RANK } from './effect-order.js';

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

/**
 * Ranks anew what still waits as progress. When the last two plans of a head end in the same moment, neither transaction
 * sees the other's end, and what sums them up would wait as if one were under way.
 */
export async function rankAnew(db: Db, effect: Effect): Promise<void> {
  await db
    .updateTable('outbox')
    .set({ rank: rankOf(effect) })
    .where('kind', '=', effect.kind)
    .where('subject', '=', subjectOf(effect))
    .where('rank', '=', RANK.progress)
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

/** The rank of an effect by what the record says when it is written. */
function rankOf(effect: Effect): RawBuilder<number> {
  const { free, answer, verdict, final, summary, progress } = RANK;
  switch (effect.kind) {
    case 'job':
    case 'apply_check':
      return sql`${free}::smallint`;
    case 'reaction':
    case 'reply':
      return sql`${answer}::smallint`;
    case 'run_report':
      return sql`case when exists (
        select from runs where id = ${effect.run} and (ended_at is not null or state = 'needs_confirmation')
      ) then ${final}::smallint else ${progress} end`;
    case 'head_report':
      return sql`case when exists (
        select from runs where repository_id = ${effect.repository} and commit_sha = ${effect.sha} and speculative
          and ended_at is null
      ) then ${progress}::smallint else ${verdict} end`;
    case 'pull_request_report':
      return sql`case when exists (
        select from runs where repository_id = ${effect.repository} and pull_request = ${effect.number}
          and ended_at is null and state <> 'needs_confirmation'
      ) then ${progress}::smallint else ${summary} end`;
    case 'settings_report':
      return sql`${summary}::smallint`;
  }
}

/** The repository whose installation an effect on GitHub goes through. */
function repositoryOf(effect: Effect): RawBuilder<number | null> | number | null {
  if ('repository' in effect) return effect.repository;
  if ('run' in effect) return sql`(select repository_id from runs where id = ${effect.run})`;
  return null;
}
