import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WorkDirectories } from '../../src/worker/work-directory.js';

let root: string;
let directories: WorkDirectories;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'signalbox-work-'));
  directories = new WorkDirectories(join(root, 'runs'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const standard = (id: string) => ({
  ...{ id, workspace_id: 7, speculative: false, work_directory: null },
  ...{ attempt: 1, worker_id: 'worker-a' },
});

test('standard runs of a workspace share one path, speculative runs have one each', () => {
  expect(directories.of(standard('run-a')).root).toBe(join(root, 'runs', '7'));
  expect(directories.of(standard('run-b'))).toEqual(directories.of(standard('run-a')));
  expect(directories.of({ ...standard('run-c'), speculative: true }).root).toBe(join(root, 'runs', 'run-c'));
});

test('an apply takes place where its plan was made, on whichever worker that was', async () => {
  const elsewhere = join(root, 'other-worker', 'work', '7');
  const { checkout } = await directories.create({ ...standard('run-a'), work_directory: elsewhere });
  expect(checkout).toBe(join(elsewhere, 'checkout'));
});

test('all of it is for this user only, and empty each time', async () => {
  const directory = await directories.create(standard('run-a'));
  for (const path of Object.values(directory)) expect(lstatSync(path).mode & 0o777).toBe(0o700);
  writeFileSync(join(directory.checkout, 'left'), 'x');
  await directories.create(standard('run-b'));
  expect(readdirSync(directory.checkout)).toEqual([]);
  await directories.remove(standard('run-b'));
  expect(readdirSync(join(root, 'runs'))).toEqual([]);
  await directories.remove(standard('run-b'));
});

test('links are removed, not what they lead to; read-only directories and endless paths are removed too', async () => {
  const outside = join(root, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'file'), 'x');
  chmodSync(outside, 0o755);
  const { checkout } = await directories.create(standard('run-a'));
  symlinkSync(outside, join(checkout, 'link'));
  mkdirSync(join(checkout, 'locked'));
  writeFileSync(join(checkout, 'locked', 'file'), 'x', { mode: 0o400 });
  chmodSync(join(checkout, 'locked'), 0o555);
  const name = 'd'.repeat(200);
  execFileSync('sh', ['-c', `for n in $(seq 30); do mkdir ${name} && cd -P ${name} || exit 1; done`], {
    cwd: checkout,
  });
  await directories.remove(standard('run-a'));
  expect(readdirSync(join(root, 'runs'))).toEqual([]);
  expect(readdirSync(outside)).toEqual(['file']);
  expect(lstatSync(outside).mode & 0o777).toBe(0o755);
});

test('state that the record may not have survives its directory', async () => {
  const { control } = await directories.create(standard('run-a'));
  mkdirSync(join(control, 'state'));
  writeFileSync(join(control, 'state', '0000000001.snapshot'), 'sealed');
  await directories.create(standard('run-b'));
  expect(existsSync(join(control, 'state'))).toBe(false);
  const [kept = ''] = readdirSync(join(root, 'runs', 'kept'));
  expect(kept).toMatch(/^7-\d{4}-/);
  expect(readdirSync(join(root, 'runs', 'kept', kept))).toEqual(['0000000001.snapshot']);
});

test('a run that cleans up late takes nothing from the next one, which waits until it may begin', async () => {
  const first = await directories.create(standard('run-a'));
  for (let n = 0; n < 300; n++) mkdirSync(join(first.checkout, `d${n}`));
  const removing = directories.remove(standard('run-a'));
  const { checkout } = await directories.create(standard('run-b'));
  writeFileSync(join(checkout, 'main.tf'), 'x');
  await removing;
  await directories.remove(standard('run-a'));
  expect(readdirSync(checkout)).toEqual(['main.tf']);
  await directories.remove(standard('run-b'));
  expect(readdirSync(join(root, 'runs'))).toEqual([]);
});

test('another worker of the machine that applies where this one has planned keeps its directory', async () => {
  const planned = standard('run-a');
  const { root: place, checkout } = await directories.create(planned);
  for (let n = 0; n < 300; n++) mkdirSync(join(checkout, `d${n}`));
  const other = new WorkDirectories(join(root, 'other'));
  const applied = { ...planned, worker_id: 'worker-b', work_directory: place };
  // At once: whichever of them is first, the apply has its directory afterwards.
  await Promise.all([directories.remove(planned), other.create(applied)]);
  writeFileSync(join(checkout, 'main.tf'), 'x');
  await directories.remove(planned);
  await directories.clear(directories.of(planned), 'worker-a');
  expect(readdirSync(checkout)).toEqual(['main.tf']);
  await other.remove(applied);
  expect(existsSync(place)).toBe(false);
});

test('a file that must not be lost is moved to where nothing is removed', async () => {
  const { checkout } = await directories.create(standard('run-a'));
  writeFileSync(join(checkout, 'errored.tfstate'), 'state');
  const kept = await directories.keepFile(standard('run-a'), join(checkout, 'errored.tfstate'));
  expect(await new WorkDirectories(join(root, 'runs')).keptFile(standard('run-a'))).toBe(kept);
  await directories.remove(standard('run-a'));
  expect(lstatSync(kept).mode & 0o777).toBe(0o600);
  expect(kept).toMatch(/\/kept\/7-.*-errored\.tfstate$/);
  await directories.create(standard('run-b'));
  expect(await directories.keptFile(standard('run-b'))).toBeUndefined();
});
