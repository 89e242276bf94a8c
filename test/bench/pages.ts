import type { Signalbox } from '../support/signalbox.js';
import { type Database, inLaboratory, type Laboratory } from './laboratory.js';
import { ms, print, printTable, ratio } from './output.js';
import { QueryCounter } from './query-counter.js';
import { Reader } from './reader.js';
import { percentile } from './statistics.js';
import { watching } from './watching.js';

const SMALL = { repositories: 2, workspaces: 10, runs: 100 };
const LARGE = { repositories: 100, workspaces: 10_000, runs: 100_000 };
/** Every one of so many runs is of the first workspace. */
const CROWDED = 5;
/** Web on its own needs one. */
const env = { ROLES: 'web', ENCRYPTION_KEY: '5'.repeat(64) };
const TIMES = 100;
const WARM_UPS = 3;

/** What pages cost the server, and what those cost who watch. */
export async function pages(): Promise<void> {
  print(
    `Pages: read one after the other by one person, ${LARGE.workspaces.toLocaleString('en')} workspaces and ` +
      `${LARGE.runs.toLocaleString('en')} runs on record, against ${SMALL.workspaces} and`,
  );
  print(`${SMALL.runs}, and against the same server's /healthz. A ${CROWDED}th of the runs is of one workspace.`);
  print();
  await inLaboratory(async (laboratory) => {
    const few = await measure(laboratory, SMALL);
    const many = await measure(laboratory, LARGE);
    const bare = many.times['/healthz'] ?? [];
    const rows = Object.entries(many.times).map(([what, times]) => {
      const p50 = percentile(times, 50);
      return [
        what,
        ms(p50),
        ms(percentile(times, 99)),
        ratio(p50 / percentile(few.times[what] ?? [], 50)),
        ratio(p50 / percentile(bare, 50)),
        String(many.queries[what]),
        String(few.queries[what]),
      ];
    });
    printTable(['(ms)', 'p50', 'p99', 'many / few', '/ healthz', 'queries', 'of few'], rows);
  });
  print();
  await inLaboratory(watching);
}

interface Measured {
  /** By what is read, in ms. */
  times: Record<string, number[]>;
  /** That the page itself makes. */
  queries: Record<string, number>;
}

async function measure(laboratory: Laboratory, size: typeof SMALL): Promise<Measured> {
  const name = `pages_${size.workspaces}`;
  const github = await laboratory.startGitHub(name);
  await github.createUser('alice');
  await github.createOrganization('acme', { owners: ['alice'] });
  const repositories: { id: number; name: string }[] = [];
  for (let n = 0; n < size.repositories; n++) {
    const { id } = await github.createRepository({ owner: 'acme', name: `infra-${n}`, private: true });
    repositories.push({ id, name: `infra-${n}` });
  }
  github.signInAs('alice');
  const database = await laboratory.createDatabase(name);
  // It makes its tables when it starts.
  const first = await laboratory.startSignalbox({ name, github, database, env });
  await first.stop();
  await fill(database, size, repositories);

  const signalbox = await laboratory.startSignalbox({ name, github, database, env });
  const times: Measured['times'] = {};
  await read(signalbox, size, async (what, path, reader) => {
    for (let n = 0; n < WARM_UPS; n++) await reader.read(path(n));
    times[what] = [];
    for (let n = 0; n < TIMES; n++) times[what].push(await reader.read(path(WARM_UPS + n)));
  });
  await signalbox.stop();

  const counter = await QueryCounter.start(database.url);
  laboratory.onClose(() => counter.close());
  const counted = await laboratory.startSignalbox({
    ...{ name, github, database: { ...database, url: counter.url } },
    env,
  });
  const queries: Measured['queries'] = {};
  await read(counted, size, async (what, path, reader) => {
    const counts: number[] = [];
    for (let n = 0; n < 10; n++) {
      const before = counter.queries;
      await reader.read(path(n));
      counts.push(counter.queries - before);
    }
    // What else the process does now and then only adds to it.
    queries[what] = Math.min(...counts.slice(WARM_UPS));
  });
  await counted.stop();
  return { times, queries };
}

