import { Redis } from 'ioredis';
import type { Signalbox } from '../support/signalbox.js';
import { type Database, inLaboratory, type Laboratory } from './laboratory.js';
import { print, printTable, ratio } from './output.js';
import { rssOf, usedBy } from './process-use.js';

const FEW = 10;
const MANY = 10_000;
const SETTLE_MS = 8_000;
const WINDOW_MS = 10_000;

interface Idler {
  queue: string;
  workspaces: number;
  database: Database;
  redis: string | undefined;
  signalbox: Signalbox;
}

interface Figures {
  postgres: number;
  redis: number | undefined;
  /** Share of one core. */
  cpu: number;
  sessions: number;
  rss: number;
}

/** What workspaces cost that are only on record. All that is compared idles in the same ten seconds. */
export async function idle(): Promise<void> {
  print(
    `Idle: ${MANY.toLocaleString('en')} workspaces on record, each with an applied run, none active, against ${FEW}.`,
  );
  print(`All at once, over the same ${WINDOW_MS / 1000} s.`);
  print();
  await inLaboratory(async (laboratory) => {
    const idlers: Idler[] = [];
    for (const workspaces of [FEW, MANY]) {
      idlers.push(await startIdler(laboratory, workspaces, undefined));
      const redis = laboratory.redisUrl(idlers.length);
      if (redis) idlers.push(await startIdler(laboratory, workspaces, redis));
    }
    await sleep(SETTLE_MS);
    const before = await Promise.all(idlers.map(cpuOf));
    await sleep(WINDOW_MS);
    const after = await Promise.all(idlers.map(cpuOf));
    const figures = await Promise.all(
      idlers.map(async (idler, index) => {
        const [begin, end] = [before[index] ?? NOTHING, after[index] ?? NOTHING];
        const share = (from: number, to: number) => (to - from) / WINDOW_MS;
        return {
          ...(await connectionsOf(idler)),
          cpu: share(begin.process, end.process),
          sessions: share(0, grown(begin.sessions, end.sessions)),
          rss: await rssOf(idler.signalbox.process.pid ?? 0),
        };
      }),
    );
    report(idlers, figures);
  });
}

async function startIdler(laboratory: Laboratory, workspaces: number, redis: string | undefined): Promise<Idler> {
  const queue = redis ? 'redis' : 'postgresql';
  const name = `idle_${queue}_${workspaces}`;
  const github = await laboratory.startGitHub(name);
  const database = await laboratory.createDatabase(name);
  // It makes its tables when it starts first. What is measured is a start with everything on record.
  const first = await laboratory.startSignalbox({ name, github, database, redisUrl: redis });
  await first.stop();
  await fill(database, workspaces);
  const signalbox = await laboratory.startSignalbox({ name, github, database, redisUrl: redis });
  return { queue: redis ? 'Redis' : 'PostgreSQL', workspaces, database, redis, signalbox };
}

async function fill(database: Database, workspaces: number): Promise<void> {
  await database.query(
    `insert into repositories (id, installation_id, owner, name, default_branch)
      select n, 1, 'acme', 'infra-' || n, 'main' from generate_series(1, greatest(1, $1::integer / 10)) n`,
    [workspaces],
  );
  await database.query(
    `insert into workspaces (repository_id, name, directory, branch, auto_apply, trigger_prefixes, trigger_patterns,
        apply_requirements, supersede_pending, applied_identity)
      select 1 + n / 10, 'workspace-' || n, 'directory-' || n, 'main', true, '{}', '{}', '{mergeable}', false, 'signalbox:.'
      from generate_series(0, $1::integer - 1) n`,
    [workspaces],
  );
  await database.query(
    `insert into runs (id, workspace_id, repository_id, speculative, state, trigger, actor, commit_sha, commit_message,
        branch, settings, auto_apply, attempt, worker, confirmed_by, ended_at)
      select 'run-' || lpad(id::text, 16, '0'), id, repository_id, false, 'applied', 'push', 'alice', md5(name), 'Begin',
        'main', jsonb_build_object('name', name, 'directory', directory, 'branch', branch, 'autoApply', true,
        'applyRequirements', '[]'::jsonb), true, 1, 'worker', 'auto-apply', now() from workspaces`,
  );
  await database.query('analyze');
}

interface Used {
  process: number;
  /** By pid: sessions come and go. */
  sessions: ReadonlyMap<number, number>;
}

const NOTHING: Used = { process: Number.NaN, sessions: new Map() };

/** What the process and its sessions in PostgreSQL have used up so far, in ms. */
async function cpuOf({ signalbox, database }: Idler): Promise<Used> {
  const sessions = await sessionsOf(database);
  const used = await Promise.all(sessions.map(async (pid) => [pid, await usedBy(pid)] as const));
  return { process: await usedBy(signalbox.process.pid ?? 0), sessions: new Map(used) };
}

/** What the sessions of the end have used since; what one that has gone since used is lost. */
function grown(begin: ReadonlyMap<number, number>, end: ReadonlyMap<number, number>): number {
  return [...end].reduce((sum, [pid, used]) => sum + used - (begin.get(pid) ?? 0), 0);
}

async function sessionsOf(database: Database): Promise<number[]> {
  const rows = await database.query<{ pid: number }>(
    `select pid from pg_stat_activity where datname = current_database() and application_name <> 'bench'
      and backend_type = 'client backend'`,
  );
  return rows.map(({ pid }) => pid);
}

async function connectionsOf({ database, redis }: Idler) {
  const postgres = (await sessionsOf(database)).length;
  if (redis === undefined) return { postgres, redis: undefined };
  const client = new Redis(redis);
  try {
    const clients = String(await client.client('LIST')).split('\n');
    const number = new URL(redis).pathname.slice(1);
    // Every idler has a database of its own; this client is not one of theirs.
    const theirs = clients.filter((line) => line.includes(` db=${number} `) && line.includes('name=signalbox'));
    return { postgres, redis: theirs.length };
  } finally {
    client.disconnect();
  }
}

function report(idlers: readonly Idler[], figures: readonly Figures[]): void {
  const rows: string[][] = [];
  for (const queue of [...new Set(idlers.map((idler) => idler.queue))]) {
    const of = (workspaces: number) =>
      figures[idlers.findIndex((idler) => idler.queue === queue && idler.workspaces === workspaces)];
    const [few, many] = [of(FEW), of(MANY)];
    if (!few || !many) continue;
    const row = (what: string, value: (figures: Figures) => number, show: (value: number) => string) =>
      rows.push([`${what} (${queue})`, show(value(many)), show(value(few)), ratio(value(many) / value(few))]);
    row('connections to PostgreSQL', ({ postgres }) => postgres, String);
    if (few.redis !== undefined) row('connections to Redis', ({ redis }) => redis ?? 0, String);
    row('CPU of the process', ({ cpu }) => cpu, percent);
    row('CPU of its PostgreSQL sessions', ({ sessions }) => sessions, percent);
    row(
      'memory, RSS',
      ({ rss }) => rss,
      (value) => `${value.toFixed(0)} MiB`,
    );
  }
  printTable(['(queue on)', `${MANY.toLocaleString('en')}`, String(FEW), 'ratio'], rows);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(2)} %`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
