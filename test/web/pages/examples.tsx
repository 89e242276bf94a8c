import type { Run, RunEvent, Workspace } from '../../../src/db/schema.js';
import { controlsOf } from '../../../src/runs/controls.js';
import type { AttributeView, PlanView, ResourceView } from '../../../src/terraform/plan-view.js';
import type { PageContext } from '../../../src/web/pages/page-context.js';
import type { RunPageProps } from '../../../src/web/pages/run-page.js';
import type { ListedRun, ShownRun } from '../../../src/web/pages/shown-run.js';
import type { WorkspacePageProps } from '../../../src/web/pages/workspace-page.js';
import type { ListedWorkspace } from '../../../src/web/pages/workspaces-page.js';
import { event, planSummary, run as recordedRun } from '../../reports/examples.js';

/** What pages are given, as the routes would have read it. */

export const NOW = new Date('2026-11-24T09:05:00Z');
export const repository = { id: 1, owner: 'acme', name: 'infra' };

export function page(overrides: Partial<PageContext> = {}): PageContext {
  return {
    now: NOW,
    githubUrl: 'https://github.com',
    version: '0.1.0',
    session: { id: 'hash', login: 'alice', csrf: 'the-token' },
    asset: (name) => `/assets/0123456789abcdef/${name}`,
    ...overrides,
  };
}

export function workspace(overrides: Partial<Workspace> = {}): Workspace {
  return {
    id: 1,
    repository_id: 1,
    name: 'network',
    directory: 'infra/network',
    branch: 'main',
    auto_apply: false,
    trigger_prefixes: [],
    trigger_patterns: [],
    apply_requirements: ['mergeable', 'undiverged'],
    supersede_pending: false,
    created_at: new Date('2026-11-01T08:00:00Z'),
    removed_at: null,
    applied_identity: null,
    state_lock: null,
    held_pull_request: null,
    held_head_sha: null,
    locked_at: null,
    locked_by: null,
    lock_reason: null,
    lock_run: null,
    settings_origin: null,
    latest_run: null,
    latest_state: null,
    latest_ended_at: null,
    ...overrides,
  };
}

export const timeline: RunEvent[] = [
  event('created', '09:02:11', { actor: 'alice' }),
  event('plan_started', '09:02:12.4', { state: 'planning' }),
  event('plan_ready', '09:02:26', { state: 'needs_confirmation' }),
];

export function shown(run: Partial<Run> = {}, overrides: Partial<ShownRun> = {}): ShownRun {
  return {
    run: recordedRun({ state: 'needs_confirmation', worker: 'worker-1', ...run }),
    workspace: workspace(),
    repository,
    pullRequest: undefined,
    timeline,
    explanation: undefined,
    githubCheckRun: 4711,
    ...overrides,
  };
}

export function attribute(path: string, before: string | undefined, after: string | undefined): AttributeView {
  return {
    path,
    change: before === undefined ? 'add' : after === undefined ? 'remove' : before === after ? 'same' : 'change',
    ...(before !== undefined && { before: { kind: 'value', text: before } }),
    ...(after !== undefined && { after: { kind: 'value', text: after } }),
    forcesReplacement: false,
  };
}

export function resource(overrides: Partial<ResourceView> = {}): ResourceView {
  return { address: 'terraform_data.subnet', action: 'create', attributes: [], ...overrides };
}

