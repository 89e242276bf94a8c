import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import type { Run } from '../../src/db/schema.js';
import { RetryLater } from '../../src/queue/outbox-pump.js';
import { explainQueue } from '../../src/runs/queue-explanation.js';
import { addEvent } from '../../src/runs/transition.js';
import { unlockWorkspace } from '../../src/workspaces/lock.js';
import { planSummary } from './examples.js';
import { createWorkspace, PLENTY, World } from './world.js';

const CREATE = 'POST /repos/{owner}/{repo}/check-runs';
const UPDATE = 'PATCH /repos/{owner}/{repo}/check-runs/{check_run_id}';
const COMMENT = 'POST /repos/{owner}/{repo}/issues/{issue_number}/comments';
const EDIT = 'PATCH /repos/{owner}/{repo}/issues/comments/{comment_id}';
const summary = { plan_summary: JSON.stringify(planSummary({ add: 3, change: 1 })) };

let world: World;
let sha: string;
beforeAll(async () => {
  world = await World.start();
});
beforeEach(async () => {
  sha = await world.push();
  world.github.requests.length = 0;
});
afterEach(async () => {
  world.github.misbehaviours.stop();
  world.handlers = world.reportsWith(PLENTY).handlers;
  await endAll();
  expect(world.github.violations).toEqual([]);
  expect(world.github.reopened).toEqual([]);
});
afterAll(() => world.close());

async function planned(): Promise<Run> {
  const run = await world.createRun(sha);
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  return world.move(run, 'plan_ready', {}, { columns: summary });
}

async function endAll(): Promise<void> {
  await sql`update runs set state = 'canceled', ended_at = now() where ended_at is null`.execute(world.db);
  await sql`update workspaces set held_pull_request = null, locked_at = null, locked_by = null, lock_reason = null`.execute(
    world.db,
  );
  await sql`delete from outbox`.execute(world.db);
}

const waiting = (kind: string) => world.db.selectFrom('outbox').select('subject').where('kind', '=', kind).execute();

