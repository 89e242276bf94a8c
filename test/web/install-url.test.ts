import { expect, test } from '@jest/globals';
import type { InstallationOctokit } from '../../src/octokit.js';
import { findInstallUrl } from '../../src/web/install-url.js';

test('where the App is installed is asked for until GitHub has said it, and then no more', async () => {
  let asked = 0;
  const getAuthenticated = async () => {
    asked += 1;
    if (asked === 1) throw new Error('GitHub is away');
    return { data: { html_url: 'https://github.com/apps/signalbox' } };
  };
  const installUrl = findInstallUrl({ rest: { apps: { getAuthenticated } } } as unknown as InstallationOctokit);
  expect(await installUrl()).toBeUndefined();
  expect(await installUrl()).toBe('https://github.com/apps/signalbox/installations/new');
  expect(await installUrl()).toBe('https://github.com/apps/signalbox/installations/new');
  expect(asked).toBe(2);
});
