import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import { wakeUp } from '../../src/db/notifications.js';
import type { Access } from '../../src/signin/access.js';
import { Gate, until } from '../queue/support.js';
import { RunsWorld } from '../runs/world.js';
import { outputOf } from '../support/output.js';
import { finishRun, LiveServer, logOf, type Options, Viewer } from './support.js';

let world: RunsWorld;
const servers: LiveServer[] = [];
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterEach(async () => {
  for (const server of servers.splice(0)) await server.kill();
});
afterAll(() => world.close());

async function start(options: Partial<Options> = {}): Promise<LiveServer> {
  const server = await LiveServer.start({ url: world.url, ...options });
  servers.push(server);
  return server;
}
const viewerOf = (server: LiveServer, run: { id: string }, session?: string) =>
  new Viewer(() => server.address, run.id, session);

test('a viewer gets what is there, then what comes, and is told the end', async () => {
  const server = await start({ render: async () => ({ status: 'Planning' }) });
  const run = await world.in('planning');
  const log = logOf(world.db, run);
  log.append('before\n');
  await until(async () => (await outputOf(world.db, run.id, 'plan')) === 'before\n');
  const viewer = viewerOf(server, run);
  const connected = viewer.connect();
  await until(() => viewer.texts.plan.text === 'before\n');
  log.append('after 🚂\n');
  await until(() => viewer.texts.plan.text === 'before\nafter 🚂\n');
  await log.end();
  await finishRun(world.db, run);
  await connected;
  expect(viewer.ended).toBe(true);
  expect(viewer.regions).toEqual({ status: 'Planning' });
  expect(server.streams.size).toBe(0);
  expect(server.live.size).toBe(0);
});

test('looks that fail are told once, and the viewer goes on when they succeed', async () => {
  const failed: [string, string][] = [];
  let broken = true;
  const run = await world.in('planning');
  const server = await start({
    lookMs: 50,
    onError: (error, id) => failed.push([error.message, id]),
    render: async () => {
      if (broken) throw new Error('Not now.');
      return { status: 'Planning' };
    },
  });
  const viewer = viewerOf(server, run);
  const connected = viewer.connect();
  await until(() => server.renders > 3);
  expect(failed).toEqual([['Not now.', run.id]]);
  broken = false;
  await until(() => viewer.regions.status === 'Planning');
  await finishRun(world.db, run);
  await connected;
  expect(viewer.ended).toBe(true);
  expect(failed).toHaveLength(1);
});

test('what was shown before the end is shown as it is after it, before the viewer is told the end', async () => {
  let status = 'Planning';
  const server = await start({ render: async () => ({ status, facts: 'the same' }), lookMs: 60_000 });
  const run = await world.in('planning');
  const viewer = viewerOf(server, run);
  const connected = viewer.connect();
  await until(() => viewer.regions.status === 'Planning');
  const log = logOf(world.db, run);
  log.append('last words\n');
  await log.end();
  await until(() => viewer.texts.plan.text === 'last words\n');
  status = 'Plan Errored';
  await finishRun(world.db, run);
  // The end is seen by whoever reads, before the wake-up that tells of it.
  await sql`select ${wakeUp('outputs', run.id)}`.execute(world.db);
  await connected;
  expect(viewer.events.map(({ event, data }) => [event, data.regions ?? data.text])).toEqual([
    ['run', { status: 'Planning', facts: 'the same' }],
    ['output', 'last words\n'],
    ['run', { status: 'Plan Errored' }],
    ['end', undefined],
  ]);
});

