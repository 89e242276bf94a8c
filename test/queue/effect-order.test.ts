import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { RANK } from '../../src/queue/effect-order.js';
import { type Effect, enqueue } from '../../src/queue/outbox.js';
import { planSummary } from '../reports/examples.js';
import { World } from '../reports/world.js';

let world: World;
beforeAll(async () => {
  world = await World.start();
});
afterEach(() => sql`delete from outbox`.execute(world.db));
afterAll(() => world.close());

const ranks = async () => {
  const rows = await world.db.selectFrom('outbox').select(['kind', 'rank', 'repository_id']).execute();
  expect(rows.filter(({ kind }) => kind !== 'job').every((row) => row.repository_id === world.repo.id)).toBe(true);
  return Object.fromEntries(rows.map(({ kind, rank }) => [kind, rank]));
};

test('a report is as urgent as what it will say: every change of a run says so anew', async () => {
  const head = await world.push('change');
  await world.createPullRequest(1, head);
  const run = await world.createRun(head, { speculative: true, trigger: 'pull_request', pullRequest: 1 });
  const { progress, free, final, verdict, summary } = RANK;
  expect(await ranks()).toEqual({
    job: free,
    run_report: progress,
    pull_request_report: progress,
    head_report: progress,
  });
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  expect(await ranks()).toMatchObject({ run_report: progress, head_report: progress });
  await world.move(run, 'plan_finished', {}, { columns: { plan_summary: JSON.stringify(planSummary({ add: 1 })) } });
  expect(await ranks()).toMatchObject({ run_report: final, pull_request_report: summary, head_report: verdict });
});

test('a run that waits for a person is as urgent as one that has ended; one that goes on no longer', async () => {
  const run = await world.createRun(await world.push());
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  await world.move(run, 'plan_ready', {}, { columns: { plan_summary: JSON.stringify(planSummary({ add: 1 })) } });
  expect((await ranks()).run_report).toBe(RANK.final);
  await world.move(run, 'confirmed', { confirmedBy: 'alice' }, { actor: 'alice' });
  expect((await ranks()).run_report).toBe(RANK.progress);
});

test('a sum that was ranked while the last plans ended in one moment is ranked anew with their reports', async () => {
  const head = await world.push('moment');
  await world.createPullRequest(2, head);
  const run = await world.createRun(head, { speculative: true, trigger: 'pull_request', pullRequest: 2 });
  await world.move(run, 'plan_started', { worker: 'w' }, { columns: { attempt: 1 } });
  await world.move(run, 'plan_empty', {});
  await sql`update outbox set rank = ${RANK.progress}`.execute(world.db);
  await world.report(run);
  expect(await ranks()).toMatchObject({ head_report: RANK.verdict, pull_request_report: RANK.summary });
});

test('answers to people come before everything that is written', async () => {
  const repository = world.repo.id;
  const effects: Effect[] = [
    { kind: 'reaction', repository, comment: 1, content: 'eyes' },
    { kind: 'reply', repository, number: 1, key: '1', body: 'No.' },
    { kind: 'settings_report', repository, sha: 'abc', problems: [] },
  ];
  await enqueue(world.db, ...effects);
  expect(await ranks()).toEqual({ reaction: RANK.answer, reply: RANK.answer, settings_report: RANK.summary });
});
