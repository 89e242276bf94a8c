import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, jest, test } from '@jest/globals';
import { type CheckRun, LocalGitHub } from '../support/github/index.js';
import { freePort, Signalbox } from '../support/signalbox.js';
import { command, processesIn, SETTINGS, workspace } from './world.js';

jest.setTimeout(180_000);

describe('With the PostgreSQL that it brings', () => {
  let directory: string;
  let github: LocalGitHub;
  let signalbox: Signalbox;

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'signalbox-test-embedded-'));
    const port = await freePort();
    const webhook = { url: `http://127.0.0.1:${port}/api/github/webhooks`, secret: 'e2e-webhook-secret-6b1f' };
    github = await LocalGitHub.start({ directory: join(directory, 'github'), webhook });
    for (const login of ['root', 'alice']) await github.createUser(login);
    await github.createOrganization('acme', { owners: ['root'] });
    signalbox = await Signalbox.start({ github, dataDirectory: join(directory, 'data'), port });
  });
  afterAll(async () => {
    expect(await signalbox.stop()).toBe(0);
    await github.close();
    expect(await processesIn(directory)).toEqual([]);
    await rm(directory, { recursive: true, force: true });
  });

  test('an apply goes on while that is killed, twice, and everything is on record and on GitHub afterwards', async () => {
    const repo = await github.createRepository({ owner: 'acme', name: 'infra', private: true });
    await repo.setPermission('alice', 'write');
    const alice = github.as('alice');
    const files = {
      [SETTINGS]: workspace('network', 'auto-apply: true'),
      'network/main.tf': command('slow', 'echo begun; sleep 12; echo ended'),
    };
    const shown = (what: string, wanted: (run: CheckRun) => boolean) =>
      github.until(
        what,
        () => github.checkRuns(repo).find((run) => run.name === 'signalbox/network' && wanted(run)),
        90_000,
      );
    const sha = await alice.push(repo, { files });
    await shown('the apply', ({ status, text }) => status === 'in_progress' && /begun/.test(text ?? ''));
    for (let death = 1; death <= 2; death += 1) {
      const file = join(directory, 'data', 'postgres', 'data', 'postmaster.pid');
      const before = await readFile(file, 'utf8');
      process.kill(Number.parseInt(before, 10), 'SIGKILL');
      await github.until(
        'another server',
        async () => {
          const now = await readFile(file, 'utf8').catch(() => before);
          return now !== before && (await fetch(`${signalbox.url}/readyz`)).ok;
        },
        60_000,
      );
    }
    const applied = await shown('its end', ({ headSha, conclusion }) => headSha === sha && conclusion === 'success');
    expect(applied.title).toBe('1 added, 0 changed, 0 destroyed');
    expect(applied.text).toMatch(/begun[\s\S]+ended/);

    const next = await alice.push(repo, { files: { 'network/main.tf': command('slow', 'true') } });
    await shown('the next run', ({ headSha, conclusion }) => headSha === next && conclusion === 'success');
    expect(signalbox.log.match(/The embedded PostgreSQL runs again/g)).toHaveLength(2);
  });
});
