import { spawn } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { reviewedPlan } from '../../src/runs/reviewed-plan.js';
import { apply } from '../../src/terraform/apply.js';
import { plan } from '../../src/terraform/plan.js';
import { adoptProcess } from '../../src/terraform/process.js';
import { identify, isAlive, readStat } from '../../src/terraform/process-table.js';
import { Sandbox, SandboxUnavailableError } from '../../src/terraform/sandbox.js';
import { readStateSummary } from '../../src/terraform/state-file.js';
import { sandboxAvailable } from '../support/bubblewrap.js';
import {
  confinedPlace,
  endSecrets,
  isBounded,
  localExec,
  lookAround,
  makeExecutable,
  planted,
  providerFiles,
  startSecretive,
} from './sandbox-place.js';
import { isRunning, removeTemporaryDirectories, startStateServer, temporaryDirectory, until } from './support.js';

afterAll(removeTemporaryDirectories);

let server: Awaited<ReturnType<typeof startStateServer>>;
beforeEach(async () => {
  server = await startStateServer();
});
afterEach(async () => {
  endSecrets();
  await server.stop();
});

const FOR_ALL = ['app-env', 'environ', 'key', 'mirror', 'other-run', 'snapshot'].map(planted);
const read = (path: string) => readFileSync(path, 'utf8');

/** Checkout, init and plan of one resource that runs a script when it is applied. */
async function planned(script: string, options: Parameters<typeof confinedPlace>[1] = {}) {
  const place = await confinedPlace({ 'main.tf': localExec(script) }, { environment: server.environment, ...options });
  expect(await place.init()).toMatchObject({ outcome: 'initialised', diagnostics: [] });
  expect(await place.plan()).toMatchObject({ outcome: 'changes', diagnostics: [] });
  return place;
}

const suite = sandboxAvailable ? describe : describe.skip;

