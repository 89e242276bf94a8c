import { type ChildProcess, fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import type { LocalGitHub, Repository } from '../support/github/index.js';
import { type Database, inLaboratory, type Laboratory } from './laboratory.js';
import { ms, print, printTable, ratio } from './output.js';
import type { SendingOrder, SendingReport } from './sender.js';
import { percentile } from './statistics.js';

const PER_SECOND = 100;
const SECONDS = 30;
const REPOSITORIES = 10;
/** Pushes to a branch that a workspace follows: each of them becomes a run, which is planned and applied. */
const REAL = 15;
const PATIENCE_MS = 60_000;

/** How soon a webhook is answered under load, against a server that does nothing; and what became of all of them. */
export async function webhooks(): Promise<void> {
  print(
    `Webhooks: ${PER_SECOND} a second for ${SECONDS} s, signed and distinct, a connection each, in ${REPOSITORIES}`,
  );
  print(`repositories: pushes of branches that nothing follows, and ${REAL} that are planned and applied meanwhile.`);
  print('Against a bare node:http server that answers 202, sent to in turn by the same sender.');
  print();
  await inLaboratory(async (laboratory) => {
    const github = await laboratory.startGitHub('github');
    const database = await laboratory.createDatabase('webhooks');
    const signalbox = await laboratory.startSignalbox({ name: 'signalbox', github, database });
    const repositories = await createRepositories(github, database);
    const bare = await startBareServer(laboratory);

    const order: SendingOrder = {
      url: signalbox.webhookUrl,
      beside: `http://127.0.0.1:${bare}/`,
      secret: 'benchmark',
      perSecond: PER_SECOND,
      seconds: SECONDS,
      templates: repositories.map((repository) => templateOf(github, repository)),
    };
    const [report, shas] = await Promise.all([sendAll(laboratory, order), pushMeanwhile(github, repositories)]);
    const answered = performance.now();
    const left = await untilDone(database);
    printReport(report, (performance.now() - answered) / 1000, await judge(database, report, left, shas));
  });
}

/** Each with one workspace, known to Signalbox and applied. */
async function createRepositories(github: LocalGitHub, database: Database): Promise<Repository[]> {
  await github.createUser('alice');
  await github.createOrganization('acme', { owners: ['alice'] });
  const repositories: Repository[] = [];
  for (let index = 0; index < REPOSITORIES; index++) {
    const repository = await github.createRepository({ owner: 'acme', name: `infra-${index}`, private: true });
    await github.as('alice').push(repository, {
      files: {
        '.github/signalbox.yml': 'workspaces:\n  - name: network\n    directory: network\n    auto-apply: true\n',
        'network/main.tf': configuration(0),
      },
    });
    repositories.push(repository);
  }
  await untilDone(database);
  return repositories;
}

/** The payload of a push that makes a new branch, as GitHub would send it. */
function templateOf(github: LocalGitHub, repository: Repository): Record<string, unknown> {
  const delivery = github.deliveries.findLast((each) => each.event === 'push' && each.repository === repository);
  return { ...delivery?.payload, before: '0'.repeat(40), created: true };
}

/** Real pushes by git, with the webhooks that follow them, spread over the same time. Yields their commits. */
async function pushMeanwhile(github: LocalGitHub, repositories: readonly Repository[]): Promise<string[]> {
  const shas: string[] = [];
  const started = performance.now();
  for (let index = 0; index < REAL; index++) {
    const repository = repositories[index % repositories.length];
    if (!repository) break;
    const due = started + ((index + 0.5) * SECONDS * 1000) / REAL;
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
    shas.push(await github.as('alice').push(repository, { files: { 'network/main.tf': configuration(index + 1) } }));
  }
  return shas;
}

function configuration(value: number): string {
  return `resource "terraform_data" "network" {\n  input = ${value}\n}\n`;
}

async function startBareServer(laboratory: Laboratory): Promise<number> {
  const child = start('./bare-server.ts', laboratory);
  return new Promise((resolve) => child.once('message', (port) => resolve(port as number)));
}

async function sendAll(laboratory: Laboratory, order: SendingOrder): Promise<SendingReport> {
  const child = start('./sender.ts', laboratory);
  child.send(order);
  return new Promise((resolve, reject) => {
    child.once('message', (report) => resolve(report as SendingReport));
    child.once('exit', () => reject(new Error('The sender has died.')));
  });
}

function start(file: string, laboratory: Laboratory): ChildProcess {
  const child = fork(fileURLToPath(new URL(file, import.meta.url)));
  laboratory.onClose(async () => {
    if (child.connected) child.disconnect();
  });
  return child;
}

/** Waits until every delivery is done and every run has ended. Yields how many are left when that takes too long. */
async function untilDone(database: Database): Promise<number> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    const [row] = await database.query<{ left: number }>(
      `select ((select count(*) from deliveries where done_at is null)
        + (select count(*) from runs where ended_at is null))::integer as left`,
    );
    if (row?.left === 0 || Date.now() > deadline) return row?.left ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

interface Judgement {
  recorded: number;
  done: number;
  applied: number;
}

async function judge(
  database: Database,
  report: SendingReport,
  left: number,
  shas: readonly string[],
): Promise<Judgement> {
  const [deliveries] = await database.query<{ recorded: number; done: number }>(
    `select count(*)::integer recorded, (count(*) filter (where done_at is not null and error is null))::integer done
      from deliveries where guid = any ($1)`,
    [report.guids],
  );
  const [runs] = await database.query<{ applied: number }>(
    `select count(*)::integer applied from runs where state = 'applied' and commit_sha = any ($1)`,
    [shas],
  );
  const judgement = { recorded: 0, done: 0, ...deliveries, applied: runs?.applied ?? 0 };
  const { length: sent } = report.guids;
  const { recorded, done, applied } = judgement;
  if (left > 0 || recorded !== sent || done !== sent || applied !== shas.length) {
    throw new Error(
      `Of ${sent} webhooks ${recorded} are on record and ${done} done, of ${shas.length} runs ${applied} applied.`,
    );
  }
  return judgement;
}

function printReport(report: SendingReport, afterwards: number, { recorded, done, applied }: Judgement): void {
  const row = (name: string, p: number) => {
    const [ours, bare] = [percentile(report.latencies, p), percentile(report.latenciesBeside, p)];
    return [name, ms(ours), ms(bare), ratio(ours / bare)];
  };
  printTable(['answered, in ms', 'Signalbox', 'bare', 'ratio'], [row('p50', 50), row('p99', 99), row('longest', 100)]);
  print();
  const statuses = Object.entries(report.statuses).map(([status, times]) => `${times} × ${status}`);
  print(`  Answers: ${statuses.join(', ')}; sent ${ms(report.latest)} ms late at most. None lost: of`);
  print(
    `  ${report.guids.length} sent ${recorded} are on record and ${done} done, ${afterwards.toFixed(1)} s after the last`,
  );
  print(`  answer; ${applied} runs applied.`);
}