describe('the check run of a run', () => {
  test('follows the run; the apply after a confirmation is a check run of its own', async () => {
    const run = await world.createRun(sha);
    await world.report(run);
    await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    await world.report(run);
    await world.move(run, 'plan_ready', {}, { columns: summary });
    await world.report(run);
    const plan = ['signalbox/network', `${run.id}/plan/1`, 'action_required', '3 to add, 1 to change, 0 to destroy'];
    expect(world.shown(sha)).toEqual([plan]);
    expect(world.github.checkRuns(world.repo, sha)[0]?.actions.map(({ identifier }) => identifier)).toEqual([
      'apply',
      'discard',
    ]);

    await world.move(run, 'confirmed', { confirmedBy: 'alice' }, { actor: 'alice' });
    await world.report(run);
    await world.move(run, 'apply_started', { worker: 'w' });
    await world.report(run);
    await world.move(run, 'apply_finished', {});
    await world.report(run);
    const apply = ['signalbox/network', `${run.id}/apply/1`, 'success', '3 added, 1 changed, 0 destroyed'];
    expect(world.shown(sha)).toEqual([plan, apply]);
  });

  test('stays one where nobody had to confirm', async () => {
    const run = await world.createRun(sha);
    await world.report(run);
    await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    await world.move(run, 'plan_approved', { confirmedBy: 'auto-apply' }, { columns: summary });
    await world.move(run, 'apply_started', { worker: 'w' });
    await world.report(run);
    await world.move(run, 'apply_finished', {});
    await world.report(run);
    expect(world.shown(sha)).toEqual([
      ['signalbox/network', `${run.id}/plan/1`, 'success', '3 added, 1 changed, 0 destroyed'],
    ]);
  });

  test('is one request when the run is over before anything was sent', async () => {
    const run = await planned();
    await world.move(run, 'discarded', { reason: 'By alice.' }, { actor: 'alice' });
    await world.report(run);
    await world.report(run);
    expect(world.shown(sha)).toEqual([['signalbox/network', `${run.id}/plan/1`, 'cancelled', 'Discarded']]);
    expect(world.writes).toEqual([CREATE]);
  });

  test('loses its buttons when the plan is discarded, and takes a note, while it stays complete', async () => {
    const run = await planned();
    await world.report(run);
    const before = await row(run);
    expect(before).toMatchObject({ completed: true, completed_at: expect.any(Date), reported_at: expect.any(Date) });
    await world.db.transaction().execute((tx) => addEvent(tx, run, 'refused', { actor: 'mallory', detail: 'No.' }));
    await world.report(run);
    await world.move(run, 'discarded', { reason: 'By alice.' }, { actor: 'alice' });
    await world.report(run);
    const [check] = world.github.checkRuns(world.repo, sha);
    expect(world.github.checkRuns(world.repo, sha)).toHaveLength(1);
    expect(check).toMatchObject({ conclusion: 'cancelled', actions: [] });
    expect(check?.summary).toContain('mallory: No.');
    expect(await row(run)).toMatchObject({ completed_at: before?.completed_at, reported_at: before?.reported_at });
  });

  test('carries its annotations once', async () => {
    const diagnostics = [{ severity: 'error', summary: 'Bad', detail: 'Why', file: 'main.tf', startLine: 1 }];
    const run = await world.createRun(sha);
    await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    await world.report(run);
    await world.move(run, 'plan_failed', { error: 'Bad' }, { columns: { diagnostics: JSON.stringify(diagnostics) } });
    await world.report(run);
    await world.db.transaction().execute((tx) => addEvent(tx, run, 'refused', { actor: 'bob', detail: 'Too late.' }));
    await world.report(run);
    const [check] = world.github.checkRuns(world.repo, sha);
    expect(check?.annotations).toHaveLength(1);
    expect(check?.summary).toContain('Too late.');
  });

  test('waits with the run that holds the workspace, and is told when that moves on', async () => {
    const first = await planned();
    await world.report(first);
    const second = await world.createRun(await world.push());
    await world.report(second);
    expect(world.shown(second.commit_sha)[0]?.[3]).toBe(`Waiting for ${first.id} (Needs Confirmation)`);
    await sql`delete from outbox`.execute(world.db);
    await world.move(first, 'confirmed', { confirmedBy: 'alice' });
    await sql`delete from outbox`.execute(world.db);
    await world.report(first);
    expect(await waiting('run_report')).toEqual([{ subject: second.id }]);
  });

  test('says for which pull request a run is held', async () => {
    await world.db
      .updateTable('workspaces')
      .set({ held_pull_request: 77 })
      .where('id', '=', world.workspace.id)
      .execute();
    const run = await world.createRun(sha);
    await world.report(run);
    expect(world.shown(sha)[0]?.[3]).toBe('Held for pull request #77');
  });

  test('says who locked the workspace, also the moment that is over', async () => {
    await world.db
      .updateTable('workspaces')
      .set({ locked_at: new Date(), locked_by: 'alice', lock_reason: 'migration' })
      .where('id', '=', world.workspace.id)
      .execute();
    const run = await world.createRun(sha);
    await world.report(run);
    expect(world.shown(sha)[0]?.[3]).toBe('Locked by alice: migration');
    expect(world.github.checkRuns(world.repo, sha)[0]?.summary).toContain(
      'alice or an administrator of this repository',
    );
    await world.db.transaction().execute((tx) => unlockWorkspace(tx, world.workspace.id));
    expect(await waiting('run_report')).toContainEqual({ subject: run.id });
    await sql`update check_runs set tried_at = now() - interval '1 hour'`.execute(world.db);
    await world.report(run);
    expect(world.shown(sha)[0]?.[3]).toBe('Waiting for a free worker');
  });

  test('says about when it starts, from three runs of the past on', async () => {
    const finished = async () => {
      const run = await world.createRun(sha, { trigger: 'rerun' });
      await world.move(run, 'plan_started', { worker: 'w' });
      await world.move(run, 'plan_empty', {});
      await sql`update run_events set at = now() - case type when 'plan_started' then interval '20 minutes'
        when 'plan_empty' then interval '19 minutes' else interval '30 minutes' end where run_id = ${run.id}`.execute(
        world.db,
      );
    };
    await sql`delete from check_runs; delete from runs`.execute(world.db);
    const explain = async (run: Run) => (await explainQueue(world.db, run)).outlook;
    await finished();
    await finished();
    await world.db.updateTable('workspaces').set({ auto_apply: true }).where('id', '=', world.workspace.id).execute();
    const auto = { workspace: { ...world.workspace, auto_apply: true }, trigger: 'rerun' as const };
    const holding = await world.createRun(sha, auto);
    await world.move(holding, 'plan_started', { worker: 'w' });
    const [second, third] = [await world.createRun(sha, auto), await world.createRun(sha, auto)];
    expect(await explain(second)).toBeUndefined();
    await sql`update runs set state = 'canceled', ended_at = now() where id = ${holding.id}`.execute(world.db);
    await finished();
    await sql`update runs set state = 'planning', ended_at = null where id = ${holding.id}`.execute(world.db);
    const near = (outlook: unknown, seconds: number) => {
      expect(outlook).toMatchObject({ medianMs: 60_000, runs: 3, startsAt: expect.any(Date) });
      const wait = ((outlook as { startsAt: Date }).startsAt.getTime() - Date.now()) / 1_000;
      expect(Math.abs(wait - seconds)).toBeLessThan(20);
    };
    near(await explain(second), 60);
    near(await explain(third), 120);
    await sql`update run_events set at = at - interval '5 minutes' where run_id = ${holding.id}`.execute(world.db);
    expect(await explain(second)).toMatchObject({ because: 'overdue' });
    await sql`update runs set auto_apply = false where id = ${second.id}`.execute(world.db);
    expect(await explain(third)).toMatchObject({ because: 'people' });
    await world.db.updateTable('workspaces').set({ auto_apply: false }).where('id', '=', world.workspace.id).execute();
  });

  test('of a superseded run links to its successor as soon as that has one', async () => {
    const superseding = { workspace: { ...world.workspace, supersede_pending: true } };
    await planned();
    const old = await world.createRun(await world.push(), superseding);
    await world.report(old);
    const successor = await world.createRun(await world.push(), superseding);
    await world.report(old);
    const shown = () => world.github.checkRuns(world.repo, old.commit_sha).at(-1);
    expect(shown()).toMatchObject({ conclusion: 'cancelled', title: `Superseded by ${successor.id}` });
    expect(shown()?.summary).toContain(`/runs/${successor.id})`);
    await sql`delete from outbox`.execute(world.db);
    await world.report(successor);
    expect(await waiting('run_report')).toContainEqual({ subject: old.id });
    await world.report(old);
    const [check] = world.github.checkRuns(world.repo, successor.commit_sha);
    expect(shown()?.summary).toContain(`/acme/infra/runs/${check?.id})`);
    expect(world.github.checkRuns(world.repo, old.commit_sha)).toHaveLength(1);
  });

  test('of a merge says on which pull request comments reach it', async () => {
    await world.createPullRequest(88, 'head', { state: 'merged', merge_commit_sha: sha });
    const run = await world.createRun(sha);
    await world.report(run);
    expect(world.github.checkRuns(world.repo, sha)[0]?.summary).toContain(
      'To discard it, comment `signalbox discard network` on [#88]',
    );
  });

  test('has output of any length, cut in the middle', async () => {
    const run = await world.createRun(sha);
    await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    for (let sequence = 0; sequence < 20; sequence++) {
      const text = `chunk ${sequence}\n${'line\n'.repeat(4_000)}`;
      await world.db
        .insertInto('outputs')
        .values({ run_id: run.id, stage: 'plan', attempt: 1, sequence, text })
        .execute();
    }
    await world.move(run, 'plan_ready', {}, { columns: summary });
    await world.report(run);
    const text = world.github.checkRuns(world.repo, sha)[0]?.text ?? '';
    expect(text.startsWith('```text\nchunk 0\n')).toBe(true);
    expect(text.endsWith('line\nline\n```\n')).toBe(true);
    const kept = text.split('\n').filter((line) => line === 'line' || line.startsWith('chunk')).length;
    const cut = Number(/… ([\d,]+) lines \(\d+ kB\) left out/.exec(text)?.[1]?.replaceAll(',', ''));
    expect(kept + cut).toBe(20 * 4_001);
  });

  test('of the newest run is what GitHub shows, also when an older one ends later', async () => {
    const older = await world.createRun(sha, { speculative: true, trigger: 'pull_request' });
    await world.move(older, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    await world.report(older);
    const newer = await world.createRun(sha, { speculative: true, trigger: 'rerun' });
    await world.move(newer, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    await world.move(newer, 'plan_finished', {}, { columns: summary });
    await world.report(newer);
    await world.move(older, 'plan_failed', { error: 'Bad' });
    await sql`delete from outbox`.execute(world.db);
    await world.report(older);
    expect(await waiting('run_report')).toEqual([{ subject: newer.id }]);
    await world.report(newer);
    await world.report(newer);
    await world.report(older);
    expect(world.shown(sha).map(([, id, end]) => [id, end])).toEqual([
      [`${older.id}/plan/1`, 'failure'],
      [`${newer.id}/plan/1`, 'success'],
      [`${newer.id}/plan/2`, 'success'],
    ]);
  });
});

describe('when GitHub misbehaves', () => {
  test.each(['lose-answer', 'lose-answer-502'] as const)('%s of a create leaves one check run', async (how) => {
    const run = await planned();
    world.github.misbehave({ route: CREATE, times: 1, how });
    await expect(world.report(run)).rejects.toThrow();
    await world.report(run);
    expect(world.shown(sha)).toHaveLength(1);
    expect(world.writes).toEqual([CREATE]);
    expect(await row(run)).toMatchObject({ completed: true, github_id: expect.any(Number) });
  });

  test('a create that was lost and overtaken by the run is adopted, and followed by the apply', async () => {
    const run = await planned();
    world.github.misbehave({ route: CREATE, times: 1, how: 'lose-answer' });
    await expect(world.report(run)).rejects.toThrow();
    await world.move(run, 'confirmed', { confirmedBy: 'alice' });
    await world.report(run);
    expect(world.shown(sha).map(([, id, end]) => [id, end])).toEqual([
      [`${run.id}/plan/1`, 'action_required'],
      [`${run.id}/apply/1`, 'in_progress'],
    ]);
  });

  test('a completion whose answer was lost is not opened again', async () => {
    const run = await world.createRun(sha);
    await world.report(run);
    await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    await world.move(run, 'plan_ready', {}, { columns: summary });
    world.github.misbehave({ route: UPDATE, times: 1, how: 'lose-answer' });
    await expect(world.report(run)).rejects.toThrow();
    await world.move(run, 'confirmed', { confirmedBy: 'alice' });
    await world.report(run);
    expect(world.shown(sha).map(([, id, end]) => [id, end])).toEqual([
      [`${run.id}/plan/1`, 'action_required'],
      [`${run.id}/apply/1`, 'in_progress'],
    ]);
  });

  test('an error before anything was done is tried again', async () => {
    const run = await planned();
    world.github.misbehave({ route: CREATE, times: 1, how: { status: 502 } });
    await expect(world.report(run)).rejects.toThrow();
    await world.report(run);
    expect(world.shown(sha)).toHaveLength(1);
  });

  test.each(['secondary-rate-limit', 'primary-rate-limit'] as const)('%s: waits as long as asked', async (how) => {
    const run = await planned();
    world.github.misbehave({ route: CREATE, times: 1, how });
    const error = await world.report(run).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(RetryLater);
    expect((error as RetryLater).ms).toBeGreaterThan(0);
    expect((error as RetryLater).ms).toBeLessThanOrEqual(2_000);
    const sent = world.github.requests.length;
    await expect(world.report(run)).rejects.toThrow(RetryLater);
    expect(world.github.requests).toHaveLength(sent);
    await new Promise((resolve) => setTimeout(resolve, (error as RetryLater).ms + 20));
    await world.report(run);
    expect(world.shown(sha)).toHaveLength(1);
  });

  test.each([
    ['403', 78],
    ['404', 78],
    ['422', 6],
  ])('a refusal (%s) is asked for again, ever more rarely, %d times in all', async (status, tries) => {
    const run = await planned();
    world.github.misbehave({ route: CREATE, times: 1, how: { status: Number(status) } });
    await expect(world.report(run)).rejects.toMatchObject({ name: 'RetryRarely', tries });
    await world.report(run);
    expect(world.shown(sha)).toHaveLength(1);
  });

  test('what an installation that is gone can not be told is soon given up', async () => {
    const run = await planned();
    world.handlers = world.reportsWith(PLENTY).handlers;
    await sql`update repositories set installation_id = 4711`.execute(world.db);
    await expect(world.report(run)).rejects.toMatchObject({ name: 'RetryRarely', tries: 6 });
    await sql`update repositories set installation_id = ${world.installation}`.execute(world.db);
  });

  test('a commit that is not there takes one request', async () => {
    const run = await world.createRun('0'.repeat(40));
    await expect(world.report(run)).rejects.toMatchObject({ name: 'RetryRarely', tries: 6 });
    expect(world.shown('0'.repeat(40))).toEqual([]);
    expect(world.github.requests.filter(({ route }) => route === CREATE)).toHaveLength(1);
  });
});

test('progress is paced, the end is not', async () => {
  const run = await world.createRun(sha);
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  await world.move(run, 'plan_approved', { confirmedBy: 'auto-apply' }, { columns: summary });
  await world.move(run, 'apply_started', { worker: 'w' });
  await world.report(run);
  await world.db
    .updateTable('runs')
    .set({ progress: JSON.stringify({ total: 4, applied: 1, failed: 0, inFlight: [] }) })
    .where('id', '=', run.id)
    .execute();
  const error = await world.report(run).catch((reason: unknown) => reason);
  expect((error as RetryLater).ms).toBeGreaterThan(0);
  await sql`update check_runs set tried_at = tried_at - interval '5 s' where run_id = ${run.id}`.execute(world.db);
  await world.report(run);
  expect(world.shown(sha)[0]?.[3]).toBe('1 of 4 applied');
  await world.move(run, 'apply_finished', {});
  await world.report(run);
  expect(world.shown(sha)[0]?.[2]).toBe('success');
});

test('writes stay within the budget of a minute', async () => {
  await sql`delete from github_budgets`.execute(world.db);
  world.handlers = world.reportsWith([{ most: 2, ms: 60_000, progress: 1 }]).handlers;
  const runs = [await planned()];
  for (const run of runs) await world.report(run);
  await world.move(runs[0] as Run, 'discarded', { reason: 'By alice.' });
  await world.report(runs[0] as Run);
  const third = await world.createRun(await world.push());
  const error = await world.report(third).catch((reason: unknown) => reason);
  expect((error as RetryLater).ms).toBeGreaterThan(50_000);
  expect(world.writes).toHaveLength(2);
});

describe('the check run of a head', () => {
  test('sums up, and a head that is planned again gets a new one', async () => {
    const head = await world.push('one');
    await world.createPullRequest(101, head, { affected: null, affected_sha: null });
    await world.reportHead(head);
    expect(world.shown(head)).toEqual([
      ['signalbox', `head/${head}/1`, 'in_progress', 'Looking for affected workspaces'],
    ]);
    await world.db
      .updateTable('pull_requests')
      .set({ affected: [world.workspace.id], affected_sha: head })
      .where('number', '=', 101)
      .execute();
    const plan = await world.createRun(head, { speculative: true, trigger: 'pull_request', pullRequest: 101 });
    await world.move(plan, 'plan_started', { worker: 'w' });
    await world.move(plan, 'plan_finished', {}, { columns: summary });
    await world.reportHead(head);
    expect(world.shown(head).map(([, , end]) => end)).toEqual(['success']);
    await world.createRun(head, { speculative: true, trigger: 'rerun', pullRequest: 101 });
    await world.reportHead(head);
    expect(world.shown(head).map(([, id, end]) => [id, end])).toEqual([
      [`head/${head}/1`, 'success'],
      [`head/${head}/2`, 'in_progress'],
    ]);
    await world.db.updateTable('pull_requests').set({ state: 'closed' }).where('number', '=', 101).execute();
    await world.reportHead(head);
    expect(world.shown(head).map(([, , end]) => end)).toEqual(['success', 'cancelled']);
  });

  test('exists for a merge group that touches nothing', async () => {
    await world.db
      .insertInto('merge_groups')
      .values({ repository_id: world.repo.id, head_sha: sha, base_ref: 'main', affected: [] })
      .execute();
    await world.reportHead(sha);
    expect(world.shown(sha)).toEqual([['signalbox', `head/${sha}/1`, 'success', 'No workspace is affected']]);
  });

  test('does not exist for a commit that heads nothing', async () => {
    await world.reportHead(sha);
    expect(world.writes).toEqual([]);
  });
});

describe('the settings', () => {
  const problems = [{ path: '.github/signalbox.yml', line: 2, message: 'Unknown key.' }];
  const report = (given: typeof problems) =>
    world.handlers.settings_report({ kind: 'settings_report', repository: world.repo.id, sha, problems: given });

  test('of a push are reported when they are wrong, and when they were', async () => {
    await report([]);
    expect(world.writes).toEqual([]);
    await report(problems);
    expect(world.shown(sha)).toEqual([['signalbox/config', `config/${sha}/1`, 'failure', '1 problem']]);
    expect(world.github.checkRuns(world.repo, sha)[0]?.annotations).toHaveLength(1);
    await report([]);
    expect(world.shown(sha).map(([, , end]) => end)).toEqual(['success']);
  });

  test('of a pull request are reported when they are sound, too', async () => {
    await world.createPullRequest(102, sha);
    await report([]);
    expect(world.shown(sha).map(([, , end]) => end)).toEqual(['success']);
  });
});

describe('the comment on a pull request', () => {
  let number: number;
  let head: string;
  let plan: Run;
  beforeEach(async () => {
    const branch = `change-${sha}`;
    head = await world.push(branch);
    const pull = await world.github.as('alice').openPullRequest(world.repo, { head: branch, title: 'A change' });
    number = pull.number;
    await world.createPullRequest(number, head);
    plan = await world.createRun(head, { speculative: true, trigger: 'pull_request', pullRequest: number });
    world.github.requests.length = 0;
  });
  const bodies = () => world.github.comments(world.repo, number).map(({ body }) => body);
  const finish = async () => {
    await world.move(plan, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
    await world.move(plan, 'plan_finished', {}, { columns: summary });
  };

  test('is one, edited in place, and not when it says the same', async () => {
    await world.reportPullRequest(number);
    expect(bodies()).toEqual([expect.stringContaining('Planning')]);
    await finish();
    await world.report(plan);
    expect(await waiting('pull_request_report')).toHaveLength(1);
    await world.reportPullRequest(number);
    await world.reportPullRequest(number);
    expect(bodies()).toEqual([expect.stringContaining('| `network` | 0 | 0 | 1 | 3 |')]);
    const [check] = world.github.checkRuns(world.repo, head);
    expect(bodies()[0]).toContain(`[Planned](${world.github.url}/acme/infra/runs/${check?.id})`);
    expect(world.writes.filter((route) => route === COMMENT || route === EDIT)).toEqual([COMMENT, EDIT]);
  });

  test('is one also when the answer was lost', async () => {
    world.github.misbehave({ route: COMMENT, times: 1, how: 'lose-answer' });
    await expect(world.reportPullRequest(number)).rejects.toThrow();
    await world.reportPullRequest(number);
    expect(bodies()).toHaveLength(1);
  });

  test('is written again when somebody deleted it', async () => {
    await world.reportPullRequest(number);
    const [comment] = world.github.comments(world.repo, number);
    world.repo.comments.delete(comment?.id ?? 0);
    await finish();
    await world.reportPullRequest(number);
    expect(bodies()).toEqual([expect.stringContaining('Planned')]);
  });

  test('is not made where no workspace is affected, but says so where it was', async () => {
    await world.db.updateTable('pull_requests').set({ affected: [] }).where('number', '=', number).execute();
    await world.reportPullRequest(number);
    expect(bodies()).toEqual([]);
    await world.db
      .updateTable('pull_requests')
      .set({ affected: [world.workspace.id] })
      .where('number', '=', number)
      .execute();
    await world.reportPullRequest(number);
    await world.db
      .updateTable('pull_requests')
      .set({ affected: [], comment_tried_at: sql`comment_tried_at - interval '1 min'` })
      .where('number', '=', number)
      .execute();
    await world.reportPullRequest(number);
    expect(bodies()).toEqual([expect.stringContaining('affects no workspace')]);
  });

  test('edits are paced while plans are made', async () => {
    const other = await createWorkspace(world.db, world.repo.id, `app-${number}`);
    const affected = [world.workspace.id, other.id];
    await world.db.updateTable('pull_requests').set({ affected }).where('number', '=', number).execute();
    await world.reportPullRequest(number);
    await finish();
    await expect(world.reportPullRequest(number)).rejects.toThrow(RetryLater);
  });

  test('a command is answered once', async () => {
    const asked = { kind: 'reply' as const, repository: world.repo.id, number, key: '42', body: 'Not yet.' };
    world.github.misbehave({ route: COMMENT, times: 1, how: 'lose-answer' });
    await expect(world.handlers.reply(asked)).rejects.toThrow();
    await world.handlers.reply(asked);
    expect(bodies()).toEqual([expect.stringContaining('Not yet.')]);
  });

  test('a conversation that is locked gets no answer, and nobody insists', async () => {
    const asked = { kind: 'reply' as const, repository: world.repo.id, number, key: '43', body: 'Not yet.' };
    const message = 'Unable to create comment because issue is locked.';
    const refusal = world.github.misbehave({ route: COMMENT, how: { status: 403, message } });
    await world.handlers.reply(asked);
    expect(refusal.met).toBe(1);
    expect(bodies()).toEqual([]);
  });
});

async function row(run: Run) {
  return world.db
    .selectFrom('check_runs')
    .selectAll()
    .where('run_id', '=', run.id)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}
