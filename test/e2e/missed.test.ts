import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Delivery } from '../support/github/index.js';
import { onPostgres, resource, World, workspaces } from './world.js';

describe('Signalbox is killed, and pushes and pull requests happen while it is away', () => {
  let world: World;

  beforeAll(async () => {
    world = await World.start(onPostgres);
  });
  afterAll(() => world.end());

  test('when it is back, every head has its run, once and in order; redeliveries change nothing', async () => {
    const { alice, github } = world;
    const settings = workspaces(['network', 'app'], 'auto-apply: true');
    const repo = await world.appliedRepository(
      { 'network/main.tf': resource('n', '0'), 'app/main.tf': resource('a', '0') },
      { settings },
    );
    const left = await world.pullRequest(repo, { 'app/main.tf': resource('a', 'left') }, { branch: 'left' });
    await world.check(repo, { name: 'signalbox/app (plan)', sha: left.headSha, conclusion: 'success' });
    const other = await world.appliedRepository({ 'network/main.tf': resource('n', '0') });
    await world.quiet();

    await world.processes[0]?.stop('SIGKILL');
    world.processes.length = 0;
    // GitHub has these on record, as failed.
    const told: string[] = [];
    for (let i = 1; i <= 3; i++) {
      told.push(await alice.push(repo, { files: { 'network/main.tf': resource('n', String(i)) } }));
    }
    const opened = await world.pullRequest(repo, { 'network/main.tf': resource('n', 'pr') }, { branch: 'opened' });
    await alice.close(repo, left.number);
    await github.settled();
    // And of these it knows nothing.
    const lost: Delivery[] = [];
    const loss = github.loseDeliveries((delivery) => lost.push(delivery) > 0, { recorded: false });
    await alice.push(other, { files: { 'network/main.tf': resource('n', '1') } });
    const untold = await alice.push(other, { files: { 'network/main.tf': resource('n', '2') } });
    const unseen = await world.pullRequest(other, { 'network/b.tf': resource('b', '1') }, { branch: 'unseen' });
    loss.stop();

    await world.startProcesses();
    const last = told.at(-1) as string;
    await world.check(repo, { name: 'signalbox/network', sha: last, conclusion: 'success' }, 60_000);
    await world.check(repo, { name: 'signalbox/network (plan)', sha: opened.headSha, conclusion: 'success' }, 60_000);
    await world.check(other, { name: 'signalbox/network', sha: untold, conclusion: 'success' }, 60_000);
    await world.check(other, { name: 'signalbox/network (plan)', sha: unseen.headSha, conclusion: 'success' }, 60_000);
    const states = () =>
      world.query(`select state from pull_requests where repository_id = $1 order by number`, [repo.id]);
    expect(await states()).toEqual([{ state: 'closed' }, { state: 'open' }]);
    await world.quiet();

    const runs = async (id: number) => {
      const rows = await world.query<{ sha: string }>(
        `select commit_sha as sha from runs where repository_id = $1 and trigger = 'push' order by sequence`,
        [id],
      );
      return rows.map(({ sha }) => sha);
    };
    const before = [await runs(repo.id), await runs(other.id)];
    expect(before[0]?.slice(-3)).toEqual(told);
    expect(before[1]?.slice(1)).toEqual([untold]);

    const failed = github.deliveries.filter(({ event, statusCode }) => event === 'push' && statusCode >= 400);
    for (const delivery of [...failed, ...lost].reverse()) github.webhooks.redeliver(delivery);
    await world.quiet();
    expect([await runs(repo.id), await runs(other.id)]).toEqual(before);
  });
});
