import type { LocalGitHub, Repository } from '../support/github/index.js';
import type { Signalbox } from '../support/signalbox.js';
import { type Database, inLaboratory, type Laboratory } from './laboratory.js';
import { ms, print, printTable, ratio } from './output.js';
import { runScript, type ScriptTimes } from './script.js';
import { median } from './statistics.js';
import { intervalsOf, STEPS, timesOf } from './timeline.js';

/** How many resources, and how often that is measured. */
const CASES = [
  { resources: 1, times: 9 },
  { resources: 50, times: 7 },
  { resources: 500, times: 3 },
];
const WARM_UPS = 2;
const PATIENCE_MS = 60_000;

interface Contestant {
  kind: 'PostgreSQL' | 'Redis';
  github: LocalGitHub;
  repository: Repository;
  database: Database;
  signalbox: Signalbox;
}

interface Measured {
  total: number;
  intervals: Record<string, number>;
}

/**
 * From the webhook to the check run that says 'applied', against a shell script that does the same with the same commit
 * and tells nobody. They take turns; each time there is a new workspace without a state.
 */
export async function overhead(): Promise<void> {
  print('Overhead: from the push webhook to the check run of the applied run (auto-apply), against a shell script');
  print('that clones, inits, plans, shows and applies the same commit with a local state. Medians, in ms.');
  print();
  await inLaboratory(async (laboratory) => {
    const contestants = [await startContestant(laboratory, 'PostgreSQL', undefined)];
    const redisUrl = laboratory.redisUrl(0);
    if (redisUrl) contestants.push(await startContestant(laboratory, 'Redis', redisUrl));
    else print('There is no redis-server on the PATH: only the PostgreSQL backend is measured.');

    const results = [];
    for (let index = 0; index < WARM_UPS; index++) await round(laboratory, contestants, 1, `warm${index}`);
    for (const { resources, times } of CASES) {
      const rounds = [];
      for (let index = 0; index < times; index++) {
        rounds.push(await round(laboratory, contestants, resources, `r${resources}x${index}`));
      }
      results.push({ resources, rounds });
    }
    report(contestants, results);
  });
}

async function startContestant(
  laboratory: Laboratory,
  kind: Contestant['kind'],
  redisUrl: string | undefined,
): Promise<Contestant> {
  const name = kind.toLowerCase();
  const github = await laboratory.startGitHub(`${name}-github`);
  await github.createUser('alice');
  await github.createOrganization('acme', { owners: ['alice'] });
  const repository = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
  const database = await laboratory.createDatabase(`overhead_${name}`);
  // At debug the worker notes when it has passed each step.
  const env = { LOG_LEVEL: 'debug' };
  const signalbox = await laboratory.startSignalbox({ name, github, database, redisUrl, env });
  return { kind, github, repository, database, signalbox };
}

type Round = { script: ScriptTimes; ours: Measured[] };

async function round(
  laboratory: Laboratory,
  contestants: readonly Contestant[],
  resources: number,
  workspace: string,
): Promise<Round> {
  const ours = [];
  for (const contestant of contestants) ours.push(await measure(contestant, resources, workspace));
  const [{ repository } = {}] = contestants;
  if (!repository) throw new Error('There is nobody to measure.');
  const script = await runScript(laboratory.directory, repository.cloneUrl('alice'), workspace);
  return { script, ours };
}

async function measure(contestant: Contestant, resources: number, workspace: string): Promise<Measured> {
  const { github, repository, database, signalbox } = contestant;
  const head = await repository.head(repository.defaultBranch);
  const former = head === undefined ? [] : await directoriesOf(repository);
  const sha = await github.as('alice').push(repository, {
    message: `Begin ${workspace}`,
    files: {
      ...Object.fromEntries(former.map((name) => [`${name}/main.tf`, null])),
      '.github/signalbox.yml': `workspaces:\n  - name: ${workspace}\n    directory: ${workspace}\n    auto-apply: true\n`,
      [`${workspace}/main.tf`]: configuration(resources),
    },
  });
  const appliedAt = await untilApplied(contestant, sha);
  const delivery = github.deliveries.findLast(({ event, payload }) => event === 'push' && payload.after === sha);
  if (!delivery) throw new Error('The push has no delivery.');
  const sentAt = Date.parse(delivery.deliveredAt);
  const times = await timesOf({ github, database, signalbox, sha, sentAt, appliedAt });
  await github.settled();
  return { total: appliedAt - sentAt, intervals: intervalsOf(times) };
}

/** The local GitHub is in this process: looking costs nothing, and is exact to a millisecond or two. */
async function untilApplied({ github, repository, signalbox }: Contestant, sha: string): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const ended = github.checkRuns(repository, sha).find((run) => run.status === 'completed');
    if (ended?.conclusion === 'success') return Date.now();
    if (ended) throw new Error(`The run ended otherwise: ${ended.title}\n${warningsOf(signalbox)}`);
    if (Date.now() > deadline) throw new Error(`The run did not end.\n${warningsOf(signalbox)}`);
    await new Promise((resolve) => setTimeout(resolve, 1));
  }
}

function warningsOf({ log }: Signalbox): string {
  return log
    .split('\n')
    .filter((line) => /"level":"(warn|error)"/.test(line))
    .join('\n');
}

async function directoriesOf(repository: Repository): Promise<string[]> {
  const listing = await repository.git(['ls-tree', '-d', '--name-only', repository.defaultBranch]);
  return listing.split('\n').filter((name) => name !== '' && name !== '.github');
}

function configuration(resources: number): string {
  return Array.from(
    { length: resources },
    (_, index) => `resource "terraform_data" "r${index}" {\n  input = "value ${index}"\n}\n`,
  ).join('\n');
}

function report(contestants: readonly Contestant[], results: { resources: number; rounds: Round[] }[]): void {
  const totals = results.flatMap(({ resources, rounds }) => {
    const script = median(rounds.map((round) => round.script.total));
    return contestants.map(({ kind }, index) => {
      const ours = median(rounds.map((round) => round.ours[index]?.total ?? Number.NaN));
      return [`${resources} (${rounds.length} times)`, kind, ms(ours), ms(script), ratio(ours / script)];
    });
  });
  printTable(['resources', 'queue', 'Signalbox', 'script', 'ratio'], totals);
  print();
  print('Where the time went, with the queue on PostgreSQL (the script beside it):');
  print();
  const header = results.flatMap(({ resources }) => [`${resources}`, 'script']);
  const rows = STEPS.map(({ name, meaning, script }) => [
    `${name}: ${meaning}`,
    ...results.flatMap(({ rounds }) => [
      ms(median(rounds.map(({ ours }) => ours[0]?.intervals[name] ?? Number.NaN))),
      script ? ms(median(rounds.map((round) => round.script.steps[script] ?? Number.NaN))) : '',
    ]),
  ]);
  printTable(['until', ...header], rows);
}
