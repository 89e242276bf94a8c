import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect, test } from '@jest/globals';
import { redisAvailable } from '../support/redis.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const PROGRAM = fileURLToPath(new URL('chaos.ts', import.meta.url));

/** A machine that does something else too takes its time, and coming to rest may take minutes. */
const LIMIT_MS = 8 * 60_000;

/** A day so short that it can be lived in every test run. Longer ones are `npm run chaos`. */
test(
  'A short day on which everything dies once in a while leaves nothing wrong',
  async () => {
    const backend = redisAvailable ? 'redis' : 'postgres';

    const day = ['--seed', '7', '--minutes', '0.5', '--every', '4', '--backend', backend];
    const { code, output } = await chaos(...day);
    expect(`${output}exit code ${code}`).toMatch(/✓ Everything is as it must be\.\nexit code 0$/);
  },
  LIMIT_MS,
);

test('Arguments that make no sense are refused in a line, with the usage', async () => {
  const { code, output } = await chaos('--seed', 'x');
  expect(code).toBe(2);
  expect(output).toMatch(/^--seed must be a number from 0 to 4294967295\.\n\nnpm run chaos -- /);
});

async function chaos(...args: string[]): Promise<{ code: number | null; output: string }> {
  // Not through Jest's own loader: the killer is a process of its own too.
  const child = spawn(process.execPath, ['--import', 'tsx', PROGRAM, ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, HOME: process.env.HOME },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const impatience = setTimeout(() => child.kill('SIGTERM'), LIMIT_MS - 30_000);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearTimeout(impatience);
  return { code, output };
}
