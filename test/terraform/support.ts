import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { terraformEnvironment } from '../../src/terraform/environment.js';
import { findTerraform } from '../../src/terraform/install.js';
import { readStat } from '../../src/terraform/process-table.js';
import type { StageOptions } from '../../src/terraform/stage.js';

const made: string[] = [];

/** A directory of its own, gone after the test file. */
export function temporaryDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'signalbox-terraform-'));
  made.push(directory);
  return directory;
}

export function removeTemporaryDirectories(): void {
  for (const directory of made.splice(0)) rmSync(directory, { recursive: true, force: true });
}

export function writeFiles(directory: string, files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), text);
  }
}

/** A run's place: a checkout with these files, and what a stage needs beside its own control directory. */
export async function prepare(files: Record<string, string>, environment: Record<string, string> = {}) {
  const run = temporaryDirectory();
  const workspaceDirectory = join(run, 'checkout');
  mkdirSync(workspaceDirectory);
  writeFiles(workspaceDirectory, files);
  mkdirSync(join(run, 'home'));
  mkdirSync(join(run, 'tmp'));
  const terraform = await findTerraform({ path: process.env.PATH ?? '', dataDirectory: join(run, 'data') });
  const built = terraformEnvironment({
    runEnv: [],
    from: { PATH: process.env.PATH },
    home: join(run, 'home'),
    tmp: join(run, 'tmp'),
  });
  const stage = (name: string): StageOptions => ({
    terraform,
    workspaceDirectory,
    controlDirectory: join(run, 'stages', name),
    environment: { ...built.environment, ...environment },
  });
  return { run, workspaceDirectory, stage, planFile: join(run, 'plan') };
}

/** The smallest server that Terraform's `http` backend is content with. */
export async function startStateServer() {
  const seen: string[] = [];
  let state: string | undefined;
  let lock: string | undefined;
  const server = createServer(async (request, response) => {
    let body = '';
    for await (const chunk of request) body += chunk;
    seen.push(`${request.method} ${request.headers.authorization === undefined ? 'anonymous' : 'authorized'}`);
    switch (request.method) {
      case 'GET':
        response.writeHead(state === undefined ? 204 : 200).end(state);
        break;
      case 'POST':
        state = body;
        response.end();
        break;
      case 'LOCK':
        response.writeHead(lock === undefined ? 200 : 423).end(lock);
        lock ??= body;
        break;
      default:
        lock = undefined;
        response.end();
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = `http://127.0.0.1:${(server.address() as AddressInfo).port}/state`;
  return {
    seen,
    state: () => state,
    isLocked: () => lock !== undefined,
    environment: {
      TF_HTTP_ADDRESS: address,
      TF_HTTP_LOCK_ADDRESS: address,
      TF_HTTP_UNLOCK_ADDRESS: address,
      TF_HTTP_USERNAME: 'run',
      TF_HTTP_PASSWORD: 'password',
    },
    stop: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Waits until something holds, for at most ten seconds. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; await sleep(10)) {
    if (await condition()) return;
  }
  throw new Error(`Waited in vain for ${condition}`);
}

export function isRunning(pid: number): boolean {
  const state = readStat(pid)?.state;
  return state !== undefined && state !== 'Z';
}
