import { afterAll, afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { apply } from '../../src/terraform/apply.js';
import { writeBackendOverride } from '../../src/terraform/backend.js';
import { init } from '../../src/terraform/init.js';
import { plan } from '../../src/terraform/plan.js';
import { summarizePlan } from '../../src/terraform/plan-summary.js';
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
