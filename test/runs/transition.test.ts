import { Notifications } from '../../src/db/notifications.js';
import type { Run } from '../../src/db/schema.js';
import { IllegalTransition, isFinal, type RunEventType, speculativeRun, standardRun } from '../../src/runs/machine.js';
import { RunMovedOn, transition } from '../../src/runs/transition.js';
import { until } from '../queue/support.js';
import { RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());
beforeEach(() => world.delivered());

/** Everything that any event needs to know. */
const facts = { worker: 'w1', error: 'It failed.\nBadly.', confirmedBy: 'bob', reason: 'Not wanted.' };
const move = (run: Run, event: RunEventType) =>
  world.inTransaction((tx) => transition(tx, run, event, facts as never, { actor: 'carol' }));

/** A run forced into a state. */
async function runIn(state: string, speculative: boolean, pullRequest?: number): Promise<Run> {
  const workspace = await world.workspace();
  const { run } = await world.create({ ...world.request(workspace), speculative, pullRequest });
  const ended = isFinal(state as Run['state']);
  await world.db
    .updateTable('runs')
    .set({
      state: state as Run['state'],
      worker: 'w1',
      confirmed_by: state === 'confirmed' ? 'bob' : null,
      ended_at: ended ? new Date() : null,
    })
    .where('id', '=', run.id)
    .execute();
  await world.delivered();
  return world.now(run);
}

const kinds = [
  ['standard', standardRun],
  ['speculative', speculativeRun],
] as const;
const moves = kinds.flatMap(([kind, table]) =>
  Object.entries(table).flatMap(([from, events]) =>
    Object.entries(events).map(([event, to]) => [kind, from, event as RunEventType, String(to)] as const),
  ),
);

test.each(moves)(
  'a %s run that is %s goes by %s to %s, with one line in its timeline',
  async (kind, from, event, to) => {
    const run = await runIn(from, kind === 'speculative');
    const before = await world.timeline(run);
    const moved = await move(run, event);
    expect(moved.state).toBe(to);
    const detail = ['plan_failed', 'apply_failed', 'discarded'].includes(event) ? 'Not wanted.' : undefined;
    expect((await world.timeline(run)).slice(before.length)).toEqual([
      [`${to}: ${event}`, 'carol', detail ?? 'Not wanted.'].join(', '),
    ]);

    const effects = [`run_report ${run.id}`];
    if (kind === 'speculative') effects.push(`head_report 1/${run.commit_sha}`);
    if (to === 'confirmed') effects.push(`job ${run.id}-apply-0`);
    expect(await world.effects()).toEqual(effects);

    expect(moved.ended_at !== null).toBe(isFinal(moved.state));
    expect(moved.state_revoked_at !== null).toBe(isFinal(moved.state));
  },
);

test.each(moves.filter(([kind]) => kind === 'standard'))(
  'the end of a %s run that was %s (%s) queues the next one, and nothing else does',
  async (_, from, event) => {
    const run = await runIn(from, false);
    const next = await world.push({ ...(await world.workspace()), id: run.workspace_id });
    await world.delivered();
    const { state } = await move(run, event);
    expect((await world.effects()).includes(`job ${next.id}-plan-0`)).toBe(isFinal(state));
  },
);

test('an event that a state does not know changes nothing', async () => {
  for (const [kind, table] of kinds) {
    for (const [state, events] of Object.entries(table)) {
      const run = await runIn(state, kind === 'speculative');
      for (const event of ['plan_started', 'confirmed', 'apply_finished', 'canceled', 'discarded'] as const) {
        if (event in events) continue;
        await expect(move(run, event)).rejects.toThrow(IllegalTransition);
      }
      expect(await world.now(run)).toEqual(run);
      expect(await world.effects()).toEqual([]);
    }
  }
});

test('a run that was moved by somebody else meanwhile stays as they left it', async () => {
  const seen = await world.in('needs_confirmation');
  await world.confirm(seen);
  await world.delivered();
  const lines = await world.timeline(seen);
  await expect(move(seen, 'discarded')).rejects.toThrow(RunMovedOn);
  expect((await world.now(seen)).state).toBe('confirmed');
  expect(await world.timeline(seen)).toEqual(lines);
  expect(await world.effects()).toEqual([]);
});

test('a confirmed run of a pull request is checked once more before its apply is queued', async () => {
  const run = await runIn('needs_confirmation', false, 5);
  await move(run, 'confirmed');
  expect(await world.effects()).toEqual([`run_report ${run.id}`, 'pull_request_report 1/5', `apply_check ${run.id}`]);
});

test('a transaction that fails afterwards takes all of it back', async () => {
  const run = await world.in('needs_confirmation');
  await world.delivered();
  const lines = await world.timeline(run);
  const failing = world.inTransaction(async (tx) => {
    await transition(tx, run, 'confirmed', { confirmedBy: 'bob' });
    throw new Error('no');
  });
  await expect(failing).rejects.toThrow('no');
  expect(await world.now(run)).toEqual(run);
  expect(await world.timeline(run)).toEqual(lines);
  expect(await world.effects()).toEqual([]);
});

test('whoever waits for the run, or for the outbox, is woken', async () => {
  const run = await world.in('needs_confirmation');
  const notifications = new Notifications(world.url, () => undefined);
  await notifications.start();
  const heard: string[] = [];
  notifications.on('runs', (subject) => heard.push(subject));
  notifications.on('outbox', () => heard.push('outbox'));
  await world.confirm(run);
  await until(() => heard.includes(run.id) && heard.includes('outbox'));
  await notifications.close();
});

test('ten changes in a row are one report, which is delivered for the last of them', async () => {
  const run = await world.push(await world.workspace());
  await world.plan(await world.begin(run));
  const rows = await world.db.selectFrom('outbox').selectAll().where('kind', '=', 'run_report').execute();
  expect(rows).toMatchObject([{ subject: run.id, version: 3, attempts: 0 }]);
});
