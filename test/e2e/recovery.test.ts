import { readdir, readFile, readlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { redisAvailable } from '../support/redis.js';
import { apart, command, lines, onPostgres, onRedis, pause, resource, World, workspace } from './world.js';

const deployment = redisAvailable ? onRedis : apart;

describe(`workers and Terraforms that are killed, ${deployment.name}`, () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(deployment, { env: { SANDBOX: 'off' } });
  });
  afterAll(() => world.end());

  test('an apply goes on while its worker is dead, and is taken up by the next one: nothing of it is lost', async () => {
    const repository = await world.repository();
    const journal = join(world.directory, 'taken-up');
    const long = (name: string) =>
      command(
        name,
        `echo ${name} begun >> ${journal}; sleep 8; echo ${name} ended >> ${journal}; echo said-by-${name}`,
      );
    const sha = await world.alice.push(repository, {
      files: {
        '.github/signalbox.yml': workspace('network', 'auto-apply: true'),
        'network/main.tf': `${resource('before', 'x')}${long('a')}${long('b')}`,
      },
    });
    await world.until(repository, 'both have begun', async () => (await lines(journal)).length === 2);
    await world.kill('workers');
    await pause(1_000);
    const [check] = world.github
      .checkRuns(repository, sha)
      .filter(({ name }) => name === 'signalbox/network')
      .slice(-1);
    expect(check?.status).toBe('in_progress');
    await world.startWorkers();
    const ended = await world.check(repository, {
      sha,
      conclusion: 'success',
      title: '3 added, 0 changed, 0 destroyed',
    });
    expect(ended.text).toMatch(/said-by-a/);
    expect((await lines(journal)).sort()).toEqual(['a begun', 'a ended', 'b begun', 'b ended']);
    const text = await world.outputOf(sha, 'apply');
    for (const said of ['terraform_data.a: Creating...', 'terraform_data.a: Creation complete', 'Apply complete!'])
      expect(text.split(said)).toHaveLength(2);
    const [state] = await world.query('select resources from state_versions order by id desc limit 1');
    expect(state).toEqual({ resources: 3 });
  });

  test('a plan goes on while its worker is dead; one whose Terraform is killed is made again', async () => {
    const repository = await world.repository();
    const slow = await slowServer(4_000);
    const sha = await world.alice.push(repository, {
      files: {
        '.github/signalbox.yml': workspace('network', 'auto-apply: true'),
        'network/main.tf': `data "terraform_remote_state" "slow" {
  backend = "http"
  config  = { address = "${slow.url}" }
}
${resource('a', 'x')}`,
      },
    });
    await world.until(repository, 'it plans', () => slow.asked() === 1);
    await world.kill('workers');
    await pause(200);
    await world.startWorkers();
    await world.check(repository, { sha, conclusion: 'success' });
    expect(slow.asked()).toBe(1);

    const next = await world.alice.push(repository, { files: { 'network/b.tf': resource('b', 'x') } });
    await world.until(repository, 'it plans', () => slow.asked() === 2);
    for (const pid of await terraformsIn(world.directory, 'plan')) process.kill(pid, 'SIGKILL');
    await world.check(repository, { sha: next, conclusion: 'success' });
    const [run] = await world.query('select attempt from runs where commit_sha = $1', [next]);
    expect(run).toEqual({ attempt: 2 });
    await slow.close();
  });

  test('a cancel that was asked for while the worker was dead reaches the Terraform that went on', async () => {
    const repository = await world.repository();
    const journal = join(world.directory, 'canceled');
    const push = { '.github/signalbox.yml': workspace('network'), 'network/main.tf': '' };
    await world.alice.push(repository, { files: push });
    const pull = await world.pullRequest(repository, {
      'network/main.tf': `${resource('first', 'x')}${command('second', `echo begun >> ${journal}; sleep 60; echo ended >> ${journal}`)}`,
    });
    await world.check(repository, { name: 'signalbox/network (plan)', sha: pull.headSha, conclusion: 'success' });
    await world.command(repository, pull, 'apply');
    await world.until(repository, 'it has begun', async () => (await lines(journal)).length === 1);
    await world.kill('workers');
    await world.command(repository, pull, 'cancel');
    await world.startWorkers();
    const ended = await world.check(repository, { sha: pull.headSha, conclusion: 'cancelled' });
    expect(ended.summary).toContain('Terraform was interrupted after 1 of 2 resources; its state is kept.');
    expect(await lines(journal)).toEqual(['begun']);
    expect(await terraformsIn(world.directory)).toEqual([]);
    const [state] = await world.query('select resources from state_versions order by id desc limit 1');
    expect(state).toEqual({ resources: 2 });
  });

  test('a Terraform that is killed while it applies ends the run, with what is known and what was in flight', async () => {
    const repository = await world.repository();
    const journal = join(world.directory, 'killed');
    const sha = await world.alice.push(repository, {
      files: {
        '.github/signalbox.yml': workspace('network', 'auto-apply: true'),
        'network/main.tf': `${resource('first', 'x')}${command('second', `echo begun >> ${journal}; sleep 60`)}`,
      },
    });
    await world.until(repository, 'it has begun', async () => (await lines(journal)).length === 1);
    await pause(1_500);
    const terraforms = await terraformsIn(world.directory);
    expect(terraforms).toHaveLength(1);
    for (const pid of terraforms) process.kill(pid, 'SIGKILL');
    const ended = await world.check(repository, { sha, conclusion: 'failure', title: /^Apply errored after 1 of 2/ });
    expect(ended.summary).toContain('In flight when it ended: `terraform_data.second`');
    expect(ended.summary).toMatch(/not in the saved state: .*`terraform_data.first`/);
    // The state lock that it left keeps nobody out.
    const next = await world.alice.push(repository, { files: { 'network/main.tf': resource('first', 'y') } });
    await world.check(repository, { sha: next, conclusion: 'success' });
  });
});

