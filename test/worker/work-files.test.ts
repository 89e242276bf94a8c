import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { removeTree } from '../../src/worker/work-directory.js';
import { manifestOf, packWorkFiles, unpackWorkFiles, WorkFilesError } from '../../src/worker/work-files.js';

let parent: string;
let planned: string;
let applied: string;
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'signalbox-files-'));
  planned = join(parent, 'planned');
  applied = join(parent, 'applied');
  write(planned, { 'main.tf': 'main', 'a/same.tf': 'same', 'a/changed.txt': 'old', 'dir/inner.txt': 'inner' });
  symlinkSync('/etc', join(planned, 'out'));
  cpSync(planned, applied, { recursive: true, verbatimSymlinks: true });
});
// As an ordinary user rmSync stops at read-only directories.
afterEach(() => removeTree(parent));

function write(root: string, files: Record<string, string>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** Everything in a directory: path, kind, mode and content. */
function list(root: string): string[] {
  return execFileSync('find', ['.', '-printf', '%P %y %m %l\n'], { cwd: root }).toString().trim().split('\n').sort();
}

async function carryOver(change: () => void): Promise<Buffer> {
  const before = await manifestOf(planned);
  change();
  const packed = await packWorkFiles(planned, before);
  await unpackWorkFiles(applied, packed);
  return packed;
}

test('what is new or changed comes along, and nothing else', async () => {
  const before = JSON.parse(JSON.stringify(await manifestOf(planned)));
  write(planned, { '.terraform.lock.hcl': 'lock', '.terraform/modules/modules.json': '{}', 'a/new.zip': 'zip' });
  appendFileSync(join(planned, 'a/changed.txt'), ' and new');
  write(planned, { '.terraform/providers/registry.terraform.io/x/y': 'provider' });
  const packed = await packWorkFiles(planned, before);
  writeFileSync(join(applied, 'a/same.tf'), 'not touched');
  await unpackWorkFiles(applied, packed);
  expect(readFileSync(join(applied, '.terraform.lock.hcl'), 'utf8')).toBe('lock');
  expect(readFileSync(join(applied, '.terraform/modules/modules.json'), 'utf8')).toBe('{}');
  expect(readFileSync(join(applied, 'a/new.zip'), 'utf8')).toBe('zip');
  expect(readFileSync(join(applied, 'a/changed.txt'), 'utf8')).toBe('old and new');
  expect(readFileSync(join(applied, 'a/same.tf'), 'utf8')).toBe('not touched');
  expect(existsSync(join(applied, '.terraform/providers'))).toBe(false);
});

test('nothing happened: almost nothing is packed', async () => {
  expect((await carryOver(() => undefined)).length).toBeLessThan(50);
});

test('a file of the same size and time as before counts as changed', async () => {
  const { atime, mtime } = lstatSync(join(planned, 'a/changed.txt'));
  await carryOver(() => {
    writeFileSync(join(planned, 'a/changed.txt'), 'OLD');
    utimesSync(join(planned, 'a/changed.txt'), atime, mtime);
  });
  expect(readFileSync(join(applied, 'a/changed.txt'), 'utf8')).toBe('OLD');
});

test('modes, odd names, empty and read-only directories', async () => {
  await carryOver(() => {
    write(planned, { 'run.sh': '#!/bin/sh', 'ü "odd"\nname': 'x', 'locked/deep/file': 'x' });
    writeFileSync(Buffer.concat([Buffer.from(`${planned}/`), Buffer.from([0xff, 0xfe])]), 'bytes');
    chmodSync(join(planned, 'run.sh'), 0o755);
    mkdirSync(join(planned, 'empty'));
    chmodSync(join(planned, 'locked/deep/file'), 0o400);
    chmodSync(join(planned, 'locked/deep'), 0o555);
    chmodSync(join(planned, 'locked'), 0o555);
  });
  expect(list(applied)).toEqual(list(planned));
  expect(readFileSync(join(applied, 'ü "odd"\nname'), 'utf8')).toBe('x');
});

test('links stay links, and are never followed', async () => {
  const outside = join(parent, 'outside');
  mkdirSync(outside);
  writeFileSync(join(outside, 'secret'), 'secret');
  const packed = await carryOver(() => {
    symlinkSync(outside, join(planned, 'link'));
    symlinkSync('nowhere', join(planned, 'a/broken'));
  });
  expect(readlinkSync(join(applied, 'link'))).toBe(outside);
  expect(readlinkSync(join(applied, 'a/broken'))).toBe('nowhere');
  expect(packed.length).toBeLessThan(500);
});

test('a directory may have become a link, and a link a directory or a file', async () => {
  const outside = join(parent, 'outside');
  mkdirSync(outside);
  await carryOver(() => {
    rmSync(join(planned, 'dir'), { recursive: true });
    symlinkSync(outside, join(planned, 'dir'));
    rmSync(join(planned, 'out'));
    write(planned, { 'out/file': 'inside' });
  });
  expect(list(applied)).toEqual(list(planned));
  expect(lstatSync(join(applied, 'out')).isDirectory()).toBe(true);
  expect(readdirSync(outside)).toEqual([]);
  expect(existsSync('/etc/file')).toBe(false);
});

test('nothing is written through a link that the target has and the source had not', async () => {
  const outside = join(parent, 'outside');
  mkdirSync(outside);
  const before = await manifestOf(planned);
  write(planned, { 'dir/new': 'x' });
  const packed = await packWorkFiles(planned, before);
  rmSync(join(applied, 'dir'), { recursive: true });
  symlinkSync(outside, join(applied, 'dir'));
  await expect(unpackWorkFiles(applied, packed)).rejects.toThrow('leads through something that is no directory');
  expect(readdirSync(outside)).toEqual([]);
});

test('pipes and sockets are left alone', async () => {
  await carryOver(() => void execFileSync('mkfifo', [join(planned, 'pipe')]));
  expect(existsSync(join(applied, 'pipe'))).toBe(false);
});

test('more than 256 MiB are refused in words', async () => {
  const before = await manifestOf(planned);
  write(planned, { 'huge.bin': '' });
  truncateSync(join(planned, 'huge.bin'), 257 * 1024 * 1024);
  const packed = packWorkFiles(planned, before);
  await expect(packed).rejects.toThrow(WorkFilesError);
  await expect(packed).rejects.toThrow('more than 256 MiB (at huge.bin)');
});
