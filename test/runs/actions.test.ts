import { sql } from 'kysely';
import type { Run } from '../../src/db/schema.js';
import { cancelRun, confirmRun, discardRun, forceCancelRun } from '../../src/runs/actions.js';
import { finishCanceled, finishPlan } from '../../src/runs/outcome.js';
import { finished, RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const confirm = (run: Run, actor = 'alice') => world.inTransaction((tx) => confirmRun(tx, run, actor));
const discard = (run: Run, actor?: string) => world.inTransaction((tx) => discardRun(tx, run, 'Not wanted.', actor));
const cancel = (run: Run, actor?: string) => world.inTransaction((tx) => cancelRun(tx, run, 'Stop it.', actor));

test('a plan that waits is confirmed by a person, whose name is kept', async () => {
  const run = await world.in('needs_confirmation');
  await world.delivered();
  expect(await confirm(run, 'bob')).toMatchObject({ done: true, run: { state: 'confirmed', confirmed_by: 'bob' } });
  expect((await world.timeline(run)).at(-1)).toBe('confirmed: confirmed, bob');
  expect(await world.effects()).toEqual([`run_report ${run.id}`, `job ${run.id}-apply-1`]);
});

test('confirming and discarding in the same moment: one of the two happens, and the other is told', async () => {
  for (let round = 0; round < 100; round++) {
    const run = await world.in('needs_confirmation');
    const [confirmed, discarded] = await Promise.all([confirm(run, 'alice'), discard(run, 'bob')]);
    expect(confirmed.done).toBe(!discarded.done);
    const { state } = await world.now(run);
    expect(state).toBe(confirmed.done ? 'confirmed' : 'discarded');
    const loser = confirmed.done ? discarded : confirmed;
    const told = confirmed.done
      ? 'the run is in state Confirmed, confirmed by alice'
      : 'the run is in state Discarded (by bob)';
    expect(loser).toMatchObject({ done: false, reason: told });
    expect(await world.timeline(run)).toHaveLength(4);
  }
}, 120_000);

test('a double click is one confirmation', async () => {
  const run = await world.in('needs_confirmation');
  const results = await Promise.all([confirm(run, 'alice'), confirm(run, 'bob'), confirm(run, 'carol')]);
  expect(results.filter(({ done }) => done)).toHaveLength(1);
  const { confirmed_by } = await world.now(run);
  for (const result of results)
    if (!result.done) expect(result.reason).toBe(`the run is in state Confirmed, confirmed by ${confirmed_by}`);
});

test('what is in no state to be confirmed or discarded says what became of it', async () => {
  for (const state of ['pending', 'planning', 'confirmed', 'applying'] as const) {
    const result = await confirm(await world.in(state));
    expect(result).toMatchObject({ done: false, reason: expect.stringMatching(/^the run is \w+/) });
  }
  for (const state of ['planning', 'confirmed', 'applying'] as const) {
    expect((await discard(await world.in(state))).done).toBe(false);
  }
});

test('a discarded run lets the next one go', async () => {
  const run = await world.in('needs_confirmation');
  const next = await world.push({ ...(await world.workspace()), id: run.workspace_id });
  await world.delivered();
  await discard(run, 'bob');
  expect((await world.timeline(run)).at(-1)).toBe('discarded: discarded, bob, Not wanted.');
  expect(await world.effects()).toEqual([`run_report ${run.id}`, `job ${next.id}-plan-0`]);
});

describe('cancel', () => {
  test.each([
    ['pending', 'discarded', 'discarded: discarded, bob, Stop it.'],
    ['needs_confirmation', 'discarded', 'discarded: discarded, bob, Stop it.'],
    ['confirmed', 'canceled', 'canceled: canceled, bob, Stop it.'],
  ] as const)('ends a run that is %s at once: it is %s', async (state, after, line) => {
    const run = await world.in(state);
    expect(await cancel(run, 'bob')).toMatchObject({ done: true, run: { state: after } });
    expect((await world.now(run)).ended_at).not.toBeNull();
    expect((await world.timeline(run)).at(-1)).toBe(line);
  });

  test.each(['planning', 'applying'] as const)('is a request to the worker while a run is %s', async (state) => {
    const run = await world.in(state);
    await world.delivered();
    expect(await cancel(run, 'bob')).toMatchObject({ done: true, run: { state, cancel_requested_by: 'bob' } });
    expect((await world.timeline(run)).at(-1)).toBe(`${state}: cancel_requested, bob, Stop it.`);
    expect(await world.effects()).toEqual([`run_report ${run.id}`]);
    expect(await cancel(run, 'carol')).toMatchObject({
      done: false,
      reason: 'it is being canceled already, as bob asked',
    });
    const canceled = await finishCanceled(world.db, run, 'It is gone.', { diagnostics: [] });
    expect(canceled).toMatchObject({ state: 'canceled' });
    expect(canceled.state_revoked_at).not.toBeNull();
    expect((await world.timeline(run)).at(-1)).toBe('canceled: canceled, bob, It is gone.');
  });

  test('tells of a run that has ended', async () => {
    const run = await world.in('needs_confirmation');
    await discard(run);
    expect(await cancel(run, 'bob')).toMatchObject({ done: false, reason: 'the run is in state Discarded' });
  });

  test('means what the run is now, not what it was when it was seen', async () => {
    const seen = await world.in('planning');
    await world.plan(seen);
    expect(await cancel(seen, 'bob')).toMatchObject({ done: true, run: { state: 'discarded' } });
    const pending = await world.push(await world.workspace());
    await world.begin(pending);
    expect(await cancel(pending, 'bob')).toMatchObject({ done: true, run: { cancel_requested_by: 'bob' } });
  });

  test('by Signalbox itself never interrupts an apply that it had not seen begin', async () => {
    const confirmed = await world.in('confirmed');
    await world.begin(confirmed, 'apply');
    expect(await cancel(confirmed)).toMatchObject({
      done: false,
      run: { state: 'applying', cancel_requested_at: null },
    });
    expect(await cancel(confirmed, 'bob')).toMatchObject({ done: true, run: { state: 'applying' } });
  });

  test('that comes while a plan ends keeps it from going on, also where it would apply by itself', async () => {
    const run = await world.begin(await world.push(await world.workspace({ auto_apply: true })));
    await cancel(run, 'bob');
    const ended = await finishPlan(world.db, run, finished);
    expect(ended.state).toBe('canceled');
    expect((await world.timeline(run)).at(-1)).toBe('canceled: canceled, bob, It was canceled while its plan ended.');
  });

  test('and the end of a plan in the same moment: a run that was told to stop never applies', async () => {
    for (let round = 0; round < 30; round++) {
      const run = await world.begin(await world.push(await world.workspace({ auto_apply: true })));
      const [ended, result] = await Promise.all([finishPlan(world.db, run, finished), cancel(run, 'bob')]);
      expect(result.done).toBe(true);
      expect(['confirmed', 'canceled']).toContain(ended.state);
      expect((await world.now(run)).state).toBe('canceled');
    }
  });
});

describe('force-cancel', () => {
  const force = (run: Run, actor = 'root') => world.inTransaction((tx) => forceCancelRun(tx, run, 'Kill it.', actor));
  const askedFor = (run: Run, seconds: number) =>
    world.db
      .updateTable('runs')
      .set({ cancel_requested_at: sql`now() - make_interval(secs => ${seconds})`, cancel_requested_by: 'bob' })
      .where('id', '=', run.id)
      .execute();

  test.each(['planning', 'applying'] as const)(
    'of a run that is %s comes after a cancel that had ten seconds',
    async (state) => {
      const run = await world.in(state);
      expect(await force(run)).toMatchObject({
        done: false,
        reason: expect.stringContaining("it wasn't canceled yet"),
      });
      await askedFor(run, 8);
      expect(await force(run)).toMatchObject({
        done: false,
        reason: expect.stringMatching(
          /^bob asked to cancel it only [89] s ago: give Terraform [12] s more to end by itself$/,
        ),
      });
      expect(await world.now(run)).toMatchObject({ force_cancel_requested_at: null });
      await askedFor(run, 10);
      await world.delivered();
      const forced = { state, force_cancel_requested_by: 'root', force_cancel_requested_at: expect.any(Date) };
      expect(await force(run)).toMatchObject({ done: true, run: forced });
      expect((await world.timeline(run)).at(-1)).toBe(`${state}: force_cancel_requested, root, Kill it.`);
      expect(await world.effects()).toEqual([`run_report ${run.id}`]);
      expect(await force(run, 'carol')).toMatchObject({
        done: false,
        reason: 'it is being killed already, as root asked',
      });
    },
  );

  test.each(['pending', 'needs_confirmation', 'confirmed'] as const)(
    'of a run that is %s has nothing to kill',
    async (state) => {
      const run = await world.in(state);
      expect((await force(run)).done).toBe(false);
      expect(await world.now(run)).toEqual(run);
    },
  );
});