test('cut and resumed fifty times, the server killed in between: the text is the one in the record', async () => {
  const server = await start({ lookMs: 200 });
  const run = await world.in('planning');
  const plan = logOf(world.db, run);
  const viewer = viewerOf(server, run);
  let cuts = 0;
  let writing = true;
  const writer = (async () => {
    for (let n = 0; writing; n++) {
      plan.append(`line ${n} ${'ü'.repeat(n % 400)}\n${n % 50 === 0 ? 'x'.repeat(100_000) : ''}`);
      await sleep(5);
    }
    await plan.end();
    const apply = logOf(world.db, run, 'apply');
    apply.append('applied\n'.repeat(1_000));
    await apply.end();
    await finishRun(world.db, run);
  })();
  while (!viewer.ended) {
    const connected = viewer.connect();
    if (cuts < 50) {
      await Promise.race([connected, sleep(20 + ((cuts * 37) % 90))]);
      if (cuts % 10 === 5) {
        await server.kill();
        await server.comeBack();
      } else {
        viewer.cut();
      }
      cuts += 1;
      if (cuts === 50) writing = false;
    }
    await connected;
  }
  await writer;
  expect(viewer.texts.plan.text).toBe(await outputOf(world.db, run.id, 'plan'));
  expect(viewer.texts.apply.text).toBe(await outputOf(world.db, run.id, 'apply'));
  expect(viewer.texts.plan.text.length).toBeGreaterThan(100_000);
});

test('a viewer that comes at the end, and one from the middle of the plan, get the same', async () => {
  const server = await start();
  const run = await world.in('planning');
  for (const stage of ['plan', 'apply'] as const) {
    const log = logOf(world.db, run, stage);
    log.append(`${stage} `.repeat(100_000));
    await log.end();
  }
  // More pieces than are looked at for a page.
  const rest = Array.from({ length: 1_200 }, (_, n) => ({
    run_id: run.id,
    stage: 'plan' as const,
    attempt: run.attempt,
    sequence: 100 + n,
    text: `${n}\n`,
  }));
  await world.db.insertInto('outputs').values(rest).execute();
  await finishRun(world.db, run);
  const viewer = viewerOf(server, run);
  await viewer.connect();
  const middle = viewer.events.find(({ id }) => id !== undefined)?.id;
  const other = viewerOf(server, run);
  other.lastEventId = middle;
  await other.connect();
  expect(viewer.texts.plan.text).toBe(await outputOf(world.db, run.id, 'plan'));
  expect(viewer.texts.apply.text).toBe(await outputOf(world.db, run.id, 'apply'));
  expect((viewer.events[0]?.data.text ?? '') + other.texts.plan.text).toBe(viewer.texts.plan.text);
  expect(other.texts.apply).toEqual(viewer.texts.apply);
});

test('the text of a new attempt comes as that, from its beginning', async () => {
  const server = await start();
  const run = await world.in('planning');
  const first = logOf(world.db, run);
  first.append('first attempt');
  await first.end();
  const viewer = viewerOf(server, run);
  void viewer.connect();
  await until(() => viewer.texts.plan.text === 'first attempt');
  const second = logOf(world.db, { ...run, attempt: run.attempt + 1 });
  second.append('second attempt');
  await second.end();
  await until(() => viewer.texts.plan.text === 'second attempt');
  expect(viewer.texts.plan.attempt).toBe(run.attempt + 1);
});

test('200 viewers of a run cause one reader, and one rendering for each level at each change', async () => {
  const levels: Access[] = ['read', 'write'];
  let asked = 0;
  let changes = 0;
  const server = await start({
    lookMs: 60_000,
    tickMs: 60_000,
    maxPerSession: 1_000,
    access: async () => levels[asked++ % 2],
    render: async (access) => ({ status: `${access} ${changes}` }),
  });
  const run = await world.in('planning');
  const log = logOf(world.db, run);
  const viewers = Array.from({ length: 200 }, () => viewerOf(server, run));
  const connected = viewers.map((viewer) => viewer.connect());
  await until(() => viewers.every((viewer) => viewer.regions.status !== undefined));
  await sleep(300);
  server.queries = 0;
  server.renders = 0;
  for (let n = 0; n < 10; n++) {
    log.append(`line ${n}\n`);
    await log.end();
    await until(() => viewers.every((viewer) => viewer.texts.plan.text.endsWith(`line ${n}\n`)));
  }
  // For each change a page, and the empty one after it.
  expect(server.queries).toBeLessThanOrEqual(40);
  changes += 1;
  await sql`select pg_notify('signalbox', ${`runs ${run.id}`})`.execute(world.db);
  await until(() => viewers.every((viewer) => viewer.regions.status?.endsWith(' 1') === true));
  expect(server.renders).toBe(2);
  await finishRun(world.db, run);
  await log.end();
  await sql`select pg_notify('signalbox', ${`runs ${run.id}`})`.execute(world.db);
  await Promise.all(connected);
  expect(viewers.every((viewer) => viewer.ended)).toBe(true);
});

