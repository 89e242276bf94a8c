import type { Workspace } from '../../src/db/schema.js';
import { confirmRun } from '../../src/runs/actions.js';
import { IllegalTransition } from '../../src/runs/machine.js';
import { failApply, failPlan, finishApply, finishCanceled, finishPlan } from '../../src/runs/outcome.js';
import { RunMovedOn } from '../../src/runs/transition.js';
import { finished, RunsWorld } from './world.js';

let world: RunsWorld;
beforeAll(async () => {
  world = await RunsWorld.open();
});
afterAll(() => world.close());

const plansOf = (run: { id: string }) =>
  world.db.selectFrom('plans').selectAll().where('run_id', '=', run.id).execute();
const change = (
  workspace: Workspace,
  columns: { auto_apply?: boolean; applied_identity?: string; removed_at?: Date },
) => world.db.updateTable('workspaces').set(columns).where('id', '=', workspace.id).execute();

describe('a plan that ended', () => {
  test('with changes waits for a person, and is kept', async () => {
    const run = await world.plan(await world.push(await world.workspace()));
    expect(run).toMatchObject({ state: 'needs_confirmation', plan_summary: finished.summary });
    expect(await plansOf(run)).toMatchObject([{ plan_file: finished.planFile, reviewed_digest: 'd1' }]);
    expect(await world.timeline(run)).toEqual([
      'pending: created, alice',
      'planning: plan_started',
      'needs_confirmation: plan_ready',
    ]);
  });

  test('without changes ends its run, also where auto-apply is on or it was approved', async () => {
    const workspace = await world.workspace({ auto_apply: true });
    const reviewed = await world.plan(await world.speculative(workspace));
    const runs = [await world.push(workspace), await world.approved(workspace, reviewed)];
    for (const run of runs) expect((await world.plan(run, { changes: false })).state).toBe('no_changes');
  });

  test('of a pull request is only shown', async () => {
    const run = await world.plan(await world.speculative(await world.workspace({ auto_apply: true })));
    expect(run).toMatchObject({ state: 'planned', confirmed_by: null });
  });

  test('with an error tells the first line of it in the timeline, and all of it in the run', async () => {
    const run = await world.in('planning');
    const failed = await failPlan(world.db, run, 'No provider.\nIt was not found.', []);
    expect(failed).toMatchObject({ state: 'plan_errored', error: 'No provider.\nIt was not found.' });
    expect((await world.timeline(run)).at(-1)).toBe('plan_errored: plan_failed, No provider.');
    expect(await plansOf(run)).toEqual([]);
  });
});

describe('auto-apply', () => {
  test('confirms by itself', async () => {
    const run = await world.plan(await world.push(await world.workspace({ auto_apply: true })));
    expect(run).toMatchObject({ state: 'confirmed', confirmed_by: 'auto-apply' });
  });

  test('that was turned off meanwhile counts at once', async () => {
    const workspace = await world.workspace({ auto_apply: true });
    const run = await world.push(workspace);
    await change(workspace, { auto_apply: false });
    expect(await world.plan(run)).toMatchObject({ state: 'needs_confirmation', confirmed_by: null });
    expect((await world.timeline(run)).at(-1)).toMatch(
      /plan_ready, Auto-apply was turned off since this run was created/,
    );
  });

  test('that was turned on meanwhile counts from the next run on', async () => {
    const workspace = await world.workspace();
    const run = await world.push(workspace);
    await change(workspace, { auto_apply: true });
    expect((await world.plan(run)).state).toBe('needs_confirmation');
  });

  test('goes on while backend and directory are those of the last apply', async () => {
    const workspace = await world.workspace({ auto_apply: true });
    const first = await world.begin(await world.plan(await world.push(workspace)), 'apply');
    await finishApply(world.db, first, finished.identity, { diagnostics: [] });
    expect((await world.plan(await world.push(workspace))).state).toBe('confirmed');
  });

  test.each(['s3:d', 'signalbox:elsewhere'])(
    'waits when they have changed to %s, until a person has applied',
    async (identity) => {
      const workspace = await world.workspace({ auto_apply: true });
      await change(workspace, { applied_identity: finished.identity });
      const run = await world.plan(await world.push(workspace), { identity });
      expect(run.state).toBe('needs_confirmation');
      expect((await world.timeline(run)).at(-1)).toMatch(
        /Its backend or directory has changed since it was last applied/,
      );
      const applying = await world.begin(await world.confirm(run), 'apply');
      await finishApply(world.db, applying, identity, { diagnostics: [] });
      expect((await world.plan(await world.push(workspace), { identity })).state).toBe('confirmed');
    },
  );

  test('waits when another workspace was applied from the directory before, and is gone', async () => {
    const before = await world.workspace({ directory: 'network' });
    await change(before, { applied_identity: 'signalbox:network', removed_at: new Date() });
    const renamed = await world.workspace({ directory: 'network', auto_apply: true });
    const run = await world.plan(await world.push(renamed));
    expect(run.state).toBe('needs_confirmation');
    expect((await world.timeline(run)).at(-1)).toContain(`Workspace ${before.name} was applied from this directory`);
  });

  test('waits for its first run when the repository brings a state that is not used', async () => {
    const workspace = await world.workspace({ auto_apply: true });
    const run = await world.plan(await world.push(workspace), { stateLeftOut: true });
    expect(run.state).toBe('needs_confirmation');
    expect((await world.timeline(run)).at(-1)).toContain('The repository has a terraform.tfstate');
  });

  test('does not wait for one that still exists in the same directory', async () => {
    const other = await world.workspace({ directory: 'shared' });
    await change(other, { applied_identity: 'signalbox:shared' });
    expect(
      (await world.plan(await world.push(await world.workspace({ directory: 'shared', auto_apply: true })))).state,
    ).toBe('confirmed');
  });
});

