import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { command, deployments, lines, SETTINGS, World, workspace, workspaces } from './world.js';

const SLOTS = 3;

describe.each(deployments)('The queue, $name', (deployment) => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(deployment, { env: { WORKER_SLOTS: String(SLOTS) } });
  });
  afterAll(() => world.end());

  test('takes ten pushes in a row in order, each on its own commit, and never two at once', async () => {
    const { alice, github } = world;
    const journal = join(world.directory, 'journal');
    const work = (n: number) => ({
      'network/main.tf': command(
        'work',
        `mkdir ${journal}.lock || echo clash >> ${journal}; echo begin ${n} >> ${journal}; sleep 0.1; echo end ${n} >> ${journal}; rmdir ${journal}.lock`,
        String(n),
      ),
    });
    const repo = await world.repository();
    const commits: string[] = [];
    for (let n = 1; n <= 10; n++) {
      const settings = n === 1 ? { [SETTINGS]: workspace('network', 'auto-apply: true') } : {};
      commits.push(await alice.push(repo, { message: `Push ${n}`, files: { ...work(n), ...settings } }));
    }
    for (const sha of commits) await world.check(repo, { sha, conclusion: 'success' }, 40_000);
    expect(await lines(journal)).toEqual(
      Array.from({ length: 10 }, (_, index) => [`begin ${index + 1}`, `end ${index + 1}`]).flat(),
    );
    const runs = await world.query<{ commit_sha: string; state: string }>(
      'select commit_sha, state from runs where repository_id = $1 order by sequence',
      [repo.id],
    );
    expect(runs).toEqual(commits.map((commit_sha) => ({ commit_sha, state: 'applied' })));
    expect(github.checkRuns(repo).every(({ status }) => status === 'completed')).toBe(true);
  });

  test('works on no more runs at once than a worker has slots', async () => {
    const journal = join(world.directory, 'journal-of-many');
    const names = Array.from({ length: 20 }, (_, index) => `w${String(index + 1).padStart(2, '0')}`);
    // The first wait for company: of three that are at it at once, two have the same worker.
    const company = `for i in $(seq 300); do [ $(grep -c begin ${journal}) -ge 3 ] && break; sleep 0.1; done`;
    const script = (name: string) =>
      `echo begin ${name} $PWD >> ${journal}; ${company}; sleep 0.3; echo end ${name} $PWD >> ${journal}`;
    const files = Object.fromEntries(names.map((name) => [`${name}/main.tf`, command('work', script(name))]));
    const repo = await world.repository();
    const settings = workspaces(names, 'auto-apply: true');
    const sha = await world.alice.push(repo, { files: { ...files, [SETTINGS]: settings } });
    for (const name of names) {
      await world.check(repo, { name: `signalbox/${name}`, sha, conclusion: 'success' });
    }
    const written = await lines(journal);
    expect(written).toHaveLength(40);
    const most = world.workerDirectories.map((directory) => {
      let now = 0;
      let most = 0;
      for (const line of written.filter((each) => each.includes(` ${directory}/`))) {
        now += line.startsWith('begin') ? 1 : -1;
        most = Math.max(most, now);
      }
      return most;
    });
    expect(Math.max(...most)).toBeLessThanOrEqual(SLOTS);
    // Each worker had a share of the work, and slots are used at once.
    expect(Math.min(...most)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...most)).toBeGreaterThan(1);
  });
});
