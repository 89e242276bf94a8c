import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { apply } from '../../src/terraform/apply.js';
import { writeBackendOverride } from '../../src/terraform/backend.js';
import { stripColour } from '../../src/terraform/colour.js';
import { init } from '../../src/terraform/init.js';
import { plan } from '../../src/terraform/plan.js';
import { ProcessExistsError } from '../../src/terraform/process.js';
import type { Progress } from '../../src/terraform/progress.js';
import type { StageOptions } from '../../src/terraform/stage.js';
import { readStateSummary } from '../../src/terraform/state-file.js';
import { isRunning, prepare, removeTemporaryDirectories, startStateServer, until } from './support.js';

afterAll(removeTemporaryDirectories);

let server: Awaited<ReturnType<typeof startStateServer>>;
beforeEach(async () => {
  server = await startStateServer();
});
afterEach(() => server.stop());

/** A checkout in which `init` has been done and the state is with our server. */
async function initialised(files: Record<string, string>) {
  const place = await prepare(files, server.environment);
  await writeBackendOverride(place.workspaceDirectory);
  const { outcome, diagnostics } = await init(place.stage('init'));
  expect({ outcome, diagnostics }).toEqual({ outcome: 'initialised', diagnostics: [] });
  return place;
}

function listen(options: StageOptions) {
  const heard = { text: '', end: 0, progress: [] as Progress[] };
  return {
    heard,
    options: {
      ...options,
      onText: (text: string, end: number) => {
        heard.text += text;
        heard.end = end;
      },
      onProgress: (progress: Progress) => heard.progress.push(progress),
    },
  };
}

const TWO = `
resource "terraform_data" "a" {
  for_each = toset(["x", "z | @team"])
  input    = each.key
}
output "a" { value = [for a in terraform_data.a : a.input] }
`;

describe('plan and apply', () => {
  test('take a configuration to its applied state, and find no changes after', async () => {
    const { stage, planFile } = await initialised({ 'main.tf': TWO });

    const planning = listen(stage('plan'));
    const planned = await plan({ ...planning.options, planFile });
    if (planned.outcome !== 'changes') throw new Error(planned.outcome);
    expect(planned).toMatchObject({ exitCode: 2, survivors: [], diagnostics: [] });
    expect(planned.summary).toMatchObject({ add: 2, change: 0, destroy: 0, replace: 0, outputs: 1 });
    expect(stripColour(planned.text)).toContain('Plan: 2 to add, 0 to change, 0 to destroy.');
    expect(planned.text).not.toBe(stripColour(planned.text));
    expect(JSON.parse(planned.json)).toEqual(planned.plan);

    const applying = listen(stage('apply'));
    const applied = await apply({ ...applying.options, planFile });
    expect(applied).toMatchObject({
      outcome: 'applied',
      counts: { add: 2, change: 0, remove: 0, import: 0 },
      progress: { planned: 2, applied: 2, failed: 0, inFlight: [] },
      stale: false,
    });
    const log = stripColour(applying.heard.text);
    expect(log).toContain('terraform_data.a["z | @team"]: Creating...\n');
    expect(log).toContain('\nApply complete! Resources: 2 added, 0 changed, 0 destroyed.\n');
    expect(log).toContain('\nOutputs:\n\na = [\n  "x",\n  "z | @team",\n]\n');
    expect(applying.heard.progress.some(({ inFlight }) => inFlight.length > 0)).toBe(true);
    expect(readStateSummary(server.state() ?? '')).toMatchObject({ resources: 2 });
    expect(server.isLocked()).toBe(false);
    expect(new Set(server.seen.map((line) => line.split(' ')[1]))).toEqual(new Set(['authorized']));

    const again = await plan({ ...stage('plan-2'), planFile: `${planFile}-2` });
    if (again.outcome !== 'no-changes') throw new Error(again.outcome);
    expect(stripColour(again.text)).toContain('No changes.');

    const stale = await apply({ ...stage('apply-2'), planFile });
    expect(stale).toMatchObject({ outcome: 'errored', stale: true });
  });

  test('a speculative plan takes no lock', async () => {
    const { stage, planFile } = await initialised({ 'main.tf': TWO });
    server.seen.length = 0;
    expect((await plan({ ...stage('plan'), planFile, lock: false })).outcome).toBe('changes');
    expect(server.seen.filter((line) => line.startsWith('LOCK'))).toEqual([]);
  });

  test("values go by a variable file, which beats the repository's own", async () => {
    const { run, stage, planFile } = await initialised({
      'main.tf': 'variable "v" {}\noutput "v" { value = var.v }\n',
      'terraform.tfvars': 'v = "theirs"\n',
    });
    const literal = 'not $' + '{interpolated}';
    const file = join(run, 'ours.tfvars.json');
    writeFileSync(file, JSON.stringify({ v: literal }));
    const planned = await plan({ ...stage('plan'), planFile, variableFiles: [file] });
    if (planned.outcome !== 'changes') throw new Error(planned.outcome);
    expect(planned.summary.outputs).toBe(1);
    expect(planned.plan.variables).toEqual({ v: { value: literal } });
  });

  test('are not run twice in one control directory', async () => {
    const { stage, planFile } = await initialised({ 'main.tf': TWO });
    await plan({ ...stage('plan'), planFile });
    await expect(plan({ ...stage('plan'), planFile })).rejects.toThrow(ProcessExistsError);
  });
});

