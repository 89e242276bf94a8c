import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { answerWebhook } from '../../src/github/webhook.js';
import { Complaints } from '../../src/queue/complaints.js';
import type { Delivery, Person } from '../support/github/index.js';
import { SETTINGS, World } from './world.js';

let world: World;
let alice: Person;
let counter = 0;

beforeAll(async () => {
  world = await World.start();
  alice = world.github.as('alice');
  await world.lookForMissed();
});
afterAll(() => world.close());
beforeEach(async () => {
  await world.settle();
  await world.forgetRuns();
});

const network = () => ({ 'network/main.tf': `# ${counter++}\n` });
const app = () => ({ 'app/main.tf': `# ${counter++}\n` });

/** GitHub delivers again, days later. */
async function redeliver(deliveries: readonly Delivery[]): Promise<void> {
  for (const delivery of deliveries) world.github.webhooks.redeliver(delivery);
  await world.settle();
}

const heads = async () => (await world.runs()).map((run) => `${run.settings.name} ${run.commit_sha}`);
const reasonOf = async (run: { id: string }) => {
  const events = await world.db
    .selectFrom('run_events')
    .selectAll()
    .where('run_id', '=', run.id)
    .orderBy('id')
    .execute();
  return events.at(-1)?.detail;
};

describe('pushes that GitHub could not deliver', () => {
  test('are asked for again: each has its run once, in order, and redelivering them changes nothing', async () => {
    const shas: string[] = [];
    const lost = await world.away(
      async () => {
        for (let i = 0; i < 3; i++) shas.push(await alice.push(world.repo, { files: network() }));
      },
      { recorded: true },
    );
    expect(await heads()).toEqual([]);
    await world.lookForMissed();
    expect(await heads()).toEqual(shas.map((sha) => `network ${sha}`));
    await redeliver([...lost].reverse());
    await world.lookForMissed();
    expect(await heads()).toEqual(shas.map((sha) => `network ${sha}`));
  });

  test('are asked for a few times at most, and once however often Signalbox looks', async () => {
    const lost = await world.away(() => alice.push(world.repo, { branch: 'idea', files: network() }), {
      recorded: true,
    });
    const guids = new Set(lost.filter(({ event }) => event === 'push').map(({ guid }) => guid));
    const again = world.github.loseDeliveries(({ guid }) => guids.has(guid));
    await world.lookForMissed();
    await world.lookForMissed();
    again.stop();
    const attempts = world.github.deliveries.filter(({ guid }) => guids.has(guid));
    expect(attempts).toHaveLength(2);
    const rows = await world.db.selectFrom('redeliveries').selectAll().execute();
    expect(rows.map(({ guid, asked }) => ({ known: guids.has(guid), asked }))).toEqual([{ known: true, asked: 1 }]);
    await world.db
      .updateTable('redeliveries')
      .set({ asked_at: new Date(Date.now() - 3_600_000) })
      .execute();
    await world.lookForMissed();
    expect(world.github.deliveries.filter(({ guid }) => guids.has(guid)).at(-1)?.statusCode).toBe(202);
    expect(await world.db.selectFrom('redeliveries').selectAll().execute()).toEqual([]);
  });
});

test('a request for a delivery that GitHub did not take is made again at once, and costs no attempt', async () => {
  await world.away(() => alice.push(world.repo, { files: network() }), { recorded: true });
  const route = 'POST /app/hook/deliveries/{delivery_id}/attempts';
  const trouble = world.github.misbehave({ route, times: 1, how: { status: 502 } });
  await world.lookForMissed().catch(() => undefined);
  expect(trouble.met).toBe(1);
  await world.lookForMissed();
  expect(await heads()).toHaveLength(1);
  expect(await world.db.selectFrom('redeliveries').selectAll().execute()).toEqual([]);
});