suite('in the sandbox', () => {
  test('a local-exec finds no secret, where without it each of them is found', async () => {
    startSecretive();
    const { apply, run, workspaceDirectory } = await planned(lookAround('found'));
    const outside = spawn('sh', ['-c', lookAround(join(run, 'outside'), run)], { stdio: 'ignore' });
    await new Promise((resolve) => outside.once('exit', resolve));
    expect(read(join(run, 'outside')).split('\n')).toEqual(expect.arrayContaining(FOR_ALL));

    expect(await apply()).toMatchObject({ outcome: 'applied', survivors: [] });
    // Those it sees are the sandbox's first process, Terraform and itself.
    expect(read(join(workspaceDirectory, 'found'))).toMatch(/^looked at [3-6]\n$/);
    expect(readStateSummary(server.state() ?? '').resources).toBe(1);
  });

  test.each(['example.com/acme/spy', 'registry.terraform.io/hashicorp/external'])(
    'neither does a provider (%s), which runs while it plans',
    async (source) => {
      startSecretive();
      const type = source.split('/').at(-1);
      const files = {
        ...providerFiles(source, `${lookAround('/tmp/found')} cp /tmp/found found.$$\n`),
        'main.tf': `data "${type}" "look" {\n  program = ["sh"]\n}\n`,
      };
      const place = await confinedPlace(files, { environment: server.environment });
      makeExecutable(place.workspaceDirectory, source);
      expect(await place.init()).toMatchObject({ outcome: 'initialised' });
      expect(await place.plan()).toMatchObject({ outcome: 'errored' });
      const found = readdirSync(place.workspaceDirectory).filter((name) => name.startsWith('found.'));
      expect(found.length).toBeGreaterThan(0);
      for (const name of found) expect(read(join(place.workspaceDirectory, name))).toMatch(/^looked at \d+\n$/);
    },
  );

  test('nothing outside of its directory can be written, and links out of it lead nowhere', async () => {
    const script = `
      for place in /usr /etc / /proc/sys/kernel "$DATA" "$DATA/stages"; do (echo x >"$place/written") 2>/dev/null && echo "$place" >>wrote; done
      (: >>/proc/sys/kernel/core_pattern) 2>/dev/null && echo core_pattern >>wrote
      cat link >through 2>/dev/null; (echo x >"$DATA/plan") 2>/dev/null && echo plan >>wrote
      touch done`;
    const data = temporaryDirectory();
    const place = await planned(script.replaceAll('$DATA', data), {});
    symlinkSync(join(place.run, 'encryption-key'), join(place.workspaceDirectory, 'link'));
    expect(await place.apply()).toMatchObject({ outcome: 'applied' });
    const here = readdirSync(place.workspaceDirectory);
    expect(here).toContain('done');
    expect(here).not.toContain('wrote');
    expect(read(join(place.workspaceDirectory, 'through'))).toBe('');
    expect(readdirSync(data)).toEqual([]);
  });

  test('files that variables name can be read, but never those of the data directory or the key of the App', async () => {
    const elsewhere = temporaryDirectory();
    const files = Object.fromEntries(['credentials', 'key', 'tool'].map((name) => [name, join(elsewhere, name)]));
    for (const [name, path] of Object.entries(files)) writeFileSync(path, planted(name));
    const { credentials = '', key = '', tool = '' } = files;
    const script = `
      for path in ${credentials} ${key} ${tool} "$DATA_FILE" "$KEY_LINK"; do cat "$path"; echo; done >seen 2>/dev/null
      (echo x >>${credentials}) 2>/dev/null && echo wrote >>seen; true`;
    const link = join(elsewhere, 'link');
    symlinkSync(key, link);
    const place = await planned(script, {
      environment: {
        ...server.environment,
        GOOGLE_APPLICATION_CREDENTIALS: credentials,
        KEY: key,
        KEY_LINK: link,
        LISTED: `${credentials}:/no/such/file`,
        DATA_FILE: join(temporaryDirectory(), 'x'),
      },
      secretFiles: [key],
      paths: [{ path: tool, writable: false }],
    });
    expect(await place.apply()).toMatchObject({ outcome: 'applied' });
    expect(read(join(place.workspaceDirectory, 'seen')).split('\n').filter(Boolean)).toEqual([
      planted('credentials'),
      planted('tool'),
    ]);
  });

  test('what the operator shows of a directory leaves out the data directory and the key in it', async () => {
    const shown = temporaryDirectory();
    const key = join(shown, 'app.pem');
    writeFileSync(key, planted('pem'));
    writeFileSync(join(shown, 'tool'), 'a tool');
    const script = `cat ${shown}/tool ${key} >seen 2>/dev/null; echo journal >>${shown}/journal`;
    const place = await planned(script, { secretFiles: [key], paths: [{ path: shown, writable: true }] });
    expect(await place.apply()).toMatchObject({ outcome: 'applied' });
    expect(read(join(place.workspaceDirectory, 'seen'))).toBe('a tool');
    expect(read(join(shown, 'journal'))).toBe('journal\n');
  });

  test('a plan is the same as without, so approvals are bound to the same digest', async () => {
    const main = `${localExec('true')}output "where" {\n  value = abspath(path.root)\n}\n`;
    const place = await confinedPlace({ 'main.tf': main }, { environment: server.environment });
    await place.init();
    const inside = await place.plan();
    const { enclose: _, ...bare } = place.stage('plan', 'bare');
    const outside = await plan({ ...bare, planFile: `${place.planFile}-bare` });
    const digests = [inside, outside].map((result) => {
      if (result.outcome !== 'changes') throw new Error(result.outcome);
      const parts = { moduleHashes: { '.': 'tree' }, lockFileHash: undefined, variables: {}, key: Buffer.alloc(32) };
      return reviewedPlan({ ...parts, plan: result.plan, workingDirectory: place.workspaceDirectory }).digest;
    });
    expect(digests[0]).toBe(digests[1]);
  });
});

/** Leaves a child in its own session with an emptied environment, where nothing but the sandbox holds it. */
const SECONDS = `3141.${process.pid}`;
const HIDING = `(setsid env -i sh -c "sleep ${SECONDS} & sleep ${SECONDS}" >/dev/null 2>&1 &);`;
const hidden = () =>
  readdirSync('/proc').filter((name) => {
    try {
      return isRunning(Number(name)) && read(`/proc/${name}/cmdline`) === `sleep\0${SECONDS}\0`;
    } catch {
      return false;
    }
  });