describe('what is wrong is a diagnostic', () => {
  test('a syntax error, from init, with its file and line', async () => {
    const { stage } = await prepare({ 'main.tf': 'locals {\n  a = 1\n}\n\nresource "terraform_data" "a" {\n' });
    const { heard, options } = listen(stage('init'));
    const result = await init(options);
    expect(result.outcome).toBe('errored');
    expect(result.diagnostics[0]).toMatchObject({
      severity: 'error',
      summary: 'Unclosed configuration block',
      range: { filename: 'main.tf', startLine: 5, endLine: 5 },
    });
    expect(stripColour(heard.text)).toContain(
      '\nError: Unclosed configuration block\n\n  on main.tf line 5, in resource "terraform_data" "a":\n   5: resource "terraform_data" "a" {\n\nThere is no closing',
    );
  });

  test('a bad reference, from plan, in a file below', async () => {
    const { stage, planFile } = await initialised({
      'main.tf': 'module "m" {\n  source = "./m"\n}\n',
      'm/main.tf': '\noutput "x" {\n  value = terraform_data.nope.id\n}\n',
    });
    const result = await plan({ ...stage('plan'), planFile });
    expect(result.outcome).toBe('errored');
    expect(result.diagnostics).toEqual([
      expect.objectContaining({
        summary: 'Reference to undeclared resource',
        range: expect.objectContaining({ filename: 'm/main.tf', startLine: 3 }),
      }),
    ]);
  });

  test('a plan that fails half-way keeps what it had planned', async () => {
    const { stage, planFile } = await initialised({
      'main.tf': `resource "terraform_data" "a" { input = "abc" }
resource "terraform_data" "b" {
  lifecycle {
    precondition {
      condition     = length(terraform_data.a.input) > 5
      error_message = "Too short."
    }
  }
}
`,
    });
    const result = await plan({ ...stage('plan'), planFile });
    if (result.outcome !== 'errored') throw new Error(result.outcome);
    expect(result.diagnostics[0]).toMatchObject({ detail: 'Too short.', range: { startLine: 5 } });
    expect(result.partial?.summary.add).toBe(1);
    expect(result.partial?.plan.errored).toBe(true);
  });

  test('an apply that fails says what it did and what failed', async () => {
    const { stage, planFile } = await initialised({
      'main.tf': `resource "terraform_data" "a" {}
resource "terraform_data" "b" {
  depends_on = [terraform_data.a]
  provisioner "local-exec" { command = "echo to stderr >&2; exit 3" }
}
`,
    });
    await plan({ ...stage('plan'), planFile });
    const { heard, options } = listen(stage('apply'));
    const result = await apply({ ...options, planFile });
    expect(result).toMatchObject({ outcome: 'errored', exitCode: 1, stale: false });
    expect(result.progress).toEqual({
      planned: 2,
      applied: 1,
      failed: 1,
      inFlight: [],
      done: ['terraform_data.a'],
    });
    expect(result.diagnostics[0]).toMatchObject({ address: 'terraform_data.b', range: { startLine: 4 } });
    expect(stripColour(heard.text)).toContain('terraform_data.b (local-exec): to stderr\n');
    expect(stripColour(heard.text)).toContain('  with terraform_data.b,\n  on main.tf line 4, in resource');
    expect(readStateSummary(server.state() ?? '').resources).toBe(2);
  });

  test('a Terraform that can not run at all', async () => {
    const { stage } = await prepare({});
    const options = stage('init');
    const result = await init({ ...options, terraform: { path: '/no/such/terraform', version: '1.11.4' } });
    expect(result).toMatchObject({ outcome: 'errored', exitCode: 127 });
    expect(result.diagnostics[0]?.detail).toContain('/no/such/terraform');
  });

  test('a state that could not be handed over is found', async () => {
    const { stage, planFile, workspaceDirectory } = await initialised({
      'main.tf':
        'resource "terraform_data" "a" {\n  provisioner "local-exec" { command = "touch begun; while [ ! -e go ]; do sleep 0.05; done" }\n}\n',
    });
    await plan({ ...stage('plan'), planFile });
    const options = stage('apply');
    const applying = apply({ ...options, environment: { ...options.environment, TF_HTTP_RETRY_MAX: '0' }, planFile });
    await until(() => existsSync(join(workspaceDirectory, 'begun')));
    await server.stop();
    writeFileSync(join(workspaceDirectory, 'go'), '');
    const result = await applying;
    expect(result.outcome).toBe('errored');
    expect(readStateSummary(readFileSync(result.erroredState ?? '')).resources).toBe(1);
  });
});

