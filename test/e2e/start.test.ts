import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { LocalGitHub } from '../support/github/index.js';
import { environmentFor, freePort, Signalbox } from '../support/signalbox.js';
import { command, lines, onPostgres, pause, processesIn, resource, SETTINGS, World, workspace } from './world.js';

describe('Signalbox does not start', () => {
  let github: LocalGitHub;
  let directory: string;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'signalbox-test-start-'));
    const webhook = { url: 'http://127.0.0.1:1/', secret: 'a secret' };
    github = await LocalGitHub.start({ directory: join(directory, 'github'), webhook });
  });
  afterAll(async () => {
    await github.close();
    await rm(directory, { recursive: true, force: true });
  });

  const start = async (env: Record<string, string>) => {
    const program = fileURLToPath(new URL('../../dist/index.js', import.meta.url));
    const all = {
      ...environmentFor(github),
      DATA_DIR: join(directory, 'data'),
      PORT: String(await freePort()),
      ...env,
    };
    const child = spawn(process.execPath, ['--enable-source-maps', program], { env: all, cwd: directory });
    let stderr = '';
    let stdout = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    const code = await new Promise((resolve) => child.once('close', resolve));
    return { code, stderr: stderr.split('\n').filter(Boolean), stdout };
  };

  test('with wrong variables: one line for each, and exit code 1', async () => {
    const env = {
      WORKER_SLOTS: 'many',
      DATABASE_URL: 'mysql://x',
      LOG_LEVEL: 'loud',
      GHE_HOST: 'https://github.example/',
    };
    const { code, stderr, stdout } = await start(env);
    expect(code).toBe(1);
    expect(stderr.map((line) => line.split(' ')[0]).sort()).toEqual([
      'DATABASE_URL',
      'GHE_HOST',
      'LOG_LEVEL',
      'WORKER_SLOTS',
    ]);
    expect(stdout).toBe('');
  });

  test.each([
    ['without a webhook secret', { WEBHOOK_SECRET: '' }, /^WEBHOOK_SECRET is not set/],
    ['with a key that is none', { PRIVATE_KEY: 'not a key' }, /^PRIVATE_KEY is not a private key/],
    ['with the App but without its key', { PRIVATE_KEY: '' }, /^PRIVATE_KEY is not set/],
    [
      'as a worker without the record',
      { ROLES: 'worker', ENCRYPTION_KEY: 'ab'.repeat(32) },
      /^DATABASE_URL is not set/,
    ],
    ['with an encryption key of the wrong length', { ENCRYPTION_KEY: 'short' }, /^ENCRYPTION_KEY must be 32 bytes/],
    [
      "with a RUN_ENV that would let in the App's secrets",
      { RUN_ENV: 'PRIVATE_*' },
      /^RUN_ENV may not name PRIVATE_\*/,
    ],
  ])('%s', async (_, env, line) => {
    const { code, stderr } = await start(env as Record<string, string>);
    expect(code).toBe(1);
    expect(stderr).toEqual([expect.stringMatching(line)]);
  });
});