describe('one process that is killed', () => {
  let world: World;
  beforeAll(async () => {
    world = await World.start(onPostgres, { env: { SANDBOX: 'off' } });
  });
  afterAll(() => world.end());

  test('finds its run again when it is started again', async () => {
    const repository = await world.repository();
    const journal = join(world.directory, 'one');
    const sha = await world.alice.push(repository, {
      files: {
        '.github/signalbox.yml': workspace('network', 'auto-apply: true'),
        'network/main.tf': command('a', `echo begun >> ${journal}; sleep 5; echo ended >> ${journal}`),
      },
    });
    await world.until(repository, 'it has begun', async () => (await lines(journal)).length === 1);
    await world.kill('all');
    await world.startProcesses();
    await world.check(repository, { sha, conclusion: 'success' });
    expect(await lines(journal)).toEqual(['begun', 'ended']);
  });
});

/** Pids of the Terraforms that apply, or plan, below a directory. */
async function terraformsIn(directory: string, subcommand = 'apply'): Promise<number[]> {
  const found: number[] = [];
  for (const entry of await readdir('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    const words = (await readFile(`/proc/${entry}/cmdline`, 'utf8').catch(() => '')).split('\0');
    const cwd = await readlink(`/proc/${entry}/cwd`).catch(() => '');
    if (words[0]?.endsWith('/terraform') && words[1] === subcommand && cwd.startsWith(directory))
      found.push(Number(entry));
  }
  return found;
}

/** Answers as an empty state does, after so many ms. */
async function slowServer(ms: number): Promise<{ url: string; asked: () => number; close: () => Promise<void> }> {
  let asked = 0;
  const server = createServer((_, response) => {
    asked += 1;
    setTimeout(() => response.writeHead(200).end(EMPTY_STATE), ms);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    asked: () => asked,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const EMPTY_STATE = '{"version":4,"terraform_version":"1.11.4","serial":1,"lineage":"l","outputs":{},"resources":[]}';
