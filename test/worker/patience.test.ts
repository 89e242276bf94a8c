import { setTimeout as sleep } from 'node:timers/promises';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { Run } from '../../src/db/schema.js';
import { Mirrors } from '../../src/git/mirror.js';
import { ActiveRun } from '../../src/worker/active-run.js';
import type { WorkerContext } from '../../src/worker/context.js';
import { Patience } from '../../src/worker/patience.js';
import { MirrorWorld, log as silent } from '../git/support.js';
import { Gate, SilentLog, until } from '../queue/support.js';
import { RunsWorld } from '../runs/world.js';

let git: MirrorWorld;
let world: RunsWorld;
let gate: Gate;
let db: Db;
let log: SilentLog & { debug: () => void };
beforeAll(async () => {
  git = await MirrorWorld.start();
  world = await RunsWorld.open();
  gate = await Gate.start(world.url);
  db = createDb(createPool({ connectionString: gate.url(world.url), max: 4, onError: () => undefined }));
});
afterAll(async () => {
  await db.destroy();
  await gate.goAway();
  await world.close();
  await git.server.stop();
});
beforeEach(async () => {
  git.begin();
  log = Object.assign(new SilentLog(), { debug: () => undefined });
  await world.db.updateTable('repositories').set({ owner: 'acme', name: git.name }).execute();
});
afterEach(() => git.end());

/** A run of a commit, which is being planned. */
async function planning(sha = git.repository.commit({ 'main.tf': 'x' }), tokenFor = async () => git.server.token) {
  const run = await world.begin(await world.push(await world.workspace(), sha));
  const mirrors = new Mirrors({ directory: git.directory, githubUrl: git.server.url, tokenFor, log: silent });
  return new ActiveRun({ db, mirrors, log: silent } as unknown as WorkerContext, run, 'plan', false);
}

/** Its patience and its pauses are short. */
const patience = (ms = 20_000) => new Patience({ ms, log: log as never, firstPauseMs: 20, tellAfterMs: 100 });

/** What is told of it, without how it began. */
const told = async (run: Run) => (await world.timeline(run)).slice(2);

test('a git host that answers 5xx is waited for; the run says so, and when it goes on', async () => {
  const active = await planning();
  git.server.trouble = { status: 502 };
  const fetching = patience().fetchCommit(active);
  await until(async () => (await told(active.run)).length === 1);
  git.server.trouble = {};
  const mirror = await fetching;
  expect(await mirror.files(active.run.commit_sha)).toEqual(['main.tf']);
  expect(await told(active.run)).toEqual([
    'planning: waiting, GitHub answers with an error (502): waiting for up to 20 seconds.',
    'planning: waiting_ended',
  ]);
  expect(await world.effects()).toContain(`run_report ${active.run.id}`);
  expect(log.lines).toEqual(['Runs wait for their commits', 'Commits can be fetched again']);
});

test('a hiccup is not worth a word', async () => {
  const active = await planning();
  git.server.trouble = { cut: true };
  const fetching = new Patience({ ms: 20_000, log: log as never, firstPauseMs: 20 }).fetchCommit(active);
  await until(() => git.server.requests.some((request) => request.includes(git.name)));
  git.server.trouble = {};
  await fetching;
  expect(await told(active.run)).toEqual([]);
});

test('patience has an end, and the error says how long it was', async () => {
  const active = await planning();
  git.server.trouble = { status: 503 };
  const requests = git.server.requests.length;
  await expect(patience(2_000).fetchCommit(active)).rejects.toThrow(
    `acme/${git.name} can't be fetched right now: GitHub answers with an error (503). Signalbox tried for 2 seconds.`,
  );
  expect(git.server.requests.length - requests).toBeGreaterThan(3);
});

test('no patience at all is the error at once', async () => {
  const active = await planning();
  git.server.trouble = { status: 503 };
  await expect(patience(0).fetchCommit(active)).rejects.toThrow(/error \(503\)\.$/);
  expect(await told(active.run)).toEqual([]);
});

test("a host that knows no such commit, or grants no access, isn't waited for", async () => {
  const gone = await planning('1'.repeat(40));
  await expect(patience().fetchCommit(gone)).rejects.toMatchObject({ name: 'CommitGone' });
  const active = await planning();
  git.server.trouble = { status: 404 };
  await expect(patience().fetchCommit(active)).rejects.toMatchObject({ name: 'RepositoryGone' });
  expect(log.lines).toEqual([]);
});

test('many runs that wait are one line in the log', async () => {
  git.server.trouble = { status: 503 };
  const one = patience();
  const waiting = await Promise.all([planning(), planning(), planning()]);
  const fetching = waiting.map((active) => one.fetchCommit(active));
  await until(async () => (await Promise.all(waiting.map(({ run }) => told(run)))).every(({ length }) => length > 0));
  git.server.trouble = {};
  await Promise.all(fetching);
  expect(log.lines).toEqual(['Runs wait for their commits', 'Commits can be fetched again']);
});

test.each(['interrupt', 'kill'] as const)(
  '%s ends it at once, between two tries and in a try that hangs',
  async (how) => {
    for (const trouble of [{ status: 503 }, { hang: true }]) {
      const active = await planning();
      git.server.trouble = trouble;
      const fetching = new Patience({ ms: 900_000, log: log as never, firstPauseMs: 30_000 }).fetchCommit(active);
      fetching.catch(() => undefined);
      await sleep(300);
      const stopped = Date.now();
      active[how]();
      await expect(fetching).rejects.toMatchObject({ name: 'RunStopped' });
      expect(Date.now() - stopped).toBeLessThan(10_000);
    }
  },
);

test('while the record is away it is waited for, and that is not counted', async () => {
  const active = await planning();
  await gate.goAway();
  const fetching = patience(1).fetchCommit(active);
  fetching.catch(() => undefined);
  await sleep(600);
  await gate.comeBack();
  expect(await (await fetching).files(active.run.commit_sha)).toEqual(['main.tf']);
});

test('a repository that is renamed meanwhile is found under its new name', async () => {
  const active = await planning();
  await world.db.updateTable('repositories').set({ name: 'elsewhere' }).execute();
  git.server.trouble = { status: 503 };
  const fetching = new Patience({ ms: 20_000, log: log as never, firstPauseMs: 2_000 }).fetchCommit(active);
  await until(() => log.lines.length === 1);
  await world.db.updateTable('repositories').set({ name: git.name }).execute();
  git.server.trouble = {};
  await fetching;
});
