import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  BackendMismatchError,
  BackendOverrideError,
  checkBackend,
  clearLeftovers,
  detectBackend,
  lastOverrideName,
  UnsafePathError,
  writeBackendOverride,
} from '../../src/terraform/backend.js';
import { init } from '../../src/terraform/init.js';
import { fingerprintResolved } from '../../src/terraform/modules.js';
import { prepare, removeTemporaryDirectories, startStateServer, temporaryDirectory, writeFiles } from './support.js';

afterAll(removeTemporaryDirectories);

describe('the backend that a configuration names', () => {
  const detect = async (files: Record<string, string>) => {
    const directory = temporaryDirectory();
    writeFiles(directory, files);
    return detectBackend(directory);
  };

  test.each<[string, Record<string, string>]>([
    ['nothing is said', { 'main.tf': 'resource "terraform_data" "a" {}' }],
    ['there is no file', {}],
    ['it is local', { 'main.tf': 'terraform {\n  backend "local" {}\n}' }],
    [
      'it is only said in override files',
      {
        'a_override.tf': 'terraform {\n  backend "s3" {}\n}',
        'override.tf.json': '{"terraform":{"backend":{"s3":{}}}}',
      },
    ],
    [
      'it is only said in a file that Terraform ignores',
      {
        '.main.tf': 'terraform {\n  cloud {}\n}',
        'main.tf~': 'terraform {\n  cloud {}\n}',
      },
    ],
    ['it is only spoken of', { 'main.tf': '# backend "s3" {}\nlocals {\n  cloud = "backend \\"s3\\" {}"\n}' }],
    ['it is in a module below', { 'modules/x/main.tf': 'terraform {\n  backend "s3" {}\n}' }],
  ])('is none where %s', async (_, files) => {
    expect(await detect(files)).toEqual({ kind: 'none' });
  });

  test.each<[string, string, Record<string, string>]>([
    [
      's3',
      'b.tf',
      {
        'a.tf': 'terraform {\n  required_version = ">= 1.9"\n}',
        'b.tf': 'terraform {\n  backend "s3" {\n    bucket = "b"\n  }\n}',
      },
    ],
    ['cloud', 'a.tf', { 'a.tf': 'terraform {\n  cloud {\n    organization = "o"\n  }\n}' }],
    ['http', 'a.tf', { 'a.tf': 'terraform {\n  backend "http" {}\n}' }],
    ['gcs', 'a.tf.json', { 'a.tf.json': '{"terraform":{"back\\u0065nd":{"gcs":{}}}}' }],
    ['gcs', 'a.tf.json', { 'a.tf.json': '{"terraform":[{"backend":[{"gcs":{}}]}]}' }],
  ])('is %s in %s', async (type, file, files) => {
    expect(await detect(files)).toEqual({ kind: 'own', type, file });
  });

  test('is unknown where a file is broken or leads elsewhere', async () => {
    expect(await detect({ 'a.tf': 'terraform {\n  backend "s3" {' })).toMatchObject({ kind: 'unknown', file: 'a.tf' });
    expect(await detect({ 'a.tf.json': '{' })).toMatchObject({ kind: 'unknown', file: 'a.tf.json' });
    const directory = temporaryDirectory();
    symlinkSync('/dev/zero', join(directory, 'zero.tf'));
    expect(await detectBackend(directory)).toMatchObject({ kind: 'unknown', file: 'zero.tf' });
  });
});

describe('the override file', () => {
  test('sorts after whatever there is, byte by byte', () => {
    const name = fc.oneof(
      fc.constantFrom(
        '~z_override.tf',
        'é_override.tf.json',
        '🚂_override.tf',
        'zzz_override.tf',
        '\u{10ffff}x',
        '\ud7ff',
      ),
      fc.string({ minLength: 1, maxLength: 60, unit: 'grapheme' }).filter((text) => !/[/\0]/.test(text)),
    );
    fc.assert(
      fc.property(fc.array(name), (names) => {
        const present = names.map((text) => Buffer.from(text));
        const ours = Buffer.from(lastOverrideName(present));
        expect(ours.toString()).toMatch(/^[^.].*_override\.tf\.json$/su);
        expect(present.every((other) => Buffer.compare(other, ours) < 0)).toBe(true);
      }),
    );
  });

  test('has a plain name unless something sorts after it', () => {
    expect(lastOverrideName([Buffer.from('main.tf')])).toBe('signalbox_override.tf.json');
    expect(lastOverrideName([Buffer.from('tests')])).toBe('~signalbox_override.tf.json');
  });

  test('finds a name beside the longest ones, and says when there is none', () => {
    expect(lastOverrideName([Buffer.from(`~${'~'.repeat(254)}`)])).toBe('\u007fsignalbox_override.tf.json');
    expect(() => lastOverrideName([Buffer.alloc(255, 0xff)])).toThrow(BackendOverrideError);
  });

  test('is not written through a link, nor outside of the checkout', async () => {
    const root = temporaryDirectory();
    const outside = temporaryDirectory();
    symlinkSync(outside, join(root, 'module'));
    await expect(writeBackendOverride(join(root, 'module'), root)).rejects.toThrow(UnsafePathError);
    expect(readdirSync(outside)).toEqual([]);

    mkdirSync(join(root, 'real'));
    symlinkSync(join(outside, 'target'), join(root, 'real', 'signalbox_override.tf.json'));
    const name = await writeBackendOverride(join(root, 'real'), root);
    expect(name).toBe('~signalbox_override.tf.json');
    expect(readdirSync(outside)).toEqual([]);
  });
});

