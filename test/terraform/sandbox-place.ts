import { type ChildProcess, spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { apply } from '../../src/terraform/apply.js';
import { writeBackendOverride } from '../../src/terraform/backend.js';
import { Cgroups } from '../../src/terraform/cgroup.js';
import { init } from '../../src/terraform/init.js';
import type { RunLimits } from '../../src/terraform/limits.js';
import { plan } from '../../src/terraform/plan.js';
import { Sandbox } from '../../src/terraform/sandbox.js';
import type { StageOptions, StageSignals } from '../../src/terraform/stage.js';
import { Confinement } from '../../src/worker/confinement.js';
import { prepare, writeFiles } from './support.js';

export const LIMITS: RunLimits = { processes: 512, memory: 2 ** 31, disk: 2 ** 32, output: 2 ** 26 };

/** In two parts, since what looks for it must not find itself. */
const MARK = ['PLANT', 'ED'];
export const planted = (where: string) => `${MARK.join('')}-${where}`;

/** Looks wherever a program can look (in files: below `root`), and writes what it finds into a file. */
export const lookAround = (file: string, root = '/') => `
mark=${MARK.join('""')}
{ env; cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline
  find ${root} \\( -path /usr -o -path /proc -o -path /sys -o -path /dev \\) -prune -o -type f -size -64k -print0 | xargs -0 cat
} 2>/dev/null | tr '\\0' '\\n' | grep -ao "$mark-[a-z][a-z-]*" | sort -u >${file}
echo "looked at $(ls -d /proc/[0-9]* | wc -l)" >>${file}
`;

const onEnd: (() => void)[] = [];

export function endSecrets(): void {
  for (const end of onEnd.splice(0)) end();
}

/** A process of the server, with a secret among its variables. */
export function startSecretive(): ChildProcess {
  const child = spawn('sleep', ['600'], { env: { SECRET: planted('environ') }, stdio: 'ignore' });
  onEnd.push(() => child.kill('SIGKILL'));
  return child;
}

/** What keeps a fork bomb within bounds here, whatever else fails; counting alone does not. */
export const cgroups = await Cgroups.open().catch(() => undefined);
export const isBounded = cgroups !== undefined || process.getuid?.() !== 0;
if (!isBounded) process.stderr.write('There are no cgroups for root: no fork bomb is set off.\n');

interface PlaceOptions {
  /** Limits are kept by cgroups, too. */
  inCgroups?: boolean;
  limits?: Partial<RunLimits>;
  environment?: Record<string, string>;
  secretFiles?: string[];
  paths?: { path: string; writable: boolean }[];
}

/** A run in a data directory that holds secrets, and what runs each stage of it in a sandbox. */
export async function confinedPlace(files: Record<string, string>, options: PlaceOptions = {}) {
  const { limits = {}, environment = {}, secretFiles = [], paths = [], inCgroups = false } = options;
  const place = await prepare(files, environment);
  const { run, workspaceDirectory: checkout, planFile } = place;
  writeFiles(run, {
    'encryption-key': planted('key'),
    'app.env': planted('app-env'),
    'mirrors/acme.git/config': planted('mirror'),
    'work/other/checkout/terraform.tfvars': planted('other-run'),
    'stages/snapshots/1.tfstate': planted('snapshot'),
  });
  await writeBackendOverride(checkout);
  const sandbox = await Sandbox.open({ path: process.env.PATH ?? '', dataDirectory: run, secretFiles, paths });
  const confinement = new Confinement({ ...LIMITS, ...limits }, { sandbox, ...(inCgroups && { cgroups }) });
  const directory = {
    root: run,
    checkout,
    control: join(run, 'stages'),
    home: join(run, 'home'),
    tmp: join(run, 'tmp'),
  };
  const stage = (kind: 'init' | 'plan' | 'apply', name: string, signals?: StageSignals): StageOptions => {
    const bare = place.stage(name);
    const { terraform, environment } = bare;
    const confined = confinement.of({ kind, terraform, directory, module: checkout, planFile, environment });
    return { ...bare, ...confined, ...(signals && { signals }) };
  };
  return {
    ...place,
    sandbox,
    stage,
    init: () => init(stage('init', 'init')),
    plan: (signals?: StageSignals, name = 'plan') => plan({ ...stage('plan', name, signals), planFile }),
    apply: (signals?: StageSignals) => apply({ ...stage('apply', 'apply', signals), planFile }),
  };
}

/** A repository that brings a provider of its own: a program that does as it likes and is no provider. */
export function providerFiles(source: string, script: string): Record<string, string> {
  const [namespace, type] = source.split('/').slice(-2);
  return {
    'provider.tf': `terraform {
  required_providers {
    ${type} = {
      source = "${source}"
    }
  }
}
`,
    [`terraform.d/plugins/${source}/1.0.0/linux_amd64/terraform-provider-${type}_v1.0.0`]: `#!/bin/sh\n# ${namespace}\n${script}\n`,
  };
}

export function makeExecutable(directory: string, source: string): void {
  const type = source.split('/').at(-1);
  chmodSync(
    join(directory, `terraform.d/plugins/${source}/1.0.0/linux_amd64/terraform-provider-${type}_v1.0.0`),
    0o755,
  );
}

export function localExec(script: string): string {
  const command = JSON.stringify(script).replaceAll('${', '$${');
  return `resource "terraform_data" "a" {\n  provisioner "local-exec" {\n    command = ${command}\n  }\n}\n`;
}

export function ensureDirectory(path: string): string {
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, '.keep'), '');
  return path;
}