export const plan: PlanView = {
  resources: [
    resource({
      address: 'aws_security_group.legacy',
      action: 'destroy',
      reason: 'it is not in the configuration any more',
      attributes: [attribute('name', '"legacy-ssh"', undefined), attribute('vpc_id', '"vpc-0a1b2c3d"', undefined)],
    }),
    resource({
      address: 'aws_instance.bastion["eu-central-1a"]',
      action: 'replace',
      attributes: [
        { ...attribute('ami', '"ami-0c55b159cbfafe1f0"', '"ami-08f3d892de259504d"'), forcesReplacement: true },
        {
          path: 'id',
          change: 'change',
          before: { kind: 'value', text: '"i-0abc1234def567890"' },
          after: { kind: 'unknown' },
          forcesReplacement: false,
        },
        {
          path: 'user_data',
          change: 'change',
          before: { kind: 'sensitive' },
          after: { kind: 'sensitive' },
          forcesReplacement: false,
        },
        attribute('instance_type', '"t3.micro"', '"t3.micro"'),
        attribute('tags.Name', '"bastion"', '"bastion"'),
      ],
    }),
    resource({
      address: 'aws_iam_policy.deploy',
      action: 'update',
      attributes: [
        attribute(
          'policy',
          JSON.stringify(
            { Version: '2012-10-17', Statement: [{ Effect: 'Allow', Action: ['s3:*'], Resource: '*' }] },
            null,
            2,
          ),
          JSON.stringify(
            {
              Version: '2012-10-17',
              Statement: [
                { Effect: 'Allow', Action: ['s3:GetObject', 's3:PutObject'], Resource: 'arn:aws:s3:::acme/*' },
              ],
            },
            null,
            2,
          ),
        ),
      ],
    }),
    resource({
      address: 'module.vpc.aws_subnet.private[2]',
      attributes: [
        attribute('availability_zone', undefined, '"eu-central-1c"'),
        attribute('cidr_block', undefined, '"10.0.3.0/24"'),
        { path: 'id', change: 'add', after: { kind: 'unknown' }, forcesReplacement: false },
      ],
    }),
    resource({
      address: 'module.vpc.aws_route_table_association.private[2]',
      attributes: [attribute('subnet_id', undefined, '"x"')],
    }),
    resource({ address: 'data.aws_ami.bastion', action: 'read' }),
    resource({ address: 'aws_vpc.main', action: 'move', movedFrom: 'aws_vpc.this' }),
    resource({ address: 'aws_s3_bucket.logs', action: 'import', imported: 'acme-logs' }),
    resource({ address: 'aws_key_pair.old', action: 'forget' }),
  ],
  drift: [
    resource({
      address: 'aws_instance.web',
      action: 'update',
      attributes: [attribute('tags.Owner', '"platform"', '"alice"')],
    }),
  ],
  outputs: [
    {
      name: 'subnet_ids',
      action: 'update',
      before: { kind: 'value', text: '["subnet-1", "subnet-2"]' },
      after: { kind: 'unknown' },
    },
    { name: 'database_password', action: 'create', after: { kind: 'sensitive' } },
  ],
};

export const summary = planSummary({
  add: 2,
  change: 1,
  destroy: 1,
  replace: 1,
  import: 1,
  move: 1,
  forget: 1,
  outputs: 2,
});

export function runPage(overrides: Partial<RunPageProps> = {}): RunPageProps {
  const run = overrides.shown ?? shown({ plan_summary: summary });
  return {
    page: page(),
    access: 'write',
    shown: run,
    controls: controlsOf(run.run, 'write', NOW),
    plan,
    ask: false,
    outputs: {
      plan: <Stub name="Plan output" />,
    },
    ...overrides,
  };
}

/** Stands where an output stands. */
function Stub({ name }: { name: string }) {
  return (
    <details class="box">
      <summary class="box-head">{name}</summary>
    </details>
  );
}

export function listedRun(overrides: Partial<ListedRun> = {}): ListedRun {
  return {
    ...recordedRun({ state: 'applied', plan_summary: summary, ended_at: new Date('2026-11-24T09:04:00Z') }),
    ...overrides,
  };
}

export function listedWorkspace(overrides: Partial<ListedWorkspace> = {}): ListedWorkspace {
  return { workspace: workspace(), repository, run: listedRun(), ...overrides };
}

export function workspacePage(overrides: Partial<WorkspacePageProps> = {}): WorkspacePageProps {
  return {
    page: page(),
    access: 'write',
    workspace: workspace(),
    repository,
    runs: { rows: [listedRun()], newer: undefined, older: undefined },
    filter: {},
    latestCompleted: 'run-9BvRt4KpWmXc2LdQ',
    queue: { holder: undefined, pending: [], pendingCount: 0, explanation: undefined },
    settings: {
      sha: '1234567890abcdef1234567890abcdef12345678',
      settings: [
        { key: 'directory', value: 'infra/network', origin: { file: '.github/signalbox.yml', line: 3 } },
        { key: 'branch', value: 'main', origin: 'default' },
        { key: 'auto-apply', value: false, origin: 'default' },
        { key: 'trigger-patterns', value: [], origin: 'default' },
        { key: 'apply-requirements', value: ['mergeable', 'undiverged'], origin: 'default' },
      ],
    },
    stateVersions: [
      {
        id: 8,
        run_id: 'run-9BvRt4KpWmXc2LdQ',
        serial: 8,
        resources: 14,
        created_at: new Date('2026-11-24T09:04:00Z'),
      },
    ],
    mayUnlock: false,
    ...overrides,
  };
}

/** What a stranger may have written: markup, a right-to-left override, no space to wrap at, and too much of it. */
export const HOSTILE = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>\u202Egnp.exe 🧨${'A'.repeat(9_900)}`;
