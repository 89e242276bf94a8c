import { Notifications } from '../../src/db/notifications.js';
import type { Tx } from '../../src/db/pool.js';
import type { Run } from '../../src/db/schema.js';
import { actionsOf } from '../../src/reports/buttons.js';
import { confirmRun, discardRun } from '../../src/runs/actions.js';
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

describe('the record, for every state and event', () => {
  const events = [...new Set(moves.map(([, , event]) => event))];
  const stateRows = kinds.flatMap(([kind, table]) =>
    Object.entries(table).map(([state, legal]) => [kind, state, legal as Record<string, string>] as const),
  );

  test('has a table that is complete: as many pairs as there are states times events', () => {
    const legal = moves.length;
    const illegal = stateRows.reduce((sum, [, , known]) => sum + events.filter((event) => !(event in known)).length, 0);
    expect(legal + illegal).toBe(stateRows.length * events.length);
    expect(legal).toBeGreaterThan(20);
  });

  test.each(stateRows)(
    'a %s run that is %s throws at each illegal event, and nothing of it changes',
    async (kind, state, legal) => {
      const run = await runIn(state, kind === 'speculative');
      const lines = await world.timeline(run);
      for (const event of events) {
        if (event in legal) continue;
        await expect(move(run, event)).rejects.toThrow(IllegalTransition);
      }
      expect(await world.now(run)).toEqual(run);
      expect(await world.timeline(run)).toEqual(lines);
      expect(await world.effects()).toEqual([]);
    },
  );

  test.each(stateRows)(
    'a %s run that is %s has the buttons of what a person may do, and these work',
    async (kind, state, legal) => {
      const speculative = kind === 'speculative';
      const offered = actionsOf(await runIn(state, speculative)).map(({ identifier }) => identifier);
      const buttons = [
        ['apply', 'confirmed', (tx: Tx, run: Run) => confirmRun(tx, run, 'bob')],
        ['discard', 'discarded', (tx: Tx, run: Run) => discardRun(tx, run, 'Not wanted.', 'bob')],
      ] as const;
      for (const [button, event, press] of buttons) {
        const run = await runIn(state, speculative);
        const { done } = await world.inTransaction((tx) => press(tx, run));
        expect(done).toBe(event in legal);
        // GitHub shows no buttons on what is queued: a pending run is discarded by comment.
        expect(offered.includes(button)).toBe(done && state !== 'pending');
        if (!done) expect(await world.now(run)).toEqual(run);
      }
    },
  );
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
