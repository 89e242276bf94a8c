import { spawn } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What somebody would write by hand, without a queue, a record, or anybody told. It notes the time after each step. */
const SCRIPT = `set -e
note() { echo "$1 $EPOCHREALTIME" >&3; }
git clone --quiet --depth 1 "$1" checkout
cd "checkout/$2"
note checkout
terraform init -input=false -no-color
note init
terraform plan -input=false -no-color -out=plan
note plan
terraform show -json plan >plan.json
note show
terraform apply -input=false -no-color plan
note apply
`;

export const SCRIPT_STEPS = ['checkout', 'init', 'plan', 'show', 'apply'] as const;

export interface ScriptTimes {
  /** In ms. */
  total: number;
  /** How long each step took, in ms. */
  steps: Record<string, number>;
}

/** Runs the script on the head of a repository, in a new directory under `directory`. */
export async function runScript(directory: string, cloneUrl: string, workspace: string): Promise<ScriptTimes> {
  const place = join(directory, `script-${workspace}`);
  const home = join(place, 'home');
  await mkdir(home, { recursive: true });
  await writeFile(join(place, 'script.sh'), SCRIPT);
  const before = Date.now();
  const child = spawn('bash', ['script.sh', cloneUrl, workspace], {
    cwd: place,
    env: { PATH: process.env.PATH, HOME: home, CHECKPOINT_DISABLE: '1', TF_IN_AUTOMATION: '1', LC_ALL: 'C' },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
  });
  let notes = '';
  let complaints = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    complaints += text;
  });
  child.stdio[3]?.on('data', (text: Buffer) => {
    notes += text.toString();
  });
  const code = await new Promise((resolve) => child.once('close', resolve));
  const total = Date.now() - before;
  if (code !== 0) throw new Error(`The script failed:\n${complaints}`);
  await rm(place, { recursive: true, force: true });

  const steps: Record<string, number> = {};
  let last = before;
  for (const line of notes.trim().split('\n')) {
    const [step = '', seconds = ''] = line.split(' ');
    const at = Number(seconds) * 1000;
    steps[step] = at - last;
    last = at;
  }
  return { total, steps };
}
