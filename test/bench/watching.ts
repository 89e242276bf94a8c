import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { NO_APP } from '../support/signalbox.js';
import type { Database, Laboratory } from './laboratory.js';
import { ms, print, printTable, ratio } from './output.js';
import { rssOf, usedBy } from './process-use.js';
import { Reader } from './reader.js';
import { percentile } from './statistics.js';

const VIEWERS = 200;
/** So many of them have one session: more is refused. */
const PER_SESSION = 20;
const WINDOW_MS = 10_000;
const SETTLE_MS = 2_000;
const PATIENCE_MS = 60_000;

/** What many who watch one run's output cost, against one; and how soon they see what Terraform says. */
export async function watching(laboratory: Laboratory): Promise<void> {
  print(
    `Watching: ${VIEWERS} viewers of one apply that says ten lines a second, against 1, ${WINDOW_MS / 1000} s each, over`,
  );
  print('HTTP. The delay is that from the clock of whoever prints a line, in Terraform, to its arrival.');
  print();
  const github = await laboratory.startGitHub('watching');
  await github.createUser('alice');
  await github.createOrganization('acme', { owners: ['alice'] });
  github.signInAs('alice');
  const database = await laboratory.createDatabase('watching');
  const stop = join(laboratory.directory, 'said-enough');
  const env = { SANDBOX: 'off', ENCRYPTION_KEY: '5'.repeat(64) };
  const web = await laboratory.startSignalbox({
    ...{ name: 'watching-web', github, database },
    env: { ...env, ROLES: 'web' },
  });
  await laboratory.startSignalbox({
    ...{ name: 'watching-worker', github, database },
    env: { ...env, ...NO_APP, ROLES: 'worker' },
  });
  // A worker that is stopped waits for what it applies.
  laboratory.onClose(() => writeFile(stop, ''));
  github.setWebhook({ url: web.webhookUrl, secret: 'benchmark' });

  const repository = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
  const loop = `while [ ! -e ${stop} ]; do echo "at $(date +%s%3N)."; sleep 0.1; done`;
  await github.as('alice').push(repository, {
    files: {
      '.github/signalbox.yml': 'workspaces:\n  - name: network\n    directory: network\n    auto-apply: true\n',
      'network/main.tf': `resource "terraform_data" "talkative" {
  provisioner "local-exec" {
    command = ${JSON.stringify(loop)}
  }
}
`,
    },
  });
  const run = await untilItTalks(database);

  const url = `http://127.0.0.1:${web.port}`;
  const pid = web.process.pid ?? 0;
  const one = await watch([await Reader.signIn(url)], 1, run, pid);
  const readers = await Promise.all(Array.from({ length: VIEWERS / PER_SESSION }, () => Reader.signIn(url)));
  const many = await watch(readers, VIEWERS, run, pid);
  await writeFile(stop, '');
  await untilDone(database);

  const row = (what: string, value: (watched: Watched) => number, show: (value: number) => string) => [
    what,
    show(value(many)),
    show(value(one)),
    ratio(value(many) / value(one)),
  ];
  printTable(
    [`(${many.delays.length.toLocaleString('en')} lines arrived)`, `${VIEWERS} viewers`, '1 viewer', 'ratio'],
    [
      row(
        'CPU of the server',
        ({ cpu }) => cpu,
        (share) => `${(100 * share).toFixed(1)} %`,
      ),
      row(
        'memory, RSS',
        ({ rss }) => rss,
        (size) => `${size.toFixed(0)} MiB`,
      ),
      row('delay in ms, p50', ({ delays }) => percentile(delays, 50), ms),
      row('delay in ms, p99', ({ delays }) => percentile(delays, 99), ms),
    ],
  );
}

interface Watched {
  /** Share of one core. */
  cpu: number;
  /** In MiB. */
  rss: number;
  /** Of each line at each viewer, in ms. */
  delays: number[];
}

async function watch(readers: readonly Reader[], viewers: number, run: string, pid: number): Promise<Watched> {
  const delays: number[] = [];
  let measures = false;
  const see = (text: string) => {
    if (!measures) return;
    const now = Date.now();
    for (const [, at] of text.matchAll(/at (\d{13})\./g)) delays.push(now - Number(at));
  };
  const ends = await Promise.all(
    Array.from({ length: viewers }, (_, n) => readers[n % readers.length]?.watch(run, see)),
  );
  await sleep(SETTLE_MS);
  measures = true;
  const before = await usedBy(pid);
  await sleep(WINDOW_MS);
  const cpu = ((await usedBy(pid)) - before) / WINDOW_MS;
  measures = false;
  const rss = await rssOf(pid);
  for (const end of ends) end?.();
  return { cpu, rss, delays };
}

async function untilItTalks({ query }: Database): Promise<string> {
  return until(async () => {
    const [row] = await query<{ run: string }>(
      `select run_id run from outputs where stage = 'apply' and text like '%at 1%'`,
    );
    return row?.run;
  }, 'Nothing was applied.');
}

async function untilDone({ query }: Database): Promise<void> {
  await until(
    async () => (await query(`select 1 from runs where state = 'applied'`))[0],
    'The apply that was watched did not end.',
  );
}

async function until<T>(probe: () => Promise<T | undefined>, complaint: string): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await probe();
    if (found !== undefined) return found;
    if (Date.now() > deadline) throw new Error(complaint);
    await sleep(100);
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