suite('through the sandbox', () => {
  async function applying(script: string) {
    const place = await planned(script);
    const interrupt = new AbortController();
    const kill = new AbortController();
    const release = new AbortController();
    const signals = { interrupt: interrupt.signal, kill: kill.signal, release: release.signal };
    const result = place.apply(signals);
    await until(() => existsSync(join(place.workspaceDirectory, 'begun')));
    const control = join(place.run, 'stages/apply');
    return { place, result, interrupt, kill, release, control };
  }

  test('SIGINT reaches Terraform, which saves its state; nothing is left, however well it hides', async () => {
    const { result, interrupt, control } = await applying(`${HIDING} touch begun; sleep 302`);
    await until(() => hidden().length > 0);
    interrupt.abort();
    expect(await result).toMatchObject({ outcome: 'interrupted', exitCode: 1, survivors: [] });
    expect(readStateSummary(server.state() ?? '').resources).toBe(1);
    expect(server.isLocked()).toBe(false);
    expect(hidden()).toEqual([]);
    expect(isAlive(JSON.parse(read(join(control, 'sandbox.json'))))).toBe(false);
  });

  test('force-cancel ends everything at once', async () => {
    const { result, kill } = await applying(`${HIDING} touch begun; sleep 302`);
    await until(() => hidden().length > 0);
    kill.abort();
    expect(await result).toMatchObject({ outcome: 'killed', survivors: [] });
    expect(hidden()).toEqual([]);
  });

  test('what hides is gone also after an apply that ends by itself', async () => {
    const { result } = await applying(`${HIDING} touch begun`);
    expect(await result).toMatchObject({ outcome: 'applied', survivors: [] });
    expect(hidden()).toEqual([]);
  });

  test("a service manager's SIGTERM to all of our processes lets Terraform save its state and leaves its exit code", async () => {
    const { result, control } = await applying('touch begun; sleep 302');
    const held = adoptProcess(control);
    const target = Number.parseInt(read(join(control, 'target')), 10);
    // The shell that holds it, bubblewrap, and Terraform.
    const group = readdirSync('/proc')
      .map(Number)
      .filter((pid) => readStat(pid)?.group === held?.pid);
    expect(group.length).toBeGreaterThanOrEqual(2);
    for (const pid of [...group, held?.sandbox?.pid ?? 0, target]) process.kill(pid, 'SIGTERM');
    expect(await result).toMatchObject({ outcome: 'interrupted', exitCode: 1, survivors: [] });
    expect(readStateSummary(server.state() ?? '').resources).toBe(1);
  });

  test('whoever kills bubblewrap from outside does not kill Terraform, which is waited for', async () => {
    const { result, control, place } = await applying('touch begun; while [ ! -e go ]; do sleep 0.05; done');
    const held = adoptProcess(control);
    const bubblewrap = readStat(held?.sandbox?.pid ?? 0)?.parent ?? 0;
    expect(read(`/proc/${bubblewrap}/cmdline`)).toContain('bwrap');
    process.kill(bubblewrap, 'SIGKILL');
    await sleep(500);
    writeFileSync(join(place.workspaceDirectory, 'go'), '');
    expect(await result).toMatchObject({ outcome: 'lost', survivors: [] });
    expect(readStateSummary(server.state() ?? '').resources).toBe(1);
    expect(server.isLocked()).toBe(false);
  });

  test('a kill -9 of Terraform is a loss that says so', async () => {
    const { result, control } = await applying('touch begun; sleep 302');
    process.kill(Number.parseInt(read(join(control, 'target')), 10), 'SIGKILL');
    expect(await result).toMatchObject({ outcome: 'lost', signal: 'SIGKILL', survivors: [] });
  });

  test('an apply goes on when its worker is killed; who comes after adopts it, and can cancel it', async () => {
    const place = await planned(`${HIDING} touch begun; while [ ! -e go ]; do sleep 0.05; done`);
    const options = place.stage('apply', 'apply');
    // Another process, which knows the sandbox only by the command line that we would use.
    const { sandbox } = options.enclose?.() ?? {};
    if (!sandbox) throw new Error('There is no sandbox.');
    const view = sandbox.around([]);
    const module = new URL('../../src/terraform/process.ts', import.meta.url).href;
    const start = {
      directory: options.controlDirectory,
      command: [options.terraform.path, 'apply', '-json', '-input=false', place.planFile],
      cwd: place.workspaceDirectory,
      env: options.environment,
    };
    const worker = spawn(
      process.execPath,
      [
        ...['--import', 'tsx', '--input-type=module', '-e'],
        `import { startProcess } from ${JSON.stringify(module)};
         const view = ${JSON.stringify(view)};
         startProcess({ ...${JSON.stringify(start)}, enclosure: { sandbox: { processes: 512, fileBytes: 2 ** 30, around: (command) => [...view, ...command] } } });
         setInterval(() => {}, 1000);`,
      ],
      { stdio: 'inherit' },
    );
    await until(() => existsSync(join(place.workspaceDirectory, 'begun')));
    worker.kill('SIGKILL');
    await new Promise((resolve) => worker.once('exit', resolve));
    const target = Number.parseInt(read(join(options.controlDirectory, 'target')), 10);
    expect(read(`/proc/${target}/cmdline`)).toMatch(/terraform\0apply/);

    const interrupt = new AbortController();
    const adopted = apply({
      ...options,
      adopt: true,
      planFile: place.planFile,
      signals: { interrupt: interrupt.signal },
    });
    await sleep(300);
    interrupt.abort();
    expect(await adopted).toMatchObject({ outcome: 'interrupted', exitCode: 1, survivors: [] });
    expect(readStateSummary(server.state() ?? '').resources).toBe(1);
    expect(hidden()).toEqual([]);
  });
});

