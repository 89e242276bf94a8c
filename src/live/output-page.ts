import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Stage } from '../db/schema.js';
import { isFinal, type RunState } from '../runs/machine.js';
import type { Position } from './position.js';

/** Text of one attempt of a stage, and the position of whoever has it. */
export interface OutputText extends Position {
  text: string;
}

export interface OutputPage {
  /** What comes next, in order; at most two: the end of the plan's, and the beginning of the apply's. */
  texts: OutputText[];
  /** The run had ended when this was read. */
  final: boolean;
}

/** What is read at once, in bytes; a single piece may be longer. */
const PAGE_BYTES = 256 * 1024;
/** What of it a page of HTML has: the rest follows when it is shown. */
export const FIRST_BYTES = 64 * 1024;
/** Pieces looked at for that: each is what Terraform printed in a fifth of a second, usually far less than a KiB. */
const PAGE_PIECES = 512;

type Row = { state: RunState; stage: Stage | null; attempt: number; sequence: number; text: string };

/**
 * The output that follows `from`, of the last attempt of each stage: the plan's first. Undefined: there is no such run.
 * Run and text are of one moment, so that of a final run an empty page is the end.
 */
export async function readOutputPage(
  db: Db,
  run: string,
  from: Position | undefined,
  bytes = PAGE_BYTES,
): Promise<OutputPage | undefined> {
  // The plan's text is done with before the apply's begins, also where there is more of it than is looked at.
  const plan = from?.stage === 'apply' ? sql`select * from outputs where false` : pieces(run, 'plan', from);
  const { rows } = await sql<Row>`
    with plan as (${plan}), apply as (${pieces(run, 'apply', from)}), candidates as (
      select stage, attempt, sequence, text from plan union all
      select stage, attempt, sequence, text from apply where (select count(*) from plan) < ${PAGE_PIECES}
    ), sized as (
      select *, row_number() over reading as place, sum(octet_length(text)) over reading as upto
      from candidates window reading as (order by stage desc, sequence)
    )
    select runs.state, page.stage, page.attempt, page.sequence, page.text
    from runs left join sized page on upto <= ${bytes} or place = 1
    where runs.id = ${run} order by page.stage desc, page.sequence`.execute(db);
  const [first] = rows;
  if (!first) return undefined;
  return { texts: join(rows), final: isFinal(first.state) };
}

/** Those that follow, of the stage's last attempt; all of it when that isn't the attempt of `from`. */
function pieces(run: string, stage: Stage, from: Position | undefined) {
  const { attempt, sequence } = from?.stage === stage ? from : { attempt: -1, sequence: -1 };
  return sql`
    select stage, attempt, sequence, text from outputs
    where run_id = ${run} and stage = ${stage}
      and attempt = (select max(attempt) from outputs where run_id = ${run} and stage = ${stage})
      and sequence > case when attempt = ${attempt} then ${sequence} else -1 end
    order by sequence limit ${PAGE_PIECES}`;
}

function join(rows: Row[]): OutputText[] {
  const texts: OutputText[] = [];
  for (const { stage, attempt, sequence, text } of rows) {
    const last = texts.at(-1);
    if (stage === null) continue;
    if (last?.stage === stage) Object.assign(last, { sequence, text: last.text + text });
    else texts.push({ stage, attempt, sequence, text });
  }
  return texts;
}
