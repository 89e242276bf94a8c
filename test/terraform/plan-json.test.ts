import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { apply } from '../../src/terraform/apply.js';
import { writeBackendOverride } from '../../src/terraform/backend.js';
import { init } from '../../src/terraform/init.js';
import { plan } from '../../src/terraform/plan.js';
import { summarizePlan } from '../../src/terraform/plan-summary.js';
import { hideMarked, REDACTED, redact } from '../../src/terraform/redact.js';
import { readStateSummary, StateFileError } from '../../src/terraform/state-file.js';
import { prepare, removeTemporaryDirectories, startStateServer, writeFiles } from './support.js';

afterAll(removeTemporaryDirectories);

let server: Awaited<ReturnType<typeof startStateServer>>;
beforeEach(async () => {
  server = await startStateServer();
});
afterEach(() => server.stop());

/** Applies one configuration after another, and gives the plan of the last one. */
async function planOf(...configurations: string[]) {
  const { stage, planFile, workspaceDirectory } = await prepare({}, server.environment);
  await writeBackendOverride(workspaceDirectory);
  for (const [at, text] of configurations.entries()) {
    writeFiles(workspaceDirectory, { 'main.tf': text });
    expect((await init(stage(`init-${at}`))).diagnostics).toEqual([]);
    const planned = await plan({ ...stage(`plan-${at}`), planFile });
    if (planned.outcome !== 'changes') throw new Error(JSON.stringify(planned.diagnostics));
    if (at === configurations.length - 1) return planned;
    expect((await apply({ ...stage(`apply-${at}`), planFile })).outcome).toBe('applied');
  }
  throw new Error('There was no configuration.');
}

test('a summary counts every kind of change', async () => {
  const { summary } = await planOf(
    `resource "terraform_data" "changed" { input = 1 }
resource "terraform_data" "replaced" { triggers_replace = 1 }
resource "terraform_data" "destroyed" {}
resource "terraform_data" "old" {}
resource "terraform_data" "forgotten" {}
resource "terraform_data" "same" {}
output "same" { value = 1 }
output "gone" { value = 1 }
`,
    `resource "terraform_data" "changed" { input = 2 }
resource "terraform_data" "replaced" { triggers_replace = 2 }
resource "terraform_data" "new" {}
resource "terraform_data" "imported" {}
resource "terraform_data" "same" {}
moved {
  from = terraform_data.old
  to   = terraform_data.new
}
removed {
  from = terraform_data.forgotten
  lifecycle {
    destroy = false
  }
}
import {
  to = terraform_data.imported
  id = "an-id"
}
resource "terraform_data" "added" {}
output "same" { value = 1 }
output "fresh" { value = 1 }
`,
  );
  expect(summary).toEqual({
    add: 1,
    change: 1,
    destroy: 1,
    replace: 1,
    import: 1,
    move: 1,
    forget: 1,
    outputs: 2,
    resources: [
      { address: 'terraform_data.added', action: 'create', imported: false },
      { address: 'terraform_data.changed', action: 'update', imported: false },
      { address: 'terraform_data.destroyed', action: 'delete', imported: false },
      { address: 'terraform_data.forgotten', action: 'forget', imported: false },
      { address: 'terraform_data.imported', action: 'no-op', imported: true },
      { address: 'terraform_data.new', action: 'no-op', imported: false, movedFrom: 'terraform_data.old' },
      { address: 'terraform_data.replaced', action: 'replace', imported: false },
    ],
  });
  expect(summarizePlan({})).toMatchObject({ add: 0, outputs: 0, resources: [] });
});

describe('redaction', () => {
  test('leaves no sensitive value in a plan, and everything else', async () => {
    const configuration = (suffix: string) => `
variable "secret" {
  default   = { a = "hunter2-${suffix}", b = ["hunter3-${suffix}"] }
  sensitive = true
}
resource "terraform_data" "a" {
  input = { open = "visible-${suffix}", hidden = var.secret.a }
}
module "m" {
  source = "./m"
  inner  = var.secret
}
output "s" {
  value     = var.secret
  sensitive = true
}
output "o" { value = "visible-output-${suffix}" }
`;
    const { stage, planFile, workspaceDirectory } = await prepare(
      {
        'main.tf': configuration('1'),
        'm/main.tf': `variable "inner" {
  default   = "hunter4"
  sensitive = true
}
resource "terraform_data" "b" { input = var.inner }
`,
      },
      server.environment,
    );
    await writeBackendOverride(workspaceDirectory);
    await init(stage('init'));
    await plan({ ...stage('plan'), planFile });
    await apply({ ...stage('apply'), planFile });
    writeFiles(workspaceDirectory, { 'main.tf': configuration('2') });
    const planned = await plan({ ...stage('plan-2'), planFile });
    if (planned.outcome !== 'changes') throw new Error(planned.outcome);

    const before = JSON.stringify(planned.plan);
    const shown = redact(planned.plan);
    expect(JSON.stringify(planned.plan)).toBe(before);
    for (const part of [
      'variables',
      'planned_values',
      'resource_changes',
      'output_changes',
      'configuration',
    ] as const) {
      expect(JSON.stringify(planned.plan[part])).toContain('hunter');
    }
    // terraform_data hands its input on as an output that it doesn't mark: known to Terraform, and its matter.
    const text = JSON.stringify(shown, (key, value) => (key === 'output' ? undefined : value));
    expect(text).not.toContain('hunter');
    expect(text).toContain('visible-1');
    expect(text).toContain('visible-2');
    expect(text).toContain('visible-output-2');
    expect(shown.variables).toEqual({ secret: { value: REDACTED } });
  });

  test('follows marks of any shape', () => {
    expect(hideMarked({ a: 1, b: [1, { c: 2 }] }, { a: true, b: [false, { c: true }] })).toEqual({
      a: REDACTED,
      b: [1, { c: REDACTED }],
    });
    expect(hideMarked({ a: 1 }, false)).toEqual({ a: 1 });
    expect(hideMarked([1], true)).toBe(REDACTED);
    expect(hideMarked(null, true)).toBeNull();
    expect(redact('no object')).toBe('no object');
  });
});

describe('a state snapshot', () => {
  test('is summed up', () => {
    const state = {
      version: 4,
      terraform_version: '1.11.4',
      serial: 3,
      lineage: 'l',
      resources: [
        { mode: 'managed', instances: [{}, {}] },
        { mode: 'data', instances: [{}] },
      ],
    };
    const expected = { serial: 3, lineage: 'l', terraformVersion: '1.11.4', resources: 2 };
    expect(readStateSummary(JSON.stringify(state))).toEqual(expected);
    expect(readStateSummary(Buffer.from(JSON.stringify(state)))).toEqual(expected);
  });

  test.each(['', '{', '[]', '{"version":3}', '{"version":4,"serial":-1,"lineage":"x"}'])('is not "%s"', (text) => {
    expect(() => readStateSummary(text)).toThrow(StateFileError);
  });
});
