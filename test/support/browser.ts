import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { type Browser, chromium } from 'playwright-core';

const NAMES = ['chromium', 'chromium-browser', 'google-chrome'];
const executable = findChromium();

/** Whether there is a Chromium on the PATH. Suites that look at pages run when there is, and say so when there isn't. */
export const browserAvailable = executable !== undefined;
if (!browserAvailable && process.env.CI)
  throw new Error('CI has no chromium on its PATH: suites that look at pages would not run.');
if (!browserAvailable)
  process.stderr.write('There is no chromium on the PATH: suites that look at pages do not run.\n');

export async function startBrowser(): Promise<Browser> {
  if (executable === undefined) throw new Error('There is no chromium on the PATH.');
  // Its own sandbox needs rights that containers and root don't have; pages here are our own.
  return chromium.launch({ executablePath: executable, args: ['--no-sandbox'] });
}

function findChromium(): string | undefined {
  const directories = (process.env.PATH ?? '').split(delimiter);
  return NAMES.flatMap((name) => directories.map((directory) => join(directory, name))).find(existsSync);
}
