import type { Db, Tx } from '../../src/db/pool.js';

/** Text of a stage's last attempt, as Terraform printed it. */
export async function outputOf(db: Db | Tx, run: string, stage: 'plan' | 'apply'): Promise<string> {
  const chunks = await db
    .selectFrom('outputs')
    .select('text')
    .where('run_id', '=', run)
    .where('stage', '=', stage)
    .where('attempt', '=', (eb) =>
      eb
        .selectFrom('outputs as last')
        .select((e) => e.fn.max('last.attempt').as('attempt'))
        .where('last.run_id', '=', run)
        .where('last.stage', '=', stage),
    )
    .orderBy('sequence')
    .execute();
  return chunks.map((chunk) => chunk.text).join('');
}
