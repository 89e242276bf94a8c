import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { jest } from '@jest/globals';
import { Notifications } from '../../src/db/notifications.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { Run } from '../../src/db/schema.js';
import { CommitGone } from '../../src/git/git-error.js';
import { createLog } from '../../src/log.js';
import { cancelRun } from '../../src/runs/actions.js';
import { SavedState } from '../../src/state/saved-state.js';
import { StateServer } from '../../src/state/state-server.js';
import { findTerraform, TerraformUnavailableError } from '../../src/terraform/install.js';
import { HeldProcess } from '../../src/terraform/process.js';
import { Encryption } from '../../src/variables/encryption.js';
import { Confinement } from '../../src/worker/confinement.js';
import type { WorkerContext } from '../../src/worker/context.js';
import { describeFailure } from '../../src/worker/failure.js';
import { OutputLog } from '../../src/worker/output-log.js';
import { Patience } from '../../src/worker/patience.js';
import { Registration } from '../../src/worker/registration.js';
import { untilRecorded } from '../../src/worker/until-recorded.js';
import { WorkDirectories } from '../../src/worker/work-directory.js';
import { Worker } from '../../src/worker/worker.js';
import { Gate, until } from '../queue/support.js';
import { RunsWorld } from '../runs/world.js';
import { outputOf } from '../support/output.js';
import { isRunning } from '../terraform/support.js';

const log = createLog({ level: 'silent', format: 'json' });

let world: RunsWorld;
let gate: Gate;
let db: Db;
let notifications: Notifications;
let directory: string;
let stateServer: StateServer;
let worker: Worker;
let context: WorkerContext;
/** The commit's files, and what happens when they are fetched. */
let files: Record<string, string>;
let onFetch: () => Promise<void>;
let terraform: WorkerContext['terraform'];
beforeAll(async () => {
  world = await RunsWorld.open();
  gate = await Gate.start(world.url);
  const url = gate.url(world.url);
  db = createDb(createPool({ connectionString: url, max: 8, onError: () => undefined }));
  notifications = new Notifications(url, () => undefined);
  await notifications.start();
});
afterAll(async () => {
  await notifications.close();
  await db.destroy();
  await gate.goAway();
  await world.close();
});

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-worker-'));
  files = { 'main.tf': 'resource "terraform_data" "a" {}' };
  onFetch = async () => undefined;
  terraform = () => findTerraform({ path: process.env.PATH ?? '', dataDirectory: join(directory, 'data') });
  const encryption = new Encryption(Buffer.alloc(32, 1));
  stateServer = await StateServer.start({ db, encryption, log });
  const mirror = {
    fetch: () => onFetch(),
    checkout: async (_: string, to: string) => {
      mkdirSync(join(to, 'network'));
      for (const [name, text] of Object.entries(files)) writeFileSync(join(to, 'network', name), text);
      return { warnings: [] };
    },
    tree: async () => 'tree',
    hasDirectory: async () => true,
  };
  const registration = await Registration.open({ db, dataDirectory: directory, name: 'w1', slots: 4 });
  context = {
    db,
    notifications,
    encryption,
    mirrors: { of: () => mirror } as unknown as WorkerContext['mirrors'],
    stateServer,
    workDirectories: new WorkDirectories(join(directory, 'work')),
    terraform: () => terraform(),
    config: {
      workerName: 'w1',
      dataDirectory: directory,
      runEnv: ['PLANTED_*', 'TF_VAR_planted'],
      planEnv: [],
      planTimeout: 600_000,
      applyTimeout: 600_000,
    },
    confinement: new Confinement({ processes: 512, memory: 2 ** 31, disk: 2 ** 32, output: 2 ** 26 }, {}),
    log,
    patience: new Patience({ ms: 0, log }),
    untilRecorded: (write) => untilRecorded(write, log),
    savedState: new SavedState(encryption),
    serveStateAgain: (run, control) => stateServer.adopt(run, control),
  };
  worker = new Worker(context, registration);
});
afterEach(async () => {
  worker.stop();
  await stateServer.close();
  rmSync(directory, { recursive: true, force: true });
});