describe('an approval', () => {
  const reviewedIn = async (workspace: Workspace) => world.plan(await world.speculative(workspace));

  test('holds for a plan that makes the same changes', async () => {
    const workspace = await world.workspace();
    const run = await world.plan(await world.approved(workspace, await reviewedIn(workspace), 'bob'));
    expect(run).toMatchObject({ state: 'confirmed', confirmed_by: 'bob', differences: null });
    expect((await world.timeline(run)).at(-1)).toContain('The plan makes the changes that bob approved.');
    expect(await world.effects()).toContain(`apply_check ${run.id}`);
    expect(await world.effects()).not.toContain(`job ${run.id}-apply-1`);
  });

  test('does not hold for another plan: it stops and shows in what it differs', async () => {
    const workspace = await world.workspace();
    const difference = { kind: 'resource', address: 'a.b', detail: 'is new in the plan' };
    const compared: unknown[] = [];
    const run = await world.plan(await world.approved(workspace, await reviewedIn(workspace)), {
      reviewedDigest: 'd2',
      differencesFrom: (parts) => {
        compared.push(parts);
        return [difference];
      },
    });
    expect(compared).toEqual([finished.reviewedParts]);
    expect(run).toMatchObject({ state: 'needs_confirmation', confirmed_by: null, differences: [difference] });
    expect((await world.timeline(run)).at(-1)).toContain('The plan differs from the one that alice reviewed.');
  });

  test('does not hold where the digests differ and nobody can say in what', async () => {
    const workspace = await world.workspace();
    const run = await world.plan(await world.approved(workspace, await reviewedIn(workspace)), {
      reviewedDigest: 'd2',
    });
    expect(run).toMatchObject({ state: 'needs_confirmation', differences: [{ kind: 'plan' }] });
  });

  test('does not hold when the reviewed plan is gone', async () => {
    const workspace = await world.workspace();
    const reviewed = await reviewedIn(workspace);
    await world.db.deleteFrom('plans').where('run_id', '=', reviewed.id).execute();
    const run = await world.plan(await world.approved(workspace, reviewed));
    expect(run).toMatchObject({
      state: 'needs_confirmation',
      differences: [{ kind: 'plan', address: reviewed.id, detail: 'The reviewed plan is no longer kept.' }],
    });
  });
});