describe('with real Terraform', () => {
  let server: Awaited<ReturnType<typeof startStateServer>>;
  beforeEach(async () => {
    server = await startStateServer();
  });
  afterEach(() => server.stop());

  const foreign = (path: string) => `terraform {\n  backend "local" {\n    path = "${path}"\n  }\n}\n`;

  test.each(['~z_override.tf', 'é_override.tf.json', '🚂_override.tf', 'zzz_override.tf.json', '~~~_override.tf'])(
    'ours beats %s',
    async (name) => {
      const text = name.endsWith('.json') ? '{"terraform":{"backend":{"local":{"path":"mine"}}}}' : foreign('mine');
      const { workspaceDirectory, stage } = await prepare(
        { 'main.tf': 'resource "terraform_data" "a" {}\n', [name]: text },
        server.environment,
      );
      await writeBackendOverride(workspaceDirectory);
      const { outcome, diagnostics } = await init(stage('init'));
      expect({ outcome, diagnostics }).toEqual({ outcome: 'initialised', diagnostics: [] });
      await checkBackend(workspaceDirectory);
    },
  );

  test('without the override, and where the repository would configure it, the check says so', async () => {
    const { workspaceDirectory, stage } = await prepare(
      { 'main.tf': 'terraform {\n  backend "http" {\n    address = "http://127.0.0.1:9/"\n  }\n}\n' },
      server.environment,
    );
    await expect(checkBackend(workspaceDirectory)).rejects.toThrow(BackendMismatchError);
    await init(stage('init'));
    await expect(checkBackend(workspaceDirectory)).rejects.toThrow('The repository configures our backend: address.');
    writeFileSync(join(workspaceDirectory, '.terraform/terraform.tfstate'), '{"backend":{"type":"s3","config":{}}}');
    await expect(checkBackend(workspaceDirectory)).rejects.toThrow('"s3"');
  });

  test('what a plan has left in the place of files is neither followed nor shown', async () => {
    const { run, workspaceDirectory, stage } = await prepare({ 'main.tf': '' }, server.environment);
    await writeBackendOverride(workspaceDirectory);
    await init(stage('init'));
    const secret = join(run, 'secret');
    writeFileSync(secret, 'hunter2hunter2');
    symlinkSync(secret, join(workspaceDirectory, '.terraform/environment'));
    const failed = await checkBackend(workspaceDirectory).catch((error: Error) => error);
    expect(String(failed)).toContain("can't be read");
    expect(String(failed)).not.toContain('hunter2');

    execFileSync('mkfifo', [join(workspaceDirectory, '.terraform.lock.hcl')]);
    await expect(fingerprintResolved(workspaceDirectory)).rejects.toThrow('is no file');
  });

  test('what the repository brought of an earlier Terraform is cleared, and named', async () => {
    const { workspaceDirectory, stage } = await prepare(
      {
        'main.tf': 'resource "terraform_data" "a" {}\n',
        'errored.tfstate': '{}',
        'terraform.tfstate':
          '{"version":4,"serial":1,"lineage":"x","terraform_version":"1.11.4","resources":[],"outputs":{"a":{"value":"b","type":"string"}}}',
        '.terraform/environment': 'other',
      },
      server.environment,
    );
    await writeBackendOverride(workspaceDirectory);
    expect(await clearLeftovers(workspaceDirectory)).toEqual(['.terraform', 'errored.tfstate', 'terraform.tfstate']);
    expect((await init(stage('init'))).outcome).toBe('initialised');
    await checkBackend(workspaceDirectory);
    expect(existsSync(join(workspaceDirectory, 'errored.tfstate'))).toBe(false);
    expect(readFileSync(join(workspaceDirectory, '.terraform/terraform.tfstate'), 'utf8')).not.toContain('127.0.0.1');
  });
});