async function claimed(autoApply = false): Promise<Run> {
  const workspace = await world.workspace({ auto_apply: autoApply, directory: 'network' });
  return begin(await world.push(workspace));
}

async function begin(run: Run, stage: 'plan' | 'apply' = 'plan'): Promise<Run> {
  const { id, workspace_id: workspace, speculative, attempt } = run;
  const claimed = await worker.claim({ run: id, workspace, speculative, stage, attempt });
  if (!claimed) throw new Error(`${id} can't be claimed`);
  return claimed;
}

const cancel = (run: Run) => world.inTransaction((tx) => cancelRun(tx, run, 'Stop it.', 'bob'));
const lastLine = async (run: Run) => (await world.timeline(run)).at(-1);
const left = () => (existsSync(join(directory, 'work')) ? readdirSync(join(directory, 'work')) : []);
const started = (run: Run, text: string) =>
  until(async () => (await outputOf(world.db, run.id, 'apply')).includes(text));

test('a run that applies by itself is planned and applied in one go, and leaves nothing on disk', async () => {
  const run = await claimed(true);
  await worker.work(run);
  expect(await world.now(run)).toMatchObject({ state: 'applied', confirmed_by: 'auto-apply', error: null });
  expect((await world.timeline(run)).map((line) => line.split(':')[0])).toEqual([
    'pending',
    'planning',
    'confirmed',
    'applying',
    'applied',
  ]);
  expect(await outputOf(world.db, run.id, 'apply')).toContain('Creation complete');
  expect(left()).toEqual([]);
  expect(worker.active).toBe(0);
  const states = await world.db.selectFrom('state_versions').select('state').where('run_id', '=', run.id).execute();
  expect(states.length).toBeGreaterThan(0);
  for (const { state } of states) expect(state.includes('terraform_data')).toBe(false);
});

test('one that waits for a person is applied later from what the record has kept', async () => {
  const run = await claimed();
  await worker.work(run);
  const planned = await world.now(run);
  expect(planned.state).toBe('needs_confirmation');
  expect(left()).toEqual([]);
  await worker.work(await begin(await world.confirm(planned), 'apply'));
  expect((await world.now(run)).state).toBe('applied');
  expect(left()).toEqual([]);
});

test('what RUN_ENV lets in is masked in all that Terraform prints and says', async () => {
  process.env.PLANTED_SECRET = 'correct-horse-battery';
  process.env.TF_VAR_planted = 'correct-horse-battery';
  files['main.tf'] = `
    variable "planted" {}
    resource "terraform_data" "keyed" { for_each = toset([var.planted]) }
    resource "terraform_data" "a" {
      provisioner "local-exec" { command = "printf 'it is correct-'; sleep 0.4; echo horse-battery; echo $PLANTED_SECRET >&2; exit 3" }
    }`;
  const run = await claimed(true);
  await worker.work(run);
  delete process.env.PLANTED_SECRET;
  delete process.env.TF_VAR_planted;
  const ended = await world.now(run);
  expect(ended.state).toBe('apply_errored');
  expect(ended.progress?.done).toEqual(['terraform_data.keyed["***"]']);
  const said = (await outputOf(world.db, run.id, 'apply')) + JSON.stringify(ended);
  expect(said).toContain('***');
  expect(said).not.toContain('correct-horse-battery');
});

