import { gunzipSync, inflateRawSync, inflateSync } from 'node:zlib';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { deployments, resource, SETTINGS, World, workspace, workspaces } from './world.js';

describe.each(deployments)('A push, $name', (deployment) => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(deployment);
  });
  afterAll(() => world.end());

  test('is planned, waits for a person, and is applied by the Apply button', async () => {
    const { alice } = world;
    const repo = await world.repository();
    const sha = await alice.push(repo, { files: { 'network/main.tf': resource('a', 'hello') } });

    const plan = await world.check(repo, { sha, conclusion: 'action_required' });
    expect(plan.title).toBe('1 to add, 0 to change, 0 to destroy');
    expect(plan.actions.map(({ label }) => label)).toEqual(['Apply', 'Discard']);
    expect(plan.text).toContain('+ input  = "hello"');

    await alice.press(plan, 'apply');
    const applied = await world.check(repo, { sha, conclusion: 'success' });
    expect(applied.title).toBe('1 added, 0 changed, 0 destroyed');
    expect(applied.summary).toContain('Confirmed by alice');
    expect(applied.actions).toEqual([]);
    expect(applied.id).not.toBe(plan.id);
  });

  test('of what is applied already says No changes, and neither state nor plan can be read in the database', async () => {
    const planted = 'planted-4f81c2d9';
    const repo = await world.appliedRepository({ 'network/main.tf': resource('a', planted) });
    const again = await world.alice.push(repo, { files: { 'network/README.md': 'Nothing that Terraform reads.' } });
    const run = await world.check(repo, { sha: again, conclusion: 'success' });
    expect(run.title).toBe('No changes');

    await world.quiet();
    const tables = await world.query<{ name: string }>(
      `select quote_ident(table_schema) || '.' || quote_ident(table_name) as name from information_schema.tables
        where table_type = 'BASE TABLE' and table_schema not in ('pg_catalog', 'information_schema')`,
    );
    const holding: string[] = [];
    for (const { name } of tables) {
      for (const row of await world.query(`select * from ${name}`)) {
        const readable = Object.values(row).flatMap((value) =>
          Buffer.isBuffer(value) ? unpacked(value) : [text(value)],
        );
        if (readable.some((bytes) => bytes.includes(planted))) holding.push(name);
      }
    }
    // What Terraform printed is kept to be shown: it is what the check runs show.
    expect([...new Set(holding)]).toEqual(['public.outputs']);
    const [kept] = await world.query<{ plans: number; states: number }>(
      'select (select count(*)::int from plans) plans, (select count(*)::int from state_versions) states',
    );
    expect(kept?.plans).toBeGreaterThan(0);
    expect(kept?.states).toBeGreaterThan(0);
  });

  test('is dropped by the Discard button, and the next one goes on', async () => {
    const { alice, carol } = world;
    const repo = await world.repository();
    const first = await alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
    const plan = await world.check(repo, { sha: first, conclusion: 'action_required' });
    const second = await alice.push(repo, { files: { 'network/main.tf': resource('a', '2') } });
    await world.check(repo, { sha: second, status: 'queued', title: /^Waiting for run-\w+ \(needs confirmation\)/i });

    await carol.press(plan, 'discard');
    const discarded = await world.check(repo, { sha: first, conclusion: 'cancelled' });
    expect(discarded.title).toBe('Discarded');
    expect(discarded.summary).toContain('By carol.');
    const next = await world.check(repo, { sha: second, conclusion: 'action_required' });
    expect(next.text).toContain('+ input  = "2"');
    expect(next.title).toBe('1 to add, 0 to change, 0 to destroy');
  });

  test('to a workspace with auto-apply is applied by itself', async () => {
    const repo = await world.repository();
    const files = { [SETTINGS]: workspace('network', 'auto-apply: true'), 'network/main.tf': resource('a', '1') };
    const sha = await world.alice.push(repo, { files });
    const applied = await world.check(repo, { sha, conclusion: 'success' });
    expect(applied.title).toBe('1 added, 0 changed, 0 destroyed');
    expect(applied.summary).toContain('Confirmed by auto-apply.');
  });

  test('queues a run in each workspace that it touches, and in no other', async () => {
    const { alice } = world;
    const names = ['network', 'app', 'data'];
    const settings = workspaces(names, 'auto-apply: true');
    const repo = await world.repository();
    const files = Object.fromEntries(names.map((name) => [`${name}/main.tf`, resource('a', name)]));
    const first = await alice.push(repo, { files: { ...files, [SETTINGS]: settings } });
    for (const name of names) await world.check(repo, { name: `signalbox/${name}`, sha: first, conclusion: 'success' });

    const both = await alice.push(repo, {
      files: { 'app/main.tf': resource('a', 'x'), 'data/main.tf': resource('a', 'x') },
    });
    await world.check(repo, { name: 'signalbox/app', sha: both, conclusion: 'success' });
    await world.check(repo, { name: 'signalbox/data', sha: both, conclusion: 'success' });
    const none = await alice.push(repo, { files: { 'README.md': 'About this.', 'scripts/x.sh': 'true' } });
    const branch = await alice.push(repo, { branch: 'feature', files: { 'app/main.tf': resource('a', 'y') } });
    await world.quiet();
    expect(world.shown(repo, both).sort()).toEqual([
      'signalbox/app: 0 added, 1 changed, 0 destroyed',
      'signalbox/data: 0 added, 1 changed, 0 destroyed',
    ]);
    expect(world.shown(repo, none)).toEqual([]);
    expect(world.shown(repo, branch)).toEqual([]);
  });

  test('by somebody who then has no write access any more is not theirs to apply', async () => {
    const { alice, bob } = world;
    const repo = await world.repository();
    const sha = await alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
    const plan = await world.check(repo, { sha, conclusion: 'action_required' });
    await bob.press(plan, 'apply');
    await bob.press(plan, 'discard');
    const refused = await world.check(repo, {
      sha,
      where: ({ summary }) => (summary?.match(/, bob: /g) ?? []).length === 2,
    });
    expect(refused.summary).toContain('Only people with write access');
    expect(refused.conclusion).toBe('action_required');
    await alice.press(refused, 'apply');
    const applied = await world.check(repo, { sha, conclusion: 'success' });
    expect(applied.summary).toContain('Confirmed by alice.');
  });
});

/** What somebody who has the bytes could make of them without a key. */
function unpacked(bytes: Buffer): string[] {
  const ways = [() => bytes, () => gunzipSync(bytes), () => inflateSync(bytes), () => inflateRawSync(bytes)];
  return ways.flatMap((way) => {
    try {
      return [way().toString('latin1')];
    } catch {
      return [];
    }
  });
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