describe('pushes that GitHub has no delivery of', () => {
  test('are found by comparing: the present head has a run, compared with the last head on record', async () => {
    let sha = '';
    const lost = await world.away(
      async () => {
        await alice.push(world.repo, { files: app() });
        sha = await alice.push(world.repo, { message: 'The last one', files: network() });
      },
      { recorded: false },
    );
    await world.lookForMissed();
    expect((await heads()).sort()).toEqual([`app ${sha}`, `network ${sha}`]);
    expect(await world.run('app')).toMatchObject({ trigger: 'push', actor: 'alice', commit_message: 'The last one' });
    await redeliver(lost);
    await redeliver([...lost].reverse());
    await world.lookForMissed();
    expect(await heads()).toHaveLength(2);
  });

  test('leave a gap that the next push fills, and are not queued after it', async () => {
    const lost = await world.away(() => alice.push(world.repo, { files: app() }), { recorded: false });
    const sha = await alice.push(world.repo, { files: network() });
    await world.settle();
    expect((await heads()).sort()).toEqual([`app ${sha}`, `network ${sha}`]);
    await redeliver(lost);
    await world.lookForMissed();
    expect(await heads()).toHaveLength(2);
  });

  test('that took back what came before them trigger nothing', async () => {
    const before = await world.repo.head('main');
    await world.away(
      async () => {
        await alice.push(world.repo, { files: { 'app/main.tf': '# for a moment\n' } });
        await alice.push(world.repo, { from: before as string, commits: [], force: true });
      },
      { recorded: false },
    );
    await world.lookForMissed();
    expect(await heads()).toEqual([]);
  });

  test('to a branch that was deleted discard what waits for it', async () => {
    const staging = `${SETTINGS}  - name: staging\n    directory: network\n    branch: staging\n`;
    await alice.push(world.repo, { files: { '.github/signalbox.yml': staging } });
    await alice.push(world.repo, { branch: 'staging', from: 'main', files: network() });
    await world.settle();
    await world.lookForMissed();
    expect(await world.list()).toEqual(['staging: push pending']);
    const lost = await world.away(() => alice.deleteBranch(world.repo, 'staging'), { recorded: false });
    await world.lookForMissed();
    expect(await world.list()).toEqual(['staging: push discarded']);
    const run = await world.run('staging');
    const sha = await alice.push(world.repo, { branch: 'staging', from: run.commit_sha, commits: [] });
    await world.settle();
    expect(sha).toBe(run.commit_sha);
    expect(await world.list()).toEqual(['staging: push discarded', 'staging: push pending']);
    await redeliver(lost);
    expect(await world.list()).toEqual(['staging: push discarded', 'staging: push pending']);
  });
});

describe('a branch that goes back', () => {
  test('to an older commit has a run of it; no redelivery goes back again', async () => {
    const first = await alice.push(world.repo, { files: network() });
    const second = await alice.push(world.repo, { files: network() });
    await alice.push(world.repo, { from: first, commits: [], force: true });
    await world.settle();
    const expected = [first, second, first].map((sha) => `network ${sha}`);
    expect(await heads()).toEqual(expected);
    await redeliver(world.github.deliveries.filter(({ event }) => event === 'push').slice(-3));
    await world.lookForMissed();
    expect(await heads()).toEqual(expected);
  });

  test('and whose way there was lost, is not taken there by a late delivery', async () => {
    const first = await alice.push(world.repo, { files: network() });
    await world.settle();
    const lost = await world.away(() => alice.push(world.repo, { files: network() }), { recorded: true });
    await alice.push(world.repo, { from: first, commits: [], force: true });
    await world.settle();
    await redeliver(lost);
    await world.lookForMissed();
    expect(await heads()).toEqual([`network ${first}`]);
  });
});

test('a webhook that is only late is not forestalled: its push is told by itself', async () => {
  const slow = world.github.misbehave({ route: /branches/, how: { delay: 300 } });
  const shas = [await alice.push(world.repo, { files: network() }), await alice.push(world.repo, { files: network() })];
  await Promise.all([world.lookForMissed(), world.lookForMissed()]);
  slow.stop();
  await world.settle();
  expect(await heads()).toEqual(shas.map((sha) => `network ${sha}`));
  expect((await world.runs()).map(({ actor }) => actor)).toEqual(['alice', 'alice']);
});