describe('cancel', () => {
  test('before Terraform starts ends the run without it', async () => {
    const run = await claimed();
    let asked = false;
    onFetch = async () => {
      await cancel(run);
      await until(async () => (await world.now(run)).cancel_requested_at !== null);
      await new Promise((resolve) => setTimeout(resolve, 200));
    };
    terraform = async () => {
      asked = true;
      return { path: '/nowhere/terraform', version: '1.0.0' } as Awaited<ReturnType<WorkerContext['terraform']>>;
    };
    await worker.work(run);
    expect(asked).toBe(true);
    expect(await lastLine(run)).toBe('canceled: canceled, bob, It was canceled before Terraform ran.');
    expect(left()).toEqual([]);
  });

  test('between claim and work is noticed', async () => {
    const run = await claimed();
    await cancel(run);
    await worker.work(run);
    expect((await world.now(run)).state).toBe('canceled');
  });

  test('while Terraform applies interrupts it, and keeps its state', async () => {
    files['main.tf'] = `
      resource "terraform_data" "a" {}
      resource "terraform_data" "b" {
        depends_on = [terraform_data.a]
        provisioner "local-exec" { command = "echo begun; sleep 30" }
      }`;
    const run = await claimed(true);
    const working = worker.work(run);
    await started(run, 'begun');
    await cancel(await world.now(run));
    await working;
    expect((await world.now(run)).state).toBe('canceled');
    expect(await lastLine(run)).toMatch(/^canceled: canceled, bob, Terraform was interrupted after 1 of 2 resources/);
    const states = await world.db
      .selectFrom('state_versions')
      .select('resources')
      .where('run_id', '=', run.id)
      .execute();
    expect(states.at(-1)?.resources).toBeGreaterThan(0);
    expect(left()).toEqual([]);
  });

  test('whose wake-up is lost in an outage is found when the database is back', async () => {
    files['main.tf'] = `
      resource "terraform_data" "a" {
        provisioner "local-exec" { command = "echo begun; sleep 30" }
      }`;
    const run = await claimed(true);
    const working = worker.work(run);
    await started(run, 'begun');
    await gate.goAway();
    await cancel(await world.now(run));
    await gate.comeBack();
    await working;
    expect((await world.now(run)).state).toBe('canceled');
  });
});

test('an apply that ends while the database is away is recorded when it is back', async () => {
  files['main.tf'] = `
    resource "terraform_data" "a" {
      provisioner "local-exec" { command = "echo begun; sleep 1.5" }
    }`;
  const run = await claimed(true);
  const working = worker.work(run);
  await started(run, 'begun');
  await gate.goAway();
  await new Promise((resolve) => setTimeout(resolve, 3_000));
  await gate.comeBack();
  await working;
  expect((await world.now(run)).state).toBe('applied');
  expect(await outputOf(world.db, run.id, 'apply')).toContain('Creation complete');
  expect(await world.db.selectFrom('state_versions').select('id').where('run_id', '=', run.id).execute()).not.toEqual(
    [],
  );
}, 90_000);

test('a run that was taken away meanwhile is left as it is', async () => {
  const run = await claimed();
  onFetch = async () => {
    const taken = { attempt: 2, worker: 'another', worker_id: null };
    await world.db.updateTable('runs').set(taken).where('id', '=', run.id).execute();
  };
  await worker.work(run);
  expect(await world.now(run)).toMatchObject({ state: 'planning', attempt: 2, worker: 'another' });
  expect(worker.active).toBe(0);
});

describe('a failure', () => {
  const failed = async (error: unknown) => {
    const run = await claimed();
    onFetch = () => Promise.reject(error);
    await worker.work(run);
    return (await world.now(run)).error;
  };

  test('that nobody foresaw is told without its inner text', async () => {
    for (const error of [
      new Error('connect to postgres://signalbox:hunter2@db failed'),
      Object.assign(new Error('EACCES: /var/lib/signalbox/key'), { code: 'EACCES' }),
      'hunter2',
      undefined,
    ]) {
      expect(await failed(error)).toBe(
        "Something went wrong in Signalbox itself. Its log has the details, under this run's id.",
      );
    }
  });

  test('that a person can do something about says what', async () => {
    expect(await failed(new CommitGone('acme/infra', 'abcdef0123'))).toMatch(
      /^Commit abcdef0 is no longer in acme.infra/,
    );
    const full = Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' });
    expect(await failed(full)).toBe("The worker's disk is full. Free some space, then plan again.");
    expect(describeFailure(new TerraformUnavailableError('There is no Terraform.')).foreseen).toBe(true);
  });

  test('of Terraform is the run’s error and a diagnostic with its line', async () => {
    files['main.tf'] = 'resource "terraform_data" "a" {\n  input = nothing.here\n}\n';
    const run = await claimed();
    await worker.work(run);
    expect(await world.now(run)).toMatchObject({
      state: 'plan_errored',
      error: 'Reference to undeclared resource',
      diagnostics: [{ severity: 'error', file: 'network/main.tf', startLine: 2 }],
    });
    expect(left()).toEqual([]);
  });

  test('of an apply whose plan is no longer kept says so', async () => {
    const run = await begin(await world.in('confirmed'), 'apply');
    await world.db.deleteFrom('plans').where('run_id', '=', run.id).execute();
    await worker.work(run);
    expect(await world.now(run)).toMatchObject({
      state: 'apply_errored',
      error: 'Its plan is no longer kept: plan again. Nothing was applied.',
    });
  });
});