/** `path`: the address of the nth of its kind, each time another one. */
async function read(
  signalbox: Signalbox,
  size: typeof SMALL,
  work: (what: string, path: (n: number) => string, reader: Reader) => Promise<void>,
): Promise<void> {
  const reader = await Reader.signIn(`http://127.0.0.1:${signalbox.port}`);
  const workspace = (n: number) => {
    const number = (n * 37) % size.workspaces;
    return `/acme/infra-${number % size.repositories}/workspaces/workspace-${number}`;
  };
  const run = (n: number) => `run-${String(1 + ((n * 1_009) % size.runs)).padStart(16, '0')}`;
  const crowded = '/acme/infra-0/workspaces/workspace-0';
  await work('/healthz', () => '/healthz', reader);
  await work('workspaces', () => '/', reader);
  await work('workspaces of a state', () => '/?state=applied', reader);
  await work('workspaces of a name', (n) => `/?q=workspace-${n}`, reader);
  await work('a workspace, with its runs', workspace, reader);
  await work('a workspace of many runs', () => crowded, reader);
  await work('a search for a run, found', () => `${crowded}?q=change`, reader);
  await work('a search for a run, in vain', (n) => `${crowded}?q=nothing-like-${n}`, reader);
  await work('a run', (n) => `/runs/${run(n)}`, reader);
  reader.close();
}

async function fill(
  { query }: Database,
  { workspaces, runs, repositories: many }: typeof SMALL,
  repositories: { id: number; name: string }[],
): Promise<void> {
  await query(
    `insert into repositories (id, installation_id, owner, name, default_branch)
      select id, 1, 'acme', name, 'main' from jsonb_to_recordset($1) r (id bigint, name text)
      on conflict (id) do nothing`,
    [JSON.stringify(repositories)],
  );
  await query(
    `insert into workspaces (repository_id, name, directory, branch, auto_apply, trigger_prefixes, trigger_patterns,
        apply_requirements, supersede_pending, applied_identity)
      select r.id, 'workspace-' || n, 'directory-' || n, 'main', true, '{}', '{}', '{mergeable}', false, 'signalbox:.'
      from generate_series(0, $1::integer - 1) n join repositories r on r.name = 'infra-' || n % $2::integer order by n`,
    [workspaces, many],
  );
  await query(
    `insert into runs (id, workspace_id, repository_id, speculative, state, trigger, actor, commit_sha, commit_message,
        branch, settings, auto_apply, attempt, worker, confirmed_by, created_at, ended_at, plan_summary)
      select 'run-' || lpad(n::text, 16, '0'), w.id, w.repository_id, false, 'applied', 'push', 'alice',
        md5(n::text) || '00000000', 'Change something' || repeat(' and something else', 5), 'main',
        jsonb_build_object('name', w.name, 'directory', w.directory, 'branch', 'main', 'autoApply', true,
          'applyRequirements', '[]'::jsonb), true, 1, 'worker', 'auto-apply', now() - interval '2 days',
        now() - interval '1 day' + n * interval '1 ms',
        '{"add": 1, "change": 0, "destroy": 0, "replace": 0, "import": 0, "move": 0, "forget": 0, "outputs": 0}'
      from generate_series(1, $1::integer) n join workspaces w
        on w.name = 'workspace-' || case when n % ${CROWDED} = 0 then 0 else n % $2::integer end order by n`,
    [runs, workspaces],
  );
  await query(
    `insert into run_events (run_id, type, state, at)
      select r.id, e.type, e.state, now() - interval '1 day' from runs r cross join (values
        ('created', 'pending'), ('plan_started', 'planning'), ('plan_approved', 'confirmed'),
        ('apply_started', 'applying'), ('apply_finished', 'applied')) e (type, state)`,
  );
  await query(
    `insert into outputs (run_id, stage, attempt, sequence, text)
      select id, stage, 1, n, repeat('A line that Terraform has printed.' || chr(10), 10)
      from runs cross join unnest(array['plan', 'apply']) stage cross join generate_series(0, 1) n`,
  );
  await query('vacuum analyze');
}
