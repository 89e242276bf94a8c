import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Run } from '../../src/db/schema.js';
import { addComment, MAX_COMMENT_LENGTH } from '../../src/runs/comments.js';
import { act, controlsOf, type Move, mayUse } from '../../src/runs/controls.js';
import { SaidTooMuch } from '../../src/runs/said.js';
import type { Access } from '../../src/signin/access.js';
import { finished, RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const now = new Date();
const labels = (run: Run, access: Access | undefined, at = now) =>
  controlsOf(run, access, at).map(({ label }) => label);
const press = (run: Run, move: Move, actor = 'alice') => world.inTransaction((tx) => act(tx, run, move, actor));
const comment = (run: Run, text: string) => world.inTransaction((tx) => addComment(tx, run, 'alice', text));

describe('the controls that a page has', () => {
  test.each([
    ['pending', ['Discard Run', 'Add comment']],
    ['planning', ['Cancel Run', 'Add comment']],
    ['needs_confirmation', ['Confirm & Apply', 'Discard Plan', 'Add comment']],
    ['confirmed', ['Cancel Run', 'Add comment']],
    ['applying', ['Cancel Run', 'Add comment']],
  ] as const)('for a run that is %s are those of the machine', async (state, expected) => {
    const run = await world.in(state);
    expect(labels(run, 'write')).toEqual(expected);
    expect(labels(run, 'admin')).toEqual(expected);
    expect(labels(run, 'read')).toEqual([]);
    expect(labels(run, undefined)).toEqual([]);
  });

  test('for a run that has ended are a comment', async () => {
    const run = await world.plan(await world.speculative(await world.workspace()));
    expect(labels(run, 'write')).toEqual(['Add comment']);
  });

  test('ask again only where something would be destroyed or replaced', async () => {
    const asks = async (counts: object) => {
      const summary = { ...finished.summary, ...counts };
      const run = await world.plan(await world.push(await world.workspace()), { summary });
      return controlsOf(run, 'write', now).find(({ control }) => control === 'confirm')?.asksAgain;
    };
    expect(await asks({})).toBe(false);
    expect(await asks({ destroy: 1 })).toBe(true);
    expect(await asks({ replace: 1 })).toBe(true);
  });

  test('force a cancel for administrators, and tell from when on', async () => {
    const run = await world.in('applying');
    await press(run, 'cancel');
    const canceling = await world.now(run);
    const asked = canceling.cancel_requested_at ?? now;
    const force = (at: number) =>
      controlsOf(canceling, 'admin', new Date(asked.getTime() + at)).find(({ control }) => control === 'force-cancel');
    expect(labels(canceling, 'write')).toEqual(['Add comment']);
    expect(force(9_999)).toMatchObject({ label: 'Force Cancel', from: new Date(asked.getTime() + 10_000) });
    expect(force(10_000)).toMatchObject({ from: undefined });
    await sql`update runs set cancel_requested_at = now() - interval '11 s' where id = ${run.id}`.execute(world.db);
    expect(await press(canceling, 'force-cancel', 'root')).toMatchObject({ done: true });
    expect(labels(await world.now(run), 'admin')).toEqual(['Add comment']);
  });

  test('are for write, and the force of a cancel for administrators', () => {
    for (const control of ['confirm', 'discard', 'cancel', 'comment'] as const) {
      expect([undefined, 'read', 'write', 'admin'].map((access) => mayUse(control, access as Access))).toEqual([
        false,
        false,
        true,
        true,
      ]);
    }
    expect(mayUse('force-cancel', 'write')).toBe(false);
    expect(mayUse('force-cancel', 'admin')).toBe(true);
  });
});

describe('a control that is pressed', () => {
  test('does what it says, and the timeline tells where', async () => {
    const confirmed = await world.in('needs_confirmation');
    expect(await press(confirmed, 'confirm')).toMatchObject({ done: true, run: { state: 'confirmed' } });
    const discarded = await world.in('pending');
    await press(discarded, 'discard');
    expect((await world.timeline(discarded)).at(-1)).toBe('discarded: discarded, alice, It was discarded on its page.');
    const canceled = await world.in('planning');
    await press(canceled, 'cancel');
    expect((await world.timeline(canceled)).at(-1)).toBe(
      'planning: cancel_requested, alice, It was canceled on its page.',
    );
  });

  test('twice or too late says what became of the run', async () => {
    const run = await world.in('needs_confirmation');
    await press(run, 'confirm', 'alice');
    for (const move of ['confirm', 'discard'] as const) {
      expect(await press(run, move, 'bob')).toMatchObject({
        done: false,
        run: { state: 'confirmed' },
        reason: 'the run is in state Confirmed, confirmed by alice',
      });
    }
    expect(await press(run, 'force-cancel', 'root')).toMatchObject({ done: false });
  });

  test('never confirms a pull request’s run past GitHub', async () => {
    const workspace = await world.workspace();
    const reviewed = await world.plan(await world.speculative(workspace));
    const run = await world.plan(await world.approved(workspace, reviewed), {
      reviewedDigest: 'another',
      differencesFrom: () => [{ kind: 'resource', address: 'a', detail: 'b' }],
    });
    expect(run.state).toBe('needs_confirmation');
    await expect(press(run, 'confirm')).rejects.toThrow('GitHub has to be asked');
    expect((await world.now(run)).state).toBe('needs_confirmation');
  });
});

describe('a comment', () => {
  test('is a line of the timeline in any state, with the state that the run has then', async () => {
    const seen = await world.in('needs_confirmation');
    await press(seen, 'discard');
    await world.delivered();
    expect(await comment(seen, '  Not on a Friday.\r\nSee you.\x1b[31m\x07\t ')).toBe(true);
    expect((await world.timeline(seen)).at(-1)).toBe('discarded: comment, alice, Not on a Friday.\nSee you.[31m');
    expect(await world.effects()).toEqual([]);
  });

  test('has something in it, and not more than its box', async () => {
    const run = await world.in('pending');
    expect(await comment(run, ' \n\0 ')).toBe(false);
    expect(await comment(run, '🦊'.repeat(MAX_COMMENT_LENGTH))).toBe(true);
    await expect(comment(run, 'x'.repeat(MAX_COMMENT_LENGTH + 1))).rejects.toThrow(SaidTooMuch);
    expect(await world.timeline(run)).toHaveLength(2);
  });
});
