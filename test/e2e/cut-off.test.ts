import { join } from 'node:path';
import { redisAvailable } from '../support/redis.js';
import { command, type Deployment, lines, resource, World, workspace } from './world.js';

const deployment: Deployment = { name: 'two hosts', redis: redisAvailable, workers: 2 };

describe('a host that is cut off in the middle of an apply', () => {
  let world: World;
  beforeAll(async () => {
    const env = { SANDBOX: 'off', WORKER_LOST_AFTER: '6s', WORKER_SLOTS: '1' };
    world = await World.start(deployment, { env, gates: true });
    // What its Terraform left behind is nobody's to take in any more: it is kept there, and told of.
    world.expectedErrors.push(/StateRevoked.*could not be taken in/);
  });
  afterAll(() => world.end());

  test('writes no state from then on, its workspace is held and says why, and goes on when an admin unlocks it', async () => {
    const repository = await world.repository();
    const journal = join(world.directory, 'cut-off');
    const step = (name: string, after: string, seconds: number) =>
      command(name, `echo ${name} >> ${journal}; sleep ${seconds}`).replace('{\n', `{\n  depends_on = [${after}]\n`);
    const sha = await world.alice.push(repository, {
      files: {
        '.github/signalbox.yml': workspace('network', 'auto-apply: true'),
        'network/main.tf': [
          resource('first', 'x'),
          step('second', 'terraform_data.first', 22),
          step('third', 'terraform_data.second', 3),
          step('fourth', 'terraform_data.third', 60),
        ].join(''),
      },
    });
    await world.until(repository, 'it applies', async () => (await lines(journal)).length === 1);
    await world.until(repository, 'that is on record', async () => {
      return (await world.query(`select 1 from runs where progress::text like '%terraform_data.second%'`)).length > 0;
    });
    const [run] = await world.query<{ id: string; worker: string }>('select id, worker from runs');
    const gate = world.gates[run?.worker === 'worker-1' ? 0 : 1];
    gate?.hang();

    const lost = await world.check(repository, { sha, conclusion: 'failure', title: /^Apply errored/ });
    expect(lost.summary).toContain(`Worker ${run?.worker} was lost while it applied`);
    expect(lost.summary).toContain('In flight when it ended: `terraform_data.second`');
    const states = async () =>
      (await world.query('select id, serial, resources from state_versions order by id')).length;
    const before = await states();

    const next = await world.alice.push(repository, { files: { 'network/main.tf': resource('first', 'y') } });
    const waiting = await world.check(repository, {
      sha: next,
      status: 'queued',
      where: ({ summary }) => /locked/i.test(summary ?? ''),
    });
    expect(waiting.summary).toContain(run?.worker);

    // Its Terraform has gone on all the while, and has saved what it could to nobody but its own worker.
    await world.until(repository, 'it went on alone', async () => (await lines(journal)).includes('fourth'), 60_000);
    await gate?.goAway();
    await gate?.comeBack();
    await world.until(repository, 'it is back', async () => {
      const events = await world.query(`select 1 from run_events where run_id = $1 and type = 'handed_in'`, [run?.id]);
      return events.length > 0;
    });
    expect(await lines(journal)).toEqual(['second', 'third', 'fourth']);
    expect(await states()).toBe(before);

    const root = world.github.as('root');
    const pull = await world.pullRequest(repository, { 'README.md': 'A place to talk.' });
    await world.command(repository, pull, 'unlock network', { by: root });
    await world.check(repository, { sha: next, conclusion: 'success' });
    expect(await states()).toBeGreaterThan(before);
  });
});