describe('With nothing configured but the App', () => {
  test('everything works on the embedded PostgreSQL, and is still there after a restart', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'signalbox-test-embedded-'));
    const port = await freePort();
    const webhook = { url: `http://127.0.0.1:${port}/api/github/webhooks`, secret: 'a secret' };
    const github = await LocalGitHub.start({ directory: join(directory, 'github'), webhook });
    const data = join(directory, 'data');
    let signalbox = await Signalbox.start({ github, dataDirectory: data, port });
    try {
      for (const login of ['root', 'alice']) await github.createUser(login);
      await github.createOrganization('acme', { owners: ['root'] });
      const repo = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
      await repo.setPermission('alice', 'write');
      const alice = github.as('alice');
      const sha = await alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
      const plan = await github.until('the plan', () =>
        github.checkRuns(repo, sha).find(({ conclusion }) => conclusion === 'action_required'),
      );
      expect(await signalbox.stop()).toBe(0);
      expect(await processesIn(data)).toEqual([]);

      const withoutClient = { GITHUB_CLIENT_ID: '', GITHUB_CLIENT_SECRET: '' };
      signalbox = await Signalbox.start({ github, dataDirectory: data, port, env: withoutClient });
      for (const path of ['/', '/runs/run-1', '/auth/login', '/auth/callback?code=x&state=y', '/nowhere']) {
        const answer = await fetch(`http://127.0.0.1:${port}${path}`, { redirect: 'manual' });
        expect([path, answer.status]).toEqual([path, 503]);
        expect(await answer.text()).toContain('GITHUB_CLIENT_ID=…');
      }
      await alice.press(plan, 'apply');
      await github.until('the apply', () =>
        github.checkRuns(repo, sha).find(({ title }) => title === '1 added, 0 changed, 0 destroyed'),
      );
    } finally {
      expect(await signalbox.stop()).toBe(0);
      await github.close();
      const left = await processesIn(directory);
      await rm(directory, { recursive: true, force: true });
      expect({ left, violations: github.violations, reopened: github.reopened }).toEqual({
        left: [],
        violations: [],
        reopened: [],
      });
    }
  });
});

describe('When Signalbox is stopped', () => {
  test('during an apply it waits for it, exits 0, and the run is applied', async () => {
    const world = await World.start(onPostgres);
    try {
      const journal = join(world.directory, 'journal');
      const repo = await world.repository();
      const main = command('slow', `echo begin >> ${journal}; sleep 2; echo end >> ${journal}`);
      const files = { [SETTINGS]: workspace('network', 'auto-apply: true'), 'network/main.tf': main };
      const sha = await world.alice.push(repo, { files });
      await world.until(repo, 'the apply', async () => (await lines(journal)).includes('begin'));
      await pause(100);
      expect(await world.stop()).toEqual([0]);
      expect(await lines(journal)).toEqual(['begin', 'end']);
      expect(await world.query('select state from runs')).toEqual([{ state: 'applied' }]);

      world.processes.splice(0);
      await world.startProcesses();
      const applied = await world.check(repo, { sha, conclusion: 'success' });
      expect(applied.title).toBe('1 added, 0 changed, 0 destroyed');
      const again = await world.alice.push(repo, { files: { 'network/README.md': 'x' } });
      expect((await world.check(repo, { sha: again, conclusion: 'success' })).title).toBe('No changes');
    } finally {
      await world.end();
    }
  });
});

describe('Where there is no Terraform', () => {
  test('and none can be downloaded, a run ends in Plan errored with the cause', async () => {
    const bin = await mkdtemp(join(tmpdir(), 'signalbox-test-path-'));
    await pathWithout('terraform', bin);
    const env = { PATH: bin, TERRAFORM_RELEASES_URL: `http://127.0.0.1:${await freePort()}` };
    const world = await World.start(onPostgres, { env });
    try {
      const repo = await world.repository();
      const sha = await world.alice.push(repo, { files: { 'network/main.tf': resource('a', '1') } });
      const failed = await world.check(repo, { sha, conclusion: 'failure' }, 40_000);
      expect(failed.title).toContain('Plan errored: There is no terraform on the PATH');
      expect(failed.summary).toMatch(/127\.0\.0\.1|download/);
      expect(failed.summary).not.toContain('Something went wrong in Signalbox itself');
    } finally {
      await world.end();
      await rm(bin, { recursive: true, force: true });
    }
  });
});

/** A directory that has what the PATH has of what Signalbox and git need, but not one program. */
async function pathWithout(program: string, directory: string): Promise<void> {
  await mkdir(directory, { recursive: true });
  for (const name of ['git', 'sh', 'env', 'tar', 'gzip', 'unshare'].filter((each) => each !== program)) {
    const found = (process.env.PATH ?? '')
      .split(delimiter)
      .map((path) => join(path, name))
      .find(existsSync);
    if (found) await symlink(found, join(directory, name));
  }
}