describe('an apply that ended', () => {
  test('remembers whose state it wrote, ends its credentials, and lets the next run go', async () => {
    const run = await world.in('applying');
    const next = await world.push({ ...(await world.workspace()), id: run.workspace_id });
    await world.delivered();
    const applied = await finishApply(world.db, run, 'signalbox:x', { diagnostics: [] });
    expect(applied).toMatchObject({ state: 'applied' });
    expect(applied.state_revoked_at).not.toBeNull();
    expect(await world.effects()).toEqual([`run_report ${run.id}`, `job ${next.id}-plan-0`]);
    const workspace = await world.db
      .selectFrom('workspaces')
      .select('applied_identity')
      .where('id', '=', run.workspace_id)
      .executeTakeFirst();
    expect(workspace?.applied_identity).toBe('signalbox:x');
  });

  test('was applied, even if somebody had asked for its end by then', async () => {
    const run = await world.in('applying');
    await world.db.updateTable('runs').set({ cancel_requested_at: new Date() }).where('id', '=', run.id).execute();
    expect((await finishApply(world.db, run, 'x', { diagnostics: [] })).state).toBe('applied');
  });

  test.each(['failed', 'canceled'])('and %s has its last progress from the same moment', async (how) => {
    const run = await world.in('applying');
    const progress = {
      total: 2,
      applied: 1,
      failed: 0,
      inFlight: [],
      done: ['a'],
      unsaved: ['b'],
      stateKept: true as const,
    };
    const ending = { diagnostics: [], progress };
    await world.db.updateTable('runs').set({ cancel_requested_at: new Date() }).where('id', '=', run.id).execute();
    if (how === 'failed') await failApply(world.db, run, 'It failed.', ending);
    else await finishCanceled(world.db, run, 'Gone.', ending);
    expect((await world.now(run)).progress).toEqual(progress);
  });

  test('keeps the progress that it had when its end brings none', async () => {
    const run = await world.in('applying');
    const progress = { total: 2, applied: 1, failed: 0, inFlight: [] };
    const columns = { progress: JSON.stringify(progress) };
    await world.db.updateTable('runs').set(columns).where('id', '=', run.id).execute();
    await failApply(world.db, run, 'It failed.', { diagnostics: [] });
    expect((await world.now(run)).progress).toEqual(progress);
  });

  test('with an error keeps what it had for its identity', async () => {
    const run = await world.in('applying');
    expect((await failApply(world.db, run, 'It failed.', { diagnostics: [] })).state).toBe('apply_errored');
    const workspace = await world.db
      .selectFrom('workspaces')
      .select('applied_identity')
      .where('id', '=', run.workspace_id)
      .executeTakeFirst();
    expect(workspace?.applied_identity).toBeNull();
  });
});

describe('an outcome that comes twice, or too late', () => {
  test('changes nothing', async () => {
    const run = await world.in('planning');
    const once = await world.plan(run);
    const again = finishPlan(world.db, run, { ...finished, reviewedDigest: 'other' });
    await expect(again).rejects.toThrow(IllegalTransition);
    await expect(finishCanceled(world.db, run, 'late', { diagnostics: [] })).rejects.toThrow(IllegalTransition);
    expect(await world.now(run)).toEqual(once);
    expect(await plansOf(run)).toMatchObject([{ reviewed_digest: 'd1' }]);
    expect(await world.timeline(run)).toHaveLength(3);
  });

  test('of an earlier attempt is refused: the run belongs to the later one', async () => {
    const run = await world.in('planning');
    await world.db.updateTable('runs').set({ attempt: 2 }).where('id', '=', run.id).execute();
    await expect(world.plan(run)).rejects.toThrow(RunMovedOn);
    await expect(failPlan(world.db, run, 'late', [])).rejects.toThrow(RunMovedOn);
    expect((await world.now(run)).state).toBe('planning');
    expect(await plansOf(run)).toEqual([]);
  });

  test('when two come at once, one is kept', async () => {
    for (let round = 0; round < 20; round++) {
      const run = await world.in('applying');
      const ends = await Promise.allSettled([
        finishApply(world.db, run, 'x', { diagnostics: [] }),
        failApply(world.db, run, 'It failed.', { diagnostics: [] }),
        finishCanceled(world.db, run, 'Gone.', { diagnostics: [] }),
      ]);
      expect(ends.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
      expect(await world.timeline(run)).toHaveLength(6);
    }
  });
});

test('a confirmation of a run that has been confirmed meanwhile by its plan is told so', async () => {
  const workspace = await world.workspace({ auto_apply: true });
  const run = await world.plan(await world.push(workspace));
  const result = await world.inTransaction((tx) => confirmRun(tx, run, 'bob'));
  expect(result).toMatchObject({ done: false, reason: 'the run is in state Confirmed, confirmed by auto-apply' });
});
