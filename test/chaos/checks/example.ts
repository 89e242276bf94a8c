import type { CheckRunFact, EventFact, Evidence, RunFact } from '../evidence.js';

/** A day on which nothing went wrong: two pushes that were applied, and a pull request with its plan. For tests to spoil. */
export function goodDay(): Evidence {
  const first = run('run-1', { sequence: 1, commit: 'aaaaaaa1', createdAt: 0, endedAt: 900 });
  const second = run('run-2', { sequence: 2, commit: 'bbbbbbb2', createdAt: 100, endedAt: 1_900 });
  const plan = run('run-3', {
    sequence: 3,
    commit: 'ccccccc3',
    speculative: true,
    state: 'planned',
    trigger: 'pull_request',
    pullRequest: 1,
    createdAt: 200,
    endedAt: 400,
    applyOutput: '',
  });
  return {
    workspaces: [{ id: 1, name: 'network', repository: 'infra', lockedAt: undefined, heldFor: undefined }],
    runs: [first, second, plan],
    events: [
      ...turn('run-1', 10),
      ...turn('run-2', 1_010),
      event('run-3', 210, 'plan_started', 'planning'),
      event('run-3', 400, 'plan_finished', 'planned'),
    ],
    stateVersions: [
      { workspace: 'network', run: 'run-1', serial: 1, lineage: 'l', at: 800, resources: { a: '1' } },
      { workspace: 'network', run: 'run-2', serial: 3, lineage: 'l', at: 1_800, resources: { a: '2' } },
    ],
    journal: [
      { at: 500, what: 'begin', run: 'run-1', workspace: 'network', resource: 'a', version: '1' },
      { at: 700, what: 'end', run: 'run-1', workspace: 'network', resource: 'a', version: '1' },
      { at: 1_500, what: 'begin', run: 'run-2', workspace: 'network', resource: 'a', version: '2' },
      { at: 1_700, what: 'end', run: 'run-2', workspace: 'network', resource: 'a', version: '2' },
    ],
    blows: [],
    pushes: [push('aaaaaaa1', 0, '1'), push('bbbbbbb2', 100, '2'), { ...push('ccccccc3', 150, '3'), branch: 'change' }],
    pulls: [{ repository: 'infra', number: 1, state: 'open', head: 'ccccccc3', workspaces: ['network'] }],
    commands: [{ repository: 'infra', number: 1, body: 'plan', comment: 50, reactions: ['eyes', 'rocket'] }],
    presses: [{ run: 'run-1', button: 'apply', by: 'alice', at: 390 }],
    checkRuns: [
      checkRun(1, 'run-1/plan/1', 'aaaaaaa1', 'action_required', '1 to add, 0 to change, 0 to destroy'),
      checkRun(2, 'run-1/apply/1', 'aaaaaaa1', 'success', '1 added, 0 changed, 0 destroyed'),
      checkRun(3, 'run-2/plan/1', 'bbbbbbb2', 'success', '0 added, 0 changed, 0 destroyed, 1 replaced'),
      {
        ...checkRun(4, 'run-3/plan/1', 'ccccccc3', 'success', '1 to add, 0 to change, 0 to destroy'),
        name: 'signalbox/network (plan)',
        actions: ['apply'],
      },
      { ...checkRun(5, 'head/ccccccc3/1', 'ccccccc3', 'success', '1 of 1 workspace would change'), name: 'signalbox' },
    ],
    comments: [
      {
        repository: 'infra',
        number: 1,
        body: '<!-- signalbox: summary of this pull request -->\n| `network` | 0 | ✅ [Planned](http://g/acme/infra/runs/4) |',
      },
    ],
    undone: [],
    mishaps: [],
  };
}

function run(id: string, facts: Partial<RunFact>): RunFact {
  return {
    id,
    sequence: 0,
    workspace: 'network',
    repository: 'infra',
    speculative: false,
    state: 'applied',
    trigger: 'push',
    actor: 'alice',
    commit: '',
    pullRequest: undefined,
    reviewedRun: undefined,
    clearsHold: false,
    attempt: 1,
    createdAt: 0,
    endedAt: undefined,
    error: undefined,
    applyOutput: 'terraform_data.a: Creation complete after 0s',
    ...facts,
  };
}

function turn(id: string, from: number): EventFact[] {
  return [
    event(id, from, 'plan_started', 'planning'),
    event(id, from + 390, 'confirmed', 'confirmed', 'alice'),
    event(id, from + 400, 'apply_started', 'applying'),
    event(id, from + 890, 'apply_finished', 'applied'),
  ];
}

function event(id: string, at: number, type: string, state: string, actor?: string): EventFact {
  return { run: id, at, type, state, actor };
}

function push(after: string, at: number, version: string) {
  const content = { network: { a: version } };
  return { repository: 'infra', branch: 'main', after, at, workspaces: ['network'], content, delivered: true };
}

function checkRun(id: number, externalId: string, head: string, conclusion: string, title: string): CheckRunFact {
  const actions = conclusion === 'action_required' ? ['apply', 'discard'] : [];
  const shown = { status: 'completed', conclusion, title, summary: '', text: '', actions };
  return { id, repository: 'infra', name: 'signalbox/network', head, externalId, ...shown };
}
