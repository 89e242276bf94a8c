import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { apply } from '../../src/terraform/apply.js';
import { Cgroups } from '../../src/terraform/cgroup.js';
import { terraformEnvironment } from '../../src/terraform/environment.js';
import { init } from '../../src/terraform/init.js';
import { findTerraform } from '../../src/terraform/install.js';
import { plan } from '../../src/terraform/plan.js';
import { Sandbox } from '../../src/terraform/sandbox.js';
import { Confinement } from '../../src/worker/confinement.js';
import { sandboxAvailable } from '../support/bubblewrap.js';
import { ms, print, printTable, ratio } from './output.js';
import { median } from './statistics.js';

const LIMITS = { processes: 512, memory: 2 * 1024 ** 3, disk: 4 * 1024 ** 3, output: 64 * 1024 ** 2 };
const CASES = [
  { resources: 1, times: 9 },
  { resources: 50, times: 5 },
];
const STEPS = ['init', 'plan', 'apply'] as const;

/** The step's outcome, and how long it took in ms. `plan` is the plan and both of its `show`. */
type Times = Record<(typeof STEPS)[number], number>;

/** What the sandbox costs: the same stages of the same configuration with it and without, in turns. State in a local file. */
export async function sandbox(): Promise<void> {
  print('Sandbox: init, plan (with show) and apply, with it and without, each with its limits. Medians, in ms.');
  print();
  if (!sandboxAvailable) return print('There is no bubblewrap that works: nothing to measure.');
  const directory = await mkdtemp(join(tmpdir(), 'signalbox-bench-sandbox-'));
  try {
    const path = process.env.PATH ?? '';
    const opened = await Sandbox.open({ path, dataDirectory: directory, secretFiles: [], paths: [] });
    const cgroups = await Cgroups.open().catch(() => undefined);
    const inside = new Confinement(LIMITS, { sandbox: opened, cgroups });
    const outside = new Confinement(LIMITS, {});
    await measure(directory, 'warm-up', 1, inside);
    const rows: string[][] = [];
    for (const { resources, times } of CASES) {
      const rounds: { inside: Times; outside: Times }[] = [];
      for (let n = 0; n < times; n += 1) {
        const name = `${resources}-${n}`;
        rounds.push({
          outside: await measure(directory, `${name}-outside`, resources, outside),
          inside: await measure(directory, `${name}-inside`, resources, inside),
        });
      }
      const sum = (all: Times) => all.init + all.plan + all.apply;
      for (const [what, of] of [
        ...STEPS.map((step) => [step, (all: Times) => all[step]] as const),
        ['all', sum] as const,
      ]) {
        const [within, without] = [median(rounds.map((r) => of(r.inside))), median(rounds.map((r) => of(r.outside)))];
        rows.push([`${what}, ${resources} (${times} times)`, ms(within), ms(without), ratio(within / without)]);
      }
    }
    printTable(['step, resources', 'sandbox', 'without', 'ratio'], rows);
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
}

async function measure(base: string, name: string, resources: number, confinement: Confinement): Promise<Times> {
  const root = join(base, name);
  const at = (part: string) => join(root, part);
  const directory = { root, checkout: at('checkout'), control: at('control'), home: at('home'), tmp: at('tmp') };
  for (const each of Object.values(directory)) await mkdir(each, { recursive: true });
  const resource = (n: number) => `resource "terraform_data" "r${n}" {\n  input = "value ${n}"\n}\n`;
  await writeFile(at('checkout/main.tf'), Array.from({ length: resources }, (_, n) => resource(n)).join(''));
  const terraform = await findTerraform({ path: process.env.PATH ?? '', dataDirectory: base });
  const { environment } = terraformEnvironment({ runEnv: [], from: process.env, home: at('home'), tmp: at('tmp') });
  const planFile = at('control/plan');
  const module = directory.checkout;
  const stage = (kind: 'init' | 'plan' | 'apply') => ({
    terraform,
    workspaceDirectory: module,
    controlDirectory: at(`control/0-${kind}`),
    environment,
    ...confinement.of({ kind, terraform, directory, module, planFile, environment }),
  });
  const timed = async (work: () => Promise<{ outcome: string }>, expected: string) => {
    const began = performance.now();
    const { outcome } = await work();
    if (outcome !== expected) throw new Error(`${name} ended ${outcome}, not ${expected}.`);
    return performance.now() - began;
  };
  return {
    init: await timed(() => init(stage('init')), 'initialised'),
    plan: await timed(() => plan({ ...stage('plan'), planFile }), 'changes'),
    apply: await timed(() => apply({ ...stage('apply'), planFile }), 'applied'),
  };
}