describe('pull requests', () => {
  test('that were opened, updated, or got another base meanwhile are planned, once', async () => {
    const open = await world.open(`open-${counter++}`);
    const updated = await world.open(`updated-${counter++}`, app());
    await world.lookForMissed();
    await world.forgetRuns();
    const lost = await world.away(
      async () => {
        await world.open(`opened-${counter++}`);
        await alice.push(world.repo, { branch: updated.pull.headRef, files: network() });
      },
      { recorded: false },
    );
    await world.lookForMissed();
    expect((await world.list()).sort()).toEqual([
      'app: speculative pull_request pending',
      'network: speculative pull_request pending',
      'network: speculative pull_request pending',
    ]);
    expect(open.number).toBeLessThan(updated.number);
    await redeliver(lost);
    await world.lookForMissed();
    expect(await world.runs()).toHaveLength(3);
  });

  test('that were closed or merged meanwhile lose what waits, and their holds are resolved', async () => {
    const closed = await world.open(`closed-${counter++}`);
    const merged = await world.open(`merged-${counter++}`, app());
    const plan = await world.run('app', 'speculative');
    await world.showPlan('app');
    await world.nextSecond();
    await world.say('alice', merged.number, 'apply');
    await world.apply(await world.plan(await world.run('app')));
    const held = () =>
      world.db.selectFrom('workspaces').select('held_pull_request').where('name', '=', 'app').execute();
    expect(await held()).toEqual([{ held_pull_request: merged.number }]);
    let merge = '';
    await world.away(
      async () => {
        await alice.close(world.repo, closed.number);
        merge = await alice.merge(world.repo, merged.number);
      },
      { recorded: false },
    );
    await world.lookForMissed();
    expect(await held()).toEqual([{ held_pull_request: null }]);
    expect(await world.run('app')).toMatchObject({ commit_sha: merge, state: 'pending', trigger: 'push' });
    const dropped = (await world.runs()).find((run) => run.pull_request === closed.number);
    expect(dropped).toMatchObject({ state: 'discarded' });
    expect(await reasonOf(dropped ?? plan)).toBe(`#${closed.number} was closed.`);
  });

  test('that were reopened are planned again', async () => {
    const pull = await world.open(`reopened-${counter++}`);
    await alice.close(world.repo, pull.number);
    await world.settle();
    await world.away(() => alice.reopen(world.repo, pull.number), { recorded: false });
    await world.lookForMissed();
    expect((await world.list()).slice(-1)).toEqual(['network: speculative pull_request pending']);
  });
});

test('nobody outside can send what Signalbox delivers to itself', async () => {
  const body = Buffer.from(JSON.stringify({ repository: { id: world.repo.id }, branch: 'main' }));
  const headers: Record<string, string> = {
    'x-hub-signature-256': 'sha256=signed',
    'x-github-delivery': 'signalbox-1',
    'x-github-event': 'signalbox.branch',
  };
  const options = {
    db: world.db,
    verify: async () => true,
    events: new Set(['signalbox.branch']),
    log: world.services.log,
    complaints: new Complaints(world.services.log),
  };
  const answer = await answerWebhook(options, { header: (name) => headers[name], body });
  expect(answer.status).toBe(400);
});

test('with thousands of branches and nothing new, a look costs a handful of requests', async () => {
  await world.lookForMissed();
  const before = world.github.requests.length;
  await world.lookForMissed();
  const asked = world.github.requests.slice(before).filter(({ actor }) => !actor.startsWith('user'));
  expect(asked.map(({ route }) => route)).toEqual([
    'GET /app/hook/deliveries',
    'GET /app/installations',
    'POST /graphql',
  ]);
});

test('no delivery was given up, and no request was made that GitHub would not understand', async () => {
  expect(await world.givenUp()).toEqual([]);
  expect(world.github.violations).toEqual([]);
});
