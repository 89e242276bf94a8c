import { readFile } from 'node:fs/promises';
import { sql } from 'kysely';
import { migrate } from '../../src/db/migrate.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { Counts } from '../../src/operating/counts.js';
import { readFigures } from '../../src/operating/figures.js';
import { type Database, inLaboratory } from './laboratory.js';
import { ms, print, printTable, ratio } from './output.js';
import { median } from './statistics.js';

const SMALL = { workspaces: 10, runs: 10 };
const LARGE = { workspaces: 10_000, runs: 100_000 };
/** What waits is the same in both. */
const WAITING = { pending: 300, deliveries: 200, effects: 500 };
const TIMES = 60;

/** What one look of `/metrics` and `/readyz` costs that isn't answered from the one before. */
export async function scrape(): Promise<void> {
  print(
    `Scrape: what /metrics asks the record, with ${LARGE.runs.toLocaleString('en')} runs of ${LARGE.workspaces.toLocaleString('en')} workspaces on it`,
  );
  print(
    `against ${SMALL.runs}, and against \`select 1\`. ${WAITING.pending} runs, ${WAITING.deliveries} deliveries and ${WAITING.effects} effects wait in both.`,
  );
  print();
  await inLaboratory(async ({ createDatabase }) => {
    const rows: string[][] = [];
    const small = await measure(await createDatabase('scrape_small'), SMALL);
    const large = await measure(await createDatabase('scrape_large'), LARGE);
    for (const what of ['select 1', 'what is now', 'what was since the last look'] as const) {
      const [few, many, bare] = [small.times[what] ?? [], large.times[what] ?? [], large.times['select 1'] ?? []];
      rows.push([
        what,
        ms(median(many)),
        ms(large.processor[what] ?? Number.NaN),
        ms(median(few)),
        ratio(median(many) / median(few)),
        ratio(median(many) / median(bare)),
      ]);
    }
    printTable(['(ms)', 'many runs', 'processor', 'few runs', 'many / few', '/ select 1'], rows);
  });
}

interface Measured {
  /** In ms, as whoever asks sees it. */
  times: Record<string, number[]>;
  /** What PostgreSQL computes for one look, in ms: what else the machine does makes no difference to it. */
  processor: Record<string, number>;
}

async function measure(database: Database, size: typeof SMALL): Promise<Measured> {
  const pool = createPool({ connectionString: database.url, max: 1, onError: () => undefined });
  const db = createDb(pool);
  try {
    await migrate(db);
    await fill(database, size);
    const counts = await Counts.from(db);
    await fillWhatHappens(database);
    const looks: [string, () => Promise<unknown>][] = [
      ['select 1', () => sql`select 1`.execute(db)],
      ['what is now', () => readFigures(db as Db)],
      ['what was since the last look', () => counts.read()],
    ];
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() pid`.execute(db);
    const session = rows[0]?.pid ?? 0;
    const times: Measured['times'] = {};
    const processor: Measured['processor'] = {};
    // In turns, so that what else the machine does meets all alike.
    for (let time = 0; time < TIMES; time++) {
      for (const [what, look] of looks) {
        const used = await usedBy(session);
        const begun = performance.now();
        await look();
        const taken = times[what] ?? [];
        taken.push(performance.now() - begun);
        times[what] = taken;
        processor[what] = (processor[what] ?? 0) + ((await usedBy(session)) - used) / TIMES;
      }
    }
    return { times, processor };
  } finally {
    await db.destroy();
  }
}

/** Processor time of a process so far, in ms. */
async function usedBy(pid: number): Promise<number> {
  return Number((await readFile(`/proc/${pid}/schedstat`, 'utf8')).split(' ')[0]) / 1e6;
}

async function fill({ query }: Database, { workspaces, runs }: typeof SMALL): Promise<void> {
  await query(
    `insert into repositories (id, installation_id, owner, name, default_branch)
    select n, 1, 'acme', 'infra-' || n, 'main' from generate_series(1, greatest(1, $1::integer / 10)) n`,
    [workspaces],
  );
  await query(
    `insert into workspaces (repository_id, name, directory, branch, auto_apply, trigger_prefixes, trigger_patterns,
        apply_requirements, supersede_pending)
      select 1 + n / 10, 'workspace-' || n, 'directory-' || n, 'main', true, '{}', '{}', '{mergeable}', false
      from generate_series(0, $1::integer - 1) n`,
    [workspaces],
  );
  await query(
    `insert into runs (id, workspace_id, repository_id, speculative, state, trigger, actor, commit_sha, commit_message,
        branch, settings, auto_apply, attempt, worker, confirmed_by, created_at, ended_at)
      select 'run-' || lpad(n::text, 16, '0'), w.id, w.repository_id, false, 'applied', 'push', 'alice', md5(n::text),
        'Change something', 'main', jsonb_build_object('name', w.name, 'directory', w.directory), true, 1, 'worker', 'auto-apply',
        now() - interval '2 days', now() - interval '1 day'
      from generate_series(1, $1::integer) n join workspaces w on w.id = 1 + n % $2::integer`,
    [runs, workspaces],
  );
  await query(
    `insert into run_events (run_id, type, state, at)
      select r.id, e.type, e.state, now() - interval '1 day' from runs r cross join (values
        ('created', 'pending'), ('plan_started', 'planning'), ('plan_approved', 'confirmed'),
        ('apply_started', 'applying'), ('apply_finished', 'applied')) e (type, state)`,
  );
  await query(
    `insert into deliveries (guid, event, repository_id, body, received_at, done_at, error)
      select 'done-' || n, 'push', 1, repeat(md5(n::text), 100), now() - interval '1 day', now(),
        case when n % 1000 = 0 then 'Error: no' end
      from generate_series(1, $1::integer) n`,
    [runs],
  );
  await query(
    `insert into runs (id, workspace_id, repository_id, speculative, trigger, actor, commit_sha, commit_message, branch, settings, auto_apply)
      select 'pending-' || n, w.id, w.repository_id, n % 3 = 0, 'push', 'alice', md5(n::text), 'Change', 'main', '{}', true
      from generate_series(1, $1::integer) n join workspaces w on w.id = 1 + n % $2::integer`,
    [WAITING.pending, workspaces],
  );
  await query(
    `insert into deliveries (guid, event, repository_id, body)
      select 'undone-' || n, 'push', 1 + n % 10, repeat(md5(n::text), 100) from generate_series(1, $1::integer) n`,
    [WAITING.deliveries],
  );
  await query(
    `insert into outbox (kind, subject, payload, attempts, error)
      select 'run_report', 'run-' || n, '{}', 3, 'GitHub is away' from generate_series(1, $1::integer) n`,
    [WAITING.effects],
  );
  await query('vacuum analyze');
}

/** A minute of a busy day, 50 runs: what is counted anew at each look. */
async function fillWhatHappens({ query }: Database): Promise<void> {
  await query(
    `insert into run_events (run_id, type, state)
      select r.id, e.type, e.state from (select id from runs where state = 'applied' limit 50) r cross join (values
        ('plan_started', 'planning'), ('plan_approved', 'confirmed'), ('apply_started', 'applying'),
        ('apply_finished', 'applied')) e (type, state)`,
  );
}
