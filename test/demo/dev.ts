import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { environmentFor, freePort } from '../support/signalbox.js';
import { instructions } from './by-hand.js';
import { serveControls } from './controls.js';
import { Interrupted, interruption } from './interruption.js';
import { pushSample } from './place.js';
import { paint, print } from './terminal.js';
import { World } from './world.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));

/** Signalbox from source, against a local GitHub with a sample repository. It starts again whenever its source changes. */
async function main(): Promise<number> {
  const interrupted = interruption();
  const world = await World.create();
  let signalbox: ChildProcess | undefined;
  try {
    const port = Number(process.env.PORT) || (await freePort());
    const place = await world.openGitHub(port);
    signalbox = watchSource(port, { ...environmentFor(place.github), DATA_DIR: join(world.directory, 'data') });
    const ended = once(signalbox, 'exit').then(() => Promise.reject(new Error('Signalbox ended')));
    await Promise.race([interrupted, ended, untilReady(port)]);
    await pushSample(place);
    print(`\n${paint('bold', `Signalbox is on http://localhost:${port} and starts again when src changes`)}\n`);
    print(
      [
        ...instructions(place, await serveControls(place), port),
        `Ctrl-C stops it and removes ${world.directory}.`,
      ].join('\n'),
    );
    await Promise.race([interrupted, ended]);
    return 0;
  } catch (error) {
    if (!(error instanceof Interrupted)) throw error;
    return error.exitCode;
  } finally {
    await stop(signalbox);
    await world.close();
  }
}

/** Its data directory stays from one start to the next. */
function watchSource(port: number, env: Record<string, string>): ChildProcess {
  const tsx = fileURLToPath(import.meta.resolve('tsx/cli'));
  return spawn(process.execPath, [tsx, 'watch', '--clear-screen=false', 'src/index.ts'], {
    cwd: ROOT,
    env: {
      ...env,
      PORT: String(port),
      HOST: '127.0.0.1',
      LOG_FORMAT: 'pretty',
      LOG_LEVEL: process.env.LOG_LEVEL ?? 'debug',
    },
    stdio: ['ignore', 'inherit', 'inherit'],
    detached: true, // a terminal's Ctrl-C is for us, who stop it in order
  });
}

async function untilReady(port: number): Promise<void> {
  while (!(await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined))?.ok) await sleep(100);
}

async function stop(signalbox: ChildProcess | undefined): Promise<void> {
  if (!signalbox || signalbox.exitCode !== null || signalbox.signalCode !== null) return;
  const exited = once(signalbox, 'exit');
  signalbox.kill('SIGTERM');
  await exited;
}

process.exit(await main());