const SLOW = `
resource "terraform_data" "slow" {
  provisioner "local-exec" {
    command = "setsid sleep 300 & echo $! >other.pid; sleep 301 & echo $! >child.pid; echo waiting; touch begun; sleep 302"
  }
}
`;

describe('stopping', () => {
  async function applyingSlowly() {
    const place = await initialised({ 'main.tf': SLOW });
    await plan({ ...place.stage('plan'), planFile: place.planFile });
    const interrupt = new AbortController();
    const kill = new AbortController();
    const release = new AbortController();
    const { heard, options } = listen(place.stage('apply'));
    const signals = { interrupt: interrupt.signal, kill: kill.signal, release: release.signal };
    const applying = apply({ ...options, signals, planFile: place.planFile });
    await until(() => existsSync(join(place.workspaceDirectory, 'begun')));
    const pids = ['other', 'child'].map((name) =>
      Number(readFileSync(join(place.workspaceDirectory, `${name}.pid`), 'utf8')),
    );
    expect(pids.map(isRunning)).toEqual([true, true]);
    return { place, heard, applying, interrupt, kill, release, pids };
  }

  test('by SIGINT saves the state and leaves no process', async () => {
    const { heard, applying, interrupt, pids } = await applyingSlowly();
    await until(() => heard.text.includes('waiting'));
    const began = performance.now();
    interrupt.abort();
    const result = await applying;
    expect(performance.now() - began).toBeLessThan(20_000);
    expect(result).toMatchObject({ outcome: 'interrupted', exitCode: 1, survivors: [] });
    expect(result.progress).toMatchObject({ planned: 1, applied: 0, failed: 1 });
    expect(stripColour(heard.text)).toContain('Interrupt received.');
    expect(pids.map(isRunning)).toEqual([false, false]);
    expect(readStateSummary(server.state() ?? '').resources).toBe(1);
    expect(server.isLocked()).toBe(false);
  });

  test('by force names what was in flight and leaves no process', async () => {
    const { applying, kill, pids } = await applyingSlowly();
    kill.abort();
    const result = await applying;
    expect(result).toMatchObject({ outcome: 'killed', exitCode: undefined, survivors: [] });
    expect(result.progress.inFlight).toEqual(['terraform_data.slow']);
    expect(pids.map(isRunning)).toEqual([false, false]);
    expect(server.isLocked()).toBe(true);
  });

  test('of Terraform by somebody else is a loss, and leaves no process either', async () => {
    const { place, applying, pids } = await applyingSlowly();
    const target = Number.parseInt(readFileSync(join(place.run, 'stages/apply/target'), 'utf8'), 10);
    process.kill(target, 'SIGKILL');
    const result = await applying;
    expect(result).toMatchObject({ outcome: 'lost', signal: 'SIGKILL', survivors: [] });
    expect(result.diagnostics.at(-1)).toMatchObject({ summary: 'Terraform died' });
    expect(result.progress.inFlight).toEqual(['terraform_data.slow']);
    expect(pids.map(isRunning)).toEqual([false, false]);
  });

  test('does not happen when we only go away: who comes after us adopts it, and can cancel it', async () => {
    const { place, heard, applying, release, pids } = await applyingSlowly();
    release.abort();
    expect((await applying).outcome).toBe('released');
    expect(pids.map(isRunning)).toEqual([true, true]);

    const interrupt = new AbortController();
    const after = listen(place.stage('apply'));
    const adopted = apply({
      ...after.options,
      adopt: true,
      resumeFrom: heard.end,
      planFile: place.planFile,
      signals: { interrupt: interrupt.signal },
    });
    await sleep(300);
    interrupt.abort();
    expect(await adopted).toMatchObject({ outcome: 'interrupted', survivors: [], progress: { planned: 1, failed: 1 } });
    expect(pids.map(isRunning)).toEqual([false, false]);
    expect(heard.text).toContain('Creating...');
    expect(after.heard.text).not.toContain('Creating...');
    expect(after.heard.text).toContain('Creation errored');
  });

  test('before the beginning starts nothing', async () => {
    const { stage, planFile, run } = await initialised({ 'main.tf': SLOW });
    const signals = { interrupt: AbortSignal.abort() };
    expect((await plan({ ...stage('plan'), planFile, signals })).outcome).toBe('interrupted');
    expect(existsSync(join(run, 'stages/plan'))).toBe(false);
  });

  test('what was never begun can not be adopted', async () => {
    const { stage, planFile } = await prepare({});
    expect(await apply({ ...stage('apply'), adopt: true, planFile })).toMatchObject({ outcome: 'lost' });
  });
});