test('changes of the run are shown at most four times a second, and the last of them is', async () => {
  let changes = 0;
  const server = await start({ render: async () => ({ status: `${changes}` }), lookMs: 60_000 });
  const run = await world.in('planning');
  const viewer = viewerOf(server, run);
  void viewer.connect();
  await until(() => viewer.regions.status === '0');
  const started = performance.now();
  for (let n = 0; n < 50; n++) {
    changes += 1;
    await sql`select pg_notify('signalbox', ${`runs ${run.id}`})`.execute(world.db);
    await sleep(20);
  }
  await until(() => viewer.regions.status === '50');
  expect(server.renders).toBeLessThanOrEqual(2 + (performance.now() - started) / 250);
});

test('for a viewer who does not read, the server keeps nothing; when it reads, it gets all', async () => {
  const server = await start({ lookMs: 100 });
  const run = await world.in('planning');
  const socket = connect(server.port, '127.0.0.1');
  let received = 0;
  socket.on('data', (data) => {
    received += data.length;
  });
  socket.write(`GET /runs/${run.id}/events HTTP/1.1\r\nHost: x\r\n\r\n`);
  await until(() => received > 0);
  socket.pause();
  const log = logOf(world.db, run);
  const pieces = 16;
  for (let n = 0; n < pieces; n++) {
    log.append('x'.repeat(1024 * 1024));
    await log.end();
  }
  // It reads until nothing more fits on the way, and then no more.
  await until(async () => {
    const before = server.queries;
    await sleep(500);
    return server.queries - before < 3;
  });
  socket.resume();
  await until(() => received > pieces * 1024 * 1024);
  socket.destroy();
  await until(() => server.streams.size === 0);
});

test('whose right is taken away is cut off, and does not get in again', async () => {
  const server = await start({ render: async (access) => ({ controls: access }) });
  const run = await world.in('planning');
  server.access = async () => 'write';
  const viewer = viewerOf(server, run);
  const connected = viewer.connect();
  await until(() => viewer.regions.controls === 'write');
  server.access = async () => 'read';
  await until(() => viewer.regions.controls === 'read');
  // For a moment nobody knows.
  server.access = async () => Promise.reject(new Error('GitHub is away'));
  await sleep(300);
  expect(server.streams.size).toBe(1);
  const unsure = viewerOf(server, run);
  await unsure.connect();
  expect(unsure.status).toBe(503);
  server.access = async () => undefined;
  await connected;
  expect(viewer.ended).toBe(false);
  const log = logOf(world.db, run);
  log.append('secret');
  await log.end();
  await viewer.connect();
  expect(viewer.status).toBe(404);
  expect(viewer.texts.plan.text).toBe('');
});

test.each([
  ['refuses', () => Promise.reject(new Error('GitHub is away'))],
  ['says nothing', () => new Promise<never>(() => undefined)],
])(
  'while whoever is asked %s, a viewer goes on for a minute since GitHub was asked, not since it was heard',
  async (_, away) => {
    const server = await start();
    const run = await world.in('planning');
    server.age = 54_000;
    const viewer = viewerOf(server, run);
    const connected = viewer.connect();
    await until(() => viewer.status === 200);
    server.access = away;
    await sleep(300);
    expect(server.streams.size).toBe(1);
    await connected;
    expect(server.streams.size).toBe(0);
  },
);

