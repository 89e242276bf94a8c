import { execFileSync } from 'node:child_process';
import { appendFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';
import { init } from '../../src/terraform/init.js';
import { fingerprintResolved } from '../../src/terraform/modules.js';
import { prepare, removeTemporaryDirectories, temporaryDirectory, writeFiles } from './support.js';

afterAll(removeTemporaryDirectories);

function git(directory: string, ...args: string[]): void {
  const env = { PATH: process.env.PATH, HOME: directory, GIT_CONFIG_NOSYSTEM: '1' };
  execFileSync('git', ['-c', 'user.name=a', '-c', 'user.email=a@b.c', ...args], {
    cwd: directory,
    env,
    stdio: 'ignore',
  });
}

test('what init resolved has the same fingerprint in every checkout, and another one when a remote module changes', async () => {
  const remote = temporaryDirectory();
  writeFiles(remote, { 'vpc/main.tf': 'module "part" {\n  source = "./part"\n}\n', 'vpc/part/main.tf': 'locals {}\n' });
  git(remote, 'init');
  git(remote, 'add', '.');
  git(remote, 'commit', '-m', 'first');
  const files = {
    'main.tf': `module "remote" {\n  source = "git::file://${remote}//vpc"\n}\nmodule "local" {\n  source = "./local"\n}\n`,
    'local/main.tf': 'locals {}\n',
  };
  const resolve = async () => {
    const { stage, workspaceDirectory } = await prepare(files);
    expect((await init(stage('init'))).diagnostics).toEqual([]);
    return { resolved: await fingerprintResolved(workspaceDirectory), workspaceDirectory };
  };

  const { resolved: first, workspaceDirectory } = await resolve();
  expect(first).toEqual({ modules: { remote: expect.stringMatching(/^[0-9a-f]{64}$/) } });
  expect((await resolve()).resolved).toEqual(first);

  appendFileSync(join(workspaceDirectory, 'local/main.tf'), '# changed');
  expect(await fingerprintResolved(workspaceDirectory)).toEqual(first);
  writeFileSync(join(workspaceDirectory, '.terraform.lock.hcl'), '# locks');
  expect(await fingerprintResolved(workspaceDirectory)).toEqual({
    ...first,
    lockFile: expect.stringMatching(/^[0-9a-f]{64}$/),
  });

  appendFileSync(join(remote, 'vpc/part/main.tf'), '# changed');
  git(remote, 'commit', '-am', 'second');
  expect((await resolve()).resolved.modules.remote).not.toBe(first.modules.remote);
});

test('a directory without modules has no fingerprints', async () => {
  expect(await fingerprintResolved(temporaryDirectory())).toEqual({ modules: {} });
});