test('an apply goes on when its worker is killed, and the next one has it all', async () => {
  const { stage, planFile, workspaceDirectory } = await initialised({
    'main.tf': `resource "terraform_data" "a" {
  provisioner "local-exec" { command = "touch begun; sleep 1; echo finished" }
}
`,
  });
  await plan({ ...stage('plan'), planFile });
  const options = stage('apply');
  const module = pathToFileURL(join(process.cwd(), 'src/terraform/apply.ts')).href;
  const worker = spawn(
    process.execPath,
    [
      '--import',
      'tsx',
      '--input-type=module',
      '-e',
      `import { apply } from ${JSON.stringify(module)};
       await apply({ ...${JSON.stringify(options)}, planFile: ${JSON.stringify(planFile)} });`,
    ],
    { stdio: 'inherit' },
  );
  await until(() => existsSync(join(workspaceDirectory, 'begun')));
  worker.kill('SIGKILL');
  await new Promise((resolve) => worker.once('exit', resolve));

  const { heard, options: heardOptions } = listen(options);
  expect(await apply({ ...heardOptions, adopt: true, planFile })).toMatchObject({
    outcome: 'applied',
    exitCode: 0,
    progress: { planned: 1, applied: 1, failed: 0, inFlight: [] },
  });
  const log = stripColour(heard.text);
  expect(log).toMatch(/^terraform_data.a: Creating...\n/);
  expect(log).toContain('terraform_data.a (local-exec): finished\n');
  expect(log).toContain('Apply complete! Resources: 1 added');
  expect(readStateSummary(server.state() ?? '').resources).toBe(1);
  expect(server.isLocked()).toBe(false);
});
