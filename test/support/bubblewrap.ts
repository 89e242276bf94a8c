import { execFileSync } from 'node:child_process';

/** Whether Terraform can be put in a sandbox here. Suites that need one run when it can, and say so when it can't. */
export const sandboxAvailable = isAvailable();
if (!sandboxAvailable && process.env.CI)
  throw new Error('CI has no bubblewrap that works: suites that need a sandbox would not run.');
if (!sandboxAvailable)
  process.stderr.write('There is no bubblewrap that works: suites that need a sandbox do not run.\n');

function isAvailable(): boolean {
  try {
    execFileSync('bwrap', ['--unshare-user', '--unshare-pid', '--ro-bind', '/', '/', '--proc', '/proc', 'true'], {
      stdio: 'ignore',
    });
    return true;
  } catch {
    return false;
  }
}
