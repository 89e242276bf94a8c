import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Stage } from '../db/schema.js';
import { type LongText, longText } from './long-text.js';
import { MAX_BYTES } from './markdown.js';

/** What a stage's last attempt printed: both ends of it, since it may be far longer than GitHub takes. */
export async function readOutput(db: Db, run: string, stage: Stage): Promise<LongText | undefined> {
  const { rows } = await sql<{ text: string; before: number; after: number; bytes: number; breaks: number }>`
    with chunks as (
      select sequence, text, octet_length(text) size, length(text) - length(replace(text, e'\n', '')) breaks
      from outputs where run_id = ${run} and stage = ${stage} and attempt =
        (select max(attempt) from outputs where run_id = ${run} and stage = ${stage})
    ), sized as (
      select sequence, text, sum(size) over (order by sequence) - size before,
        sum(size) over (order by sequence desc) - size after, sum(size) over () bytes, sum(breaks) over () breaks
      from chunks
    )
    select text, before::bigint, after::bigint, bytes::bigint, breaks::bigint from sized
    where before < ${MAX_BYTES} or after < ${MAX_BYTES} order by sequence`.execute(db);

  const all = rows[0];
  if (!all || all.bytes === 0) return undefined;
  const held = rows.reduce((sum, row) => sum + Buffer.byteLength(row.text), 0);
  if (held === all.bytes) return longText(rows.map((row) => row.text).join(''));
  const join = (wanted: (row: (typeof rows)[number]) => boolean) =>
    rows
      .filter(wanted)
      .map((row) => row.text)
      .join('');
  const end = join((row) => row.after < MAX_BYTES);
  return {
    begin: join((row) => row.before < MAX_BYTES),
    end,
    whole: false,
    lines: all.breaks + (end.endsWith('\n') ? 0 : 1),
    bytes: all.bytes,
  };
}