suite('beyond a limit', () => {
  const EXTERNAL = 'registry.terraform.io/hashicorp/external';
  const PROCESSES = 'It had more than 100 processes and threads, which is the limit (RUN_PROCESSES)';
  const MEMORY = 'It needed more than 300 MiB of memory, which is the limit (RUN_MEMORY)';
  const HOG = `x=$(head -c 400000000 /dev/zero | tr '\\0' a); sleep 600`;

  async function external(script: string, options: Parameters<typeof confinedPlace>[1]) {
    const files = { ...providerFiles(EXTERNAL, script), 'main.tf': 'data "external" "x" {\n  program = ["sh"]\n}\n' };
    const place = await confinedPlace(files, { environment: server.environment, ...options });
    makeExecutable(place.workspaceDirectory, EXTERNAL);
    await place.init();
    return place;
  }

  test('of processes a plan is ended, and the run says by which limit', async () => {
    const many = 'n=0; while [ $n -lt 120 ]; do sleep 600 & n=$((n + 1)); done; wait';
    const place = await external(many, { limits: { processes: 100 } });
    const result = await place.plan();
    expect(result).toMatchObject({ outcome: 'errored', survivors: [] });
    expect(result.diagnostics[0]?.summary).toBe(PROCESSES);
  });

  (isBounded ? test : test.skip)('a fork bomb can not outrun us', async () => {
    const bomb = 'bomb() { bomb | bomb & }; bomb; sleep 600';
    const place = await external(bomb, { limits: { processes: 100 }, inCgroups: true });
    const result = await place.plan();
    expect(result).toMatchObject({ outcome: 'errored', survivors: [] });
    expect(result.diagnostics[0]?.summary).toBe(PROCESSES);
    expect(existsSync(readFileSync(join(place.run, 'stages/plan/cgroups'), 'utf8').split('\n')[0] || '/none')).toBe(
      false,
    );
  });

  test.each([false, true])('of memory (in cgroups: %s)', async (inCgroups) => {
    const place = await planned(HOG, { limits: { memory: 300 * 2 ** 20 }, inCgroups });
    const result = await place.apply();
    expect(result).toMatchObject({ outcome: 'errored', survivors: [] });
    expect(result.diagnostics[0]?.summary).toBe(MEMORY);
  });

  test('of disk space, in many files', async () => {
    const many = 'for n in 1 2 3 4 5 6 7 8; do head -c 10000000 /dev/zero >"$HOME/$n"; done; sleep 600';
    const place = await planned(many, { limits: { disk: 50 * 2 ** 20 } });
    const result = await place.apply();
    expect(result).toMatchObject({ outcome: 'errored', survivors: [] });
    expect(result.diagnostics[0]?.summary).toBe('It wrote more than 50 MiB to disk, which is the limit (RUN_DISK)');
  });

  test('of disk space one huge file ends at it', async () => {
    const one = await planned('head -c 100000000 /dev/zero >huge', { limits: { disk: 50 * 2 ** 20 } });
    expect(await one.apply()).toMatchObject({ outcome: 'errored' });
    expect(statSync(join(one.workspaceDirectory, 'huge')).size).toBe(50 * 2 ** 20);
  });

  test('of output the beginning is kept, the rest is counted', async () => {
    const place = await planned('seq 100000 107000', {
      limits: { output: 200_000 },
    });
    const options = place.stage('apply', 'apply');
    let text = '';
    const keep = (more: string) => {
      text += more;
    };
    const result = await apply({ ...options, onText: keep, planFile: place.planFile });
    expect(result).toMatchObject({ outcome: 'applied' });
    expect(text.length).toBeLessThan(201_000);
    expect(text).toMatch(/\n… \d{5,6} more bytes of output are not kept: 195.3 KiB is the limit \(RUN_OUTPUT\)\.\n$/);
  });

  test('of output without end ends it', async () => {
    const endless = await planned('yes', { limits: { output: 2 ** 20 } });
    const stopped = await endless.apply();
    expect(stopped).toMatchObject({ outcome: 'errored', survivors: [] });
    expect(stopped.diagnostics[0]?.summary).toBe(
      'It printed more than 16 MiB, 16 times as much as is kept (RUN_OUTPUT)',
    );
  });
});

test('where there is no bubblewrap the reason is given', async () => {
  const options = { path: temporaryDirectory(), dataDirectory: '/nowhere', secretFiles: [], paths: [] };
  await expect(Sandbox.open(options)).rejects.toThrow(
    new SandboxUnavailableError('bubblewrap (bwrap) is not on the PATH'),
  );

  const broken = temporaryDirectory();
  writeFileSync(
    join(broken, 'bwrap'),
    '#!/bin/sh\necho "bwrap: No permissions to create a new namespace" >&2; exit 1\n',
    {
      mode: 0o755,
    },
  );
  await expect(Sandbox.open({ ...options, path: `${broken}:${process.env.PATH}` })).rejects.toThrow(
    "bubblewrap doesn't work here: bwrap: No permissions to create a new namespace",
  );
  expect(isAlive(identify(process.pid))).toBe(true);
});