describe('an apply that Terraform could not end in order', () => {
  /** A backend of the repository's own, which can be read and refuses what is written. */
  async function refusingBackend() {
    const server = createServer((request, response) => {
      request.resume();
      response.writeHead(request.method === 'GET' ? 204 : 403).end();
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as { port: number };
    files['main.tf'] = `
      terraform {
        backend "http" { address = "http://127.0.0.1:${port}/state" }
      }
      resource "terraform_data" "a" {}`;
    return server;
  }

  test('says what is not in the state also when the record goes away in that moment', async () => {
    files['main.tf'] = `
      resource "terraform_data" "a" {
        provisioner "local-exec" { command = "echo begun; kill -9 $PPID; sleep 1" }
      }`;
    const real = context.savedState;
    context.savedState = {
      unsaved: async (...asked: Parameters<SavedState['unsaved']>) => {
        const unsaved = await real.unsaved(...asked);
        await gate.goAway();
        setTimeout(() => void gate.comeBack(), 1_000);
        return unsaved;
      },
    } as SavedState;
    const run = await claimed(true);
    await worker.work(run);
    expect(await world.now(run)).toMatchObject({
      state: 'apply_errored',
      progress: { total: 1, applied: 0, inFlight: ['terraform_data.a'], unsaved: ['terraform_data.a'] },
    });
  });

  test('leaves a state that no backend took where its report says, also when its worker died before that', async () => {
    const server = await refusingBackend();
    const run = await claimed(true);
    // The record refuses the end of the apply, and that of the failure: this worker has nothing more to say.
    let refusing = true;
    const { keepFile } = context.workDirectories;
    context.workDirectories.keepFile = async (...args) => {
      const kept = await keepFile.apply(context.workDirectories, args);
      context.untilRecorded = (write) => (refusing ? Promise.reject(new Error('refused')) : untilRecorded(write, log));
      return kept;
    };
    await worker.work(run);
    expect((await world.now(run)).state).toBe('applying');
    refusing = false;
    await worker.beat();
    await until(async () => (await world.now(run)).state === 'apply_errored');
    server.close();
    const { error, progress } = await world.now(run);
    expect(progress?.stateKept).toBe(true);
    const kept = /It is kept on w1 as (\S+): hand it in/.exec(error ?? '')?.[1] ?? '';
    expect(error).toMatch(/The http backend did not take the last state/);
    expect(JSON.parse(readFileSync(kept, 'utf8')).resources).toHaveLength(1);
  });
});

describe('a fault of ours while Terraform runs', () => {
  // Terraform prints the command before it runs it: the word stands whole only in what that prints.
  const WAITING = `
    resource "terraform_data" "a" {}
    resource "terraform_data" "b" {
      depends_on = [terraform_data.a]
      provisioner "local-exec" { command = "echo $$ >PID; echo be''gun; exec sleep 60" }
    }`;
  let faults: ReturnType<typeof jest.spyOn>;
  const pidFile = () => join(directory, 'pid');
  const isGone = () => !isRunning(Number(readFileSync(pidFile(), 'utf8')));
  beforeEach(() => {
    files['main.tf'] = WAITING.replace('PID', pidFile());
    const { append } = OutputLog.prototype;
    faults = jest.spyOn(OutputLog.prototype, 'append').mockImplementation(function (this: OutputLog, text: string) {
      if (text.includes('begun')) throw new Error('EMFILE: too many open files, open');
      return append.call(this, text);
    });
  });
  afterEach(() => faults.mockRestore());

  test('ends an apply in order before the record says that it is over, and keeps its state', async () => {
    const run = await claimed(true);
    await worker.work(run);
    expect(isGone()).toBe(true);
    const ended = await world.now(run);
    expect(ended.state).toBe('apply_errored');
    expect(ended.error).toMatch(/under this run's id. Terraform was interrupted for that, and has ended.$/);
    expect(ended.progress).toMatchObject({ total: 2, applied: 1 });
    expect(await resourcesOf(run)).toBeGreaterThan(0);
    expect(left()).toEqual([]);
  });

  test('takes in the state that Terraform could not hand over', async () => {
    const run = await claimed(true);
    const working = worker.work(run);
    await until(() => existsSync(pidFile()));
    // Its credentials are no longer those of the run, as after a failure of ours that Terraform outlived.
    const control = context.workDirectories.of(await world.now(run)).control;
    await stateServer.register({ run: await world.now(run), directory: control, readOnly: false });
    await working;
    expect(isGone()).toBe(true);
    expect((await world.now(run)).state).toBe('apply_errored');
    expect(await resourcesOf(run)).toBe(2);
  });

  test('ends a plan, too', async () => {
    const real = await terraform();
    const path = join(directory, 'terraform');
    const slow = `echo $$ >${pidFile()}; echo '{"@level":"info","@message":"begun","type":"log"}'; exec sleep 60`;
    writeFileSync(path, `#!/bin/sh\nif [ "$1" = plan ]; then ${slow}; fi\nexec ${real.path} "$@"\n`, { mode: 0o755 });
    terraform = async () => ({ ...real, path });
    const run = await claimed();
    await worker.work(run);
    expect(isGone()).toBe(true);
    const ended = await world.now(run);
    expect(ended.state).toBe('plan_errored');
    expect(ended.error).toMatch(/Terraform was interrupted for that, and has ended.$/);
  });

  test('leaves the run to a later look where its Terraform can not be ended', async () => {
    const run = await claimed(true);
    const reap = jest.spyOn(HeldProcess.prototype, 'reap').mockResolvedValueOnce([]).mockResolvedValue([1]);
    await worker.work(run);
    reap.mockRestore();
    expect((await world.now(run)).state).toBe('applying');
    expect(left()).toEqual([String(run.workspace_id)]);
    faults.mockRestore();
    await worker.beat();
    await until(async () => (await world.now(run)).state !== 'applying');
    expect(isGone()).toBe(true);
    expect((await world.now(run)).state).toBe('canceled');
  });

  test('that keeps it from being taken up after a restart ends it as well, and its state is taken in', async () => {
    const run = await claimed(true);
    const interrupt = jest.spyOn(HeldProcess.prototype, 'interrupt').mockRejectedValueOnce(new Error('EMFILE'));
    await worker.work(run);
    interrupt.mockRestore();
    faults.mockRestore();
    expect(isGone()).toBe(false);
    await stateServer.release(run.id);
    writeFileSync(join(context.workDirectories.of(run).control, `${run.attempt}-apply.prepared`), 'unreadable');
    await worker.beat();
    await until(async () => (await world.now(run)).state === 'apply_errored');
    expect(isGone()).toBe(true);
    expect((await world.now(run)).error).toContain('Terraform was interrupted for that, and has ended.');
    expect(await resourcesOf(run)).toBeGreaterThan(0);
  });

  async function resourcesOf(run: Run): Promise<number> {
    const states = await world.db
      .selectFrom('state_versions')
      .select('resources')
      .where('run_id', '=', run.id)
      .orderBy('id')
      .execute();
    return states.at(-1)?.resources ?? 0;
  }
});
