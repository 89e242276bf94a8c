import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { parseExposition, seriesValue } from '../support/exposition.js';
import { apart, command, onPostgres, SETTINGS, World, workspace } from './world.js';

const TOKEN = 'e2e-metrics-token-51c0';

interface Line {
  level: string;
  msg: string;
  [field: string]: unknown;
}

describe('What an operator sees', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(onPostgres, { env: { LOG_LEVEL: 'debug', METRICS_TOKEN: TOKEN } });
  });
  afterAll(() => world.end());

  const metrics = async (authorization = `Bearer ${TOKEN}`): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${world.port}/metrics`, { headers: { authorization } });
    if (!answer.ok) return `${answer.status}`;
    const text = await answer.text();
    parseExposition(text);
    return text;
  };
  const until = (what: string, probe: (text: string) => boolean) =>
    world.github.until(what, async () => probe(await metrics()), 30_000);
  const lines = (pattern: string): Line[] =>
    world.log
      .split('\n')
      .filter((line) => line.includes(pattern))
      .map((line) => JSON.parse(line));

  test('metrics follow a run on its way, and are for whoever has the token', async () => {
    expect(await metrics('Bearer of something else')).toBe('401');
    const of = (text: string, name: string, labels: Record<string, string>) =>
      seriesValue(text, `signalbox_${name}`, labels);
    const before = await metrics();
    expect(of(before, 'runs_ended_total', { state: 'applied', speculative: 'false' })).toBe(0);
    expect(of(before, 'record_up', {})).toBe(1);

    const { alice } = world;
    const repo = await world.repository();
    const files = { [SETTINGS]: workspace('network'), 'network/main.tf': command('work', 'sleep 6') };
    const sha = await alice.push(repo, { files });
    const planned = await world.check(repo, { sha, conclusion: 'action_required' });
    await until('a run that waits for a person', (text) => {
      return of(text, 'runs', { state: 'needs_confirmation', speculative: 'false' }) === 1;
    });
    await alice.press(planned, 'apply');
    await until('a run that applies', (text) => of(text, 'runs', { state: 'applying', speculative: 'false' }) === 1);
    await world.check(repo, { sha, conclusion: 'success' });
    await until('a run that was applied', (text) => {
      return (
        of(text, 'runs_ended_total', { state: 'applied', speculative: 'false' }) === 1 &&
        of(text, 'stage_duration_seconds_count', { stage: 'apply' }) === 1 &&
        of(text, 'stage_duration_seconds_bucket', { stage: 'apply', le: '5' }) === 0 &&
        of(text, 'stage_duration_seconds_count', { stage: 'plan' }) === 1 &&
        (of(text, 'deliveries_total', {}) ?? 0) >= 2
      );
    });
    const after = await metrics();
    expect(after).not.toMatch(/infra-|acme|network/);
    expect(after.length).toBeLessThan(30_000);
  });

  test('a run can be followed through the log, from the webhook to its outcome', async () => {
    const { alice } = world;
    const repo = await world.repository();
    const files = { [SETTINGS]: workspace('network'), 'network/main.tf': command('work', 'true') };
    const sha = await alice.push(repo, { files });
    await alice.press(await world.check(repo, { sha, conclusion: 'action_required' }), 'apply');
    await world.check(repo, { sha, conclusion: 'success' });
    await world.quiet();
    const [row] = await world.query<{ id: string }>('select id from runs where commit_sha = $1', [sha]);
    const run = row?.id ?? '';
    const said = lines(run);
    const created = said.find(({ msg }) => msg === 'Runs created');
    expect(created).toMatchObject({ event: 'push', repository: `acme/${repo.name}`, runs: [run] });
    const delivery = String(created?.delivery);
    expect(lines(delivery).map(({ msg }) => msg)).toEqual([
      'A delivery was recorded',
      'A delivery was handled',
      'Runs created',
    ]);
    const moved = said.find(({ msg }) => msg === 'Run moved');
    expect(moved).toMatchObject({ event: 'check_run', run, what: 'confirmed', state: 'confirmed', actor: 'alice' });
    for (const message of ['plan started', 'apply started'])
      expect(said.find(({ msg }) => msg === message)).toMatchObject({
        run,
        workspace: 'network',
        commit: sha,
        worker: expect.any(String),
      });
    for (const [message, state] of [
      ['plan ended', 'needs_confirmation'],
      ['apply ended', 'applied'],
    ])
      expect(said.find(({ msg }) => msg === message)).toMatchObject({ run, state, ms: expect.any(Number) });
    const delivered = said.filter(({ msg }) => msg === 'An effect was delivered').map(({ kind }) => kind);
    expect(delivered).toEqual(expect.arrayContaining(['job', 'run_report']));
  });
});

describe('An outage of GitHub', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(apart);
  });
  afterAll(() => world.end());

  test('is told in /readyz and in the log: once when it begins and once when it ends', async () => {
    const { alice, github } = world;
    const repos = await Promise.all(Array.from({ length: 3 }, () => world.repository()));
    const files = { [SETTINGS]: workspace('network', 'auto-apply: true'), 'network/main.tf': command('work', 'true') };
    for (const repo of repos) {
      const sha = await alice.push(repo, { files });
      await world.check(repo, { sha, conclusion: 'success' });
    }
    await world.quiet();
    const [web] = world.processes;
    const before = web?.log.length ?? 0;
    github.misbehave({ route: /./, how: { status: 502 } });
    const heads = [];
    for (const repo of repos)
      heads.push(await alice.push(repo, { files: { 'network/other.tf': command('o', 'true') } }));

    const ready = async () => fetch(`http://127.0.0.1:${world.port}/readyz`);
    const told = await github.until(
      'what waits',
      async () => {
        const { waiting } = (await (await ready()).json()) as { waiting: Record<string, { reason: string }> };
        const all = [waiting.github, waiting.deliveries].filter((each) => each !== undefined);
        return all.some(({ reason }) => reason === 'GitHub fails or does not answer') && JSON.stringify(waiting);
      },
      40_000,
    );
    expect(told).not.toMatch(/acme|infra-|network/);
    expect((await ready()).status).toBe(200);

    github.misbehaviours.stop();
    for (const [index, repo] of repos.entries())
      await world.check(repo, { sha: heads[index] ?? '', conclusion: 'success' }, 100_000);
    await world.quiet();
    const said = (web?.log ?? '')
      .slice(before)
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as Line);
    const warnings = said.filter(({ level }) => level === 'warn');
    // At most once for each kind of report and each sort of failure, however many runs and retries meet it.
    expect(warnings.length).toBeGreaterThan(0);
    expect(warnings.length).toBeLessThan(10);
    expect(said.filter(({ level, msg }) => level === 'info' && / again$|is back/.test(String(msg)))).not.toEqual([]);
  }, 240_000);
});