test('a right that is taken away while one question hangs is gone with the answer to the next', async () => {
  const server = await start({ patienceMs: 300 });
  const run = await world.in('planning');
  const viewer = viewerOf(server, run);
  const connected = viewer.connect();
  await until(() => viewer.status === 200);
  const asked: (() => Promise<Access | undefined>)[] = [() => new Promise(() => undefined)];
  server.access = async () => (asked.shift() ?? (async () => undefined))();
  await connected;
  expect(asked).toEqual([]);
  const other = viewerOf(server, run);
  server.access = () => new Promise(() => undefined);
  await other.connect();
  expect(other.status).toBe(503);
});

test('what the record does not answer is asked again, and what hangs in a rendering is rendered again', async () => {
  const rendering: Promise<Record<string, string>>[] = [new Promise(() => undefined)];
  const server = await start({
    patienceMs: 300,
    render: async () => rendering.shift() ?? { status: 'Planning' },
  });
  const run = await world.in('planning');
  const viewer = viewerOf(server, run);
  void viewer.connect();
  await until(() => viewer.regions.status === 'Planning');
  await world.db.transaction().execute(async (tx) => {
    await sql`lock table outputs in access exclusive mode`.execute(tx);
    const before = server.queries;
    await until(() => server.queries >= before + 3);
  });
  viewer.cut();
});

test('a position that is none is refused; so is one stream too many', async () => {
  const server = await start({ maxPerSession: 3 });
  const run = await world.in('planning');
  for (const from of ['plan', 'plan.1.-1', 'apply.1.1.1', "plan.1.1'", 'policy.1.1', `plan.1.${'9'.repeat(12)}`]) {
    const viewer = viewerOf(server, run);
    viewer.lastEventId = from;
    await viewer.connect();
    expect(viewer.status).toBe(400);
  }
  const viewers = [1, 2, 3].map(() => viewerOf(server, run));
  for (const viewer of viewers) void viewer.connect();
  await until(() => server.streams.size === 3);
  const fourth = viewerOf(server, run);
  await fourth.connect();
  expect(fourth.status).toBe(429);
  const other = viewerOf(server, run, 'other');
  void other.connect();
  await until(() => other.status === 200);
  viewers[0]?.cut();
  await until(() => server.streams.size === 3);
  void fourth.connect();
  await until(() => fourth.status === 200);
});

test('the streams end when the server stops, which does not wait for them', async () => {
  const server = await LiveServer.start({ url: world.url });
  const run = await world.in('planning');
  const viewer = viewerOf(server, run);
  const connected = viewer.connect();
  await until(() => viewer.status === 200);
  const started = performance.now();
  await server.stop();
  await connected;
  expect(performance.now() - started).toBeLessThan(10_000);
});

test('while the database is away viewers wait, and nothing is lost when it is back, without a wake-up', async () => {
  const gate = await Gate.start(world.url);
  const server = await start({ url: gate.url(world.url), lookMs: 200 });
  const run = await world.in('planning');
  const viewer = viewerOf(server, run);
  void viewer.connect();
  const log = logOf(world.db, run);
  log.append('one ');
  await until(() => viewer.texts.plan.text === 'one ');
  await gate.goAway();
  log.append('two ');
  await log.end();
  await sleep(600);
  expect(server.streams.size).toBe(1);
  await gate.comeBack();
  await until(() => viewer.texts.plan.text === 'one two ');
  viewer.cut();
  await server.kill();
  servers.splice(servers.indexOf(server), 1);
  await gate.goAway();
});

test('a run that is not there is an empty stream', async () => {
  const viewer = viewerOf(await start(), { id: 'run-none' });
  await viewer.connect();
  expect(viewer.events).toEqual([]);
});
