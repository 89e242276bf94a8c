import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Run } from '../../src/db/schema.js';
import { actionsOf, conclusionOf } from '../../src/reports/buttons.js';
import { runCheck } from '../../src/reports/check-run.js';
import { byteLength } from '../../src/reports/markdown.js';
import { isFinal, isLegal, type RunState, speculativeRun, standardRun } from '../../src/runs/machine.js';
import { event, HEAD, planSummary, pullRequest, report, run } from './examples.js';

const title = (overrides: Partial<Run>) => runCheck(run(overrides), report()).output.title;
const summary = (overrides: Partial<Run>, more = {}) => runCheck(run(overrides), report(more)).output.summary;
const change = planSummary({ add: 3, change: 1 });

describe('the title', () => {
  test('counts what a plan would do', () => {
    expect(title({ state: 'needs_confirmation', plan_summary: change })).toBe('3 to add, 1 to change, 0 to destroy');
    expect(title({ state: 'needs_confirmation', plan_summary: planSummary({ add: 1, replace: 2 }) })).toBe(
      '1 to add, 0 to change, 0 to destroy, 2 to replace',
    );
    expect(title({ state: 'planned', speculative: true, plan_summary: planSummary({ outputs: 2 }) })).toBe(
      '0 to add, 0 to change, 0 to destroy, 2 outputs',
    );
  });

  test('counts the progress of an apply', () => {
    const progress = { total: 40, applied: 12, failed: 0, inFlight: [] };
    expect(title({ state: 'applying', progress })).toBe('12 of 40 applied');
    expect(title({ state: 'applied', plan_summary: change })).toBe('3 added, 1 changed, 0 destroyed');
  });

  test('says what a pending run waits for', () => {
    const waiting = (queue: object) => runCheck(run(), report({ queue: queue as never })).output.title;
    const since = new Date('2026-11-24T08:00:00Z');
    const waitsFor = { run: 'run-A', state: 'needs_confirmation', since, githubId: 5, actor: 'bob' };
    expect(waiting({ ahead: 0, waitsFor })).toBe('Waiting for run-A (Needs Confirmation)');
    expect(waiting({ ahead: 2, waitsFor })).toBe('Waiting for run-A (Needs Confirmation) and 2 other runs');
    expect(waiting({ ahead: 0, heldFor: { pullRequest: 7 } })).toBe('Held for pull request #7');
    expect(waiting({ ahead: 0 })).toBe('Waiting for a free worker');
  });

  test('names what went wrong', () => {
    const diagnostics = [{ severity: 'error' as const, summary: 'Unsupported\nargument', detail: '' }];
    expect(title({ state: 'plan_errored', diagnostics })).toBe('Plan errored: Unsupported argument');
    expect(title({ state: 'plan_errored', error: 'The disk is full.\nMore' })).toBe('Plan errored: The disk is full.');
  });
});

describe('a pending run', () => {
  const at = new Date('2026-11-24T08:00:00Z');
  const waitsFor = { run: 'run-A', state: 'needs_confirmation', since: at, githubId: 5, actor: 'bob', pullRequest: 9 };
  const pending = (queue: object, more = {}) =>
    summary({ state: 'pending' }, { queue: { ahead: 0, ...queue }, ...more });

  test('says its place, what it waits for, since when, and who can move that', () => {
    const text = pending({ ahead: 2, waitsFor });
    expect(text).toContain(
      '**Number 3** in the queue of `network`. Waiting for [`run-A`](https://github.com/acme/infra/runs/5): Needs confirmation since 2026-11-24 08:00:00 UTC. 3 runs are ahead in all. bob or anybody with write access can **Apply** or **Discard** it on its check run or [its page](https://signalbox.example/runs/run-A).',
    );
    expect(pending({ waitsFor: { ...waitsFor, actor: 'renovate[bot]' } })).toContain(
      '**Next** in the queue of `network`.',
    );
    expect(pending({ waitsFor: { ...waitsFor, actor: 'renovate[bot]' } })).toContain(
      ' Anybody with write access can **Apply**',
    );
    expect(pending({ waitsFor: { ...waitsFor, state: 'applying' } })).toContain(
      'It goes on by itself; to stop it, anybody with write access can comment `signalbox cancel network` on [#9](https://github.com/acme/infra/pull/9) or press **Cancel Run** on [its page](https://signalbox.example/runs/run-A).',
    );
    expect(pending({ waitsFor: { ...waitsFor, state: 'planning', pullRequest: undefined } })).toContain(
      'It goes on by itself; to stop it, anybody with write access can press **Cancel Run** on [its page](https://signalbox.example/runs/run-A).',
    );
  });

  test('says its place also where all before it wait for a pull request', () => {
    expect(pending({ ahead: 1, heldFor: { pullRequest: 7 } })).toContain('**Number 2** in the queue of `network`.');
  });

  test('says for about how long, where that can be told', () => {
    const pace = { medianMs: 42_000, runs: 20 };
    expect(pending({ waitsFor, outlook: { ...pace, startsAt: at } })).toContain(
      'A run of this workspace takes 42 s, by the median of its last 20, so this one should start at about 2026-11-24 08:00:00 UTC.',
    );
    expect(pending({ waitsFor, outlook: { ...pace, because: 'people' } })).toContain("can't be foretold");
    expect(pending({ waitsFor, outlook: { ...pace, because: 'overdue' } })).toContain(
      'the one that is under way takes longer',
    );
  });

  test('says who locked its workspace, when and why, and who can end that', () => {
    const lock = { by: 'carol', at, reason: 'move @team | `x` <b>', run: null };
    const text = pending({ lock });
    expect(text).toContain('carol locked `network` at 2026-11-24 08:00:00 UTC: ``move @team | `x` <b>``');
    expect(text).toContain(
      "carol or an administrator of this repository can end that: comment `signalbox unlock network` on any of its pull requests, or press **Unlock** on the workspace's page.",
    );
    expect(text).not.toContain('free slot');
    const ours = pending({ lock: { by: null, at, reason: 'worker-1 was lost', run: 'run-Z' } });
    expect(ours).toContain(
      'Signalbox locked `network` at 2026-11-24 08:00:00 UTC because of `run-Z`: `worker-1 was lost`',
    );
    expect(ours).toContain('\n\nAn administrator of this repository can end that');
    const title = runCheck(run(), report({ queue: { ahead: 0, lock } })).output.title;
    expect(title).toBe('Locked by carol: move @team | `x` <b>');
    expect(runCheck(run(), report({ queue: { ahead: 0, lock: { ...lock, reason: null } } })).output.title).toBe(
      'Locked by carol',
    );
  });

  test('shows the comment that discards it, also where it is the run of a merge, and the page', () => {
    expect(pending({}, { conversation: 12 })).toContain(
      'To discard it, comment `signalbox discard network` on [#12](https://github.com/acme/infra/pull/12), or press **Discard Run** on [its page](https://signalbox.example/runs/run-',
    );
    expect(pending({})).toContain(
      'To discard it, press **Discard Run** on [its page](https://signalbox.example/runs/run-',
    );
  });
});

describe('a cancel', () => {
  const asked = { cancel_requested_at: new Date('2026-11-24T09:02:11Z'), cancel_requested_by: 'bob' };
  const forced = {
    ...asked,
    force_cancel_requested_at: new Date('2026-11-24T09:03:00Z'),
    force_cancel_requested_by: 'root',
  };

  test('says from when on it can be forced, by whom and how', () => {
    const text = summary({ state: 'applying', confirmed_by: 'alice', ...asked }, { conversation: 12 });
    expect(text).toContain(
      "If it hasn't ended by 2026-11-24 09:02:21 UTC, an administrator of this repository can comment `signalbox force-cancel network` on [#12]",
    );
    expect(text).toContain('or press **Force Cancel** on [its page](');
    expect(text).not.toContain('To stop it');
    expect(summary({ state: 'planning', ...asked })).not.toContain('force-cancel');
    expect(summary({ state: 'applying', ...asked })).toContain('can press **Force Cancel** on [its page](');
    expect(title({ state: 'planning', ...asked })).toBe('Planning, canceling as bob asked');
  });

  test('that is forced says so, and that the state may be incomplete', () => {
    expect(title({ state: 'applying', ...forced })).toBe('Applying, being killed as root asked');
    expect(summary({ state: 'applying', ...forced })).toContain(
      'root asked to force the cancel: Terraform is being killed. The state may be incomplete',
    );
  });

  test('that was forced says what was in flight', () => {
    const progress = { total: 9, applied: 3, failed: 0, inFlight: ['terraform_data.a', 'terraform_data.b["`"]'] };
    const ended = { state: 'canceled' as const, progress, ...forced };
    const timeline = [event('apply_started', '09:00:00'), event('canceled', '09:03:01', { actor: 'bob' })];
    expect(title(ended)).toBe('Force-canceled by root after 3 of 9 were applied');
    const text = summary(ended, { timeline });
    expect(text).toContain('By bob. root forced the cancel. The state may be incomplete');
    expect(text).toContain('In flight when it was killed: `terraform_data.a`, ``terraform_data.b["`"]``.');
    expect(text).not.toContain('is in the state');
  });
});

test('a superseded run links to the one in its place', () => {
  const discarded = { state: 'discarded' as const, superseded_by: 'run-B' };
  expect(title(discarded)).toBe('Superseded by run-B');
  expect(summary(discarded)).toContain('A newer push took its place: [`run-B`](https://signalbox.example/runs/run-B).');
  expect(summary(discarded, { successor: { run: 'run-B', githubId: 77 } })).toContain(
    '[`run-B`](https://github.com/acme/infra/runs/77)',
  );
});

describe('the buttons', () => {
  const states = [...Object.keys(standardRun)] as RunState[];

  test('are those that the machine allows, for every state of both kinds of run', () => {
    for (const speculative of [false, true]) {
      for (const state of speculative ? (Object.keys(speculativeRun) as RunState[]) : states) {
        const of = { state, speculative, commit_sha: HEAD };
        const identifiers = actionsOf(of).map(({ identifier }) => identifier);
        const waits = conclusionOf(of) !== undefined && !isFinal(state);
        expect(identifiers.includes('apply')).toBe(waits && isLegal(of, 'confirmed'));
        expect(identifiers.includes('discard')).toBe(waits && isLegal(of, 'discarded'));
      }
    }
  });

  test('offer to apply the plan of an open pull request at its head, and of no other', () => {
    const planned = { state: 'planned' as const, speculative: true, commit_sha: HEAD };
    const offered = (pull?: ReturnType<typeof pullRequest>) => actionsOf(planned, pull).length > 0;
    expect(offered(pullRequest())).toBe(true);
    expect(offered(pullRequest({ head_sha: 'other' }))).toBe(false);
    expect(offered(pullRequest({ state: 'merged' }))).toBe(false);
    expect(offered(undefined)).toBe(false);
  });

  test('stay within GitHub limits', () => {
    for (const action of actionsOf({ state: 'needs_confirmation', speculative: false, commit_sha: HEAD })) {
      expect(action.label.length).toBeLessThanOrEqual(20);
      expect(action.description.length).toBeLessThanOrEqual(40);
      expect(action.identifier.length).toBeLessThanOrEqual(20);
    }
  });
});

describe('the summary', () => {
  test('shows what differs from the reviewed plan', () => {
    const differences = [{ kind: 'provisioner', address: 'terraform_data.a', detail: 'local-exec `rm` | changed' }];
    const text = summary({ state: 'needs_confirmation', approved_by: 'bob', differences, plan_summary: change });
    expect(text).toContain('differs from the one that bob approved');
    expect(text).toContain('| `provisioner` | `terraform_data.a` | ``local-exec `rm` \\| changed`` |');
  });

  test('answers buttons that were refused, the newest first', () => {
    const timeline = [
      event('created', '09:00:00'),
      event('refused', '09:01:00', { actor: 'mallory', detail: 'Only people with write access may apply.' }),
      event('refused', '09:02:00', { actor: 'bob', detail: 'The run is Applied.' }),
    ];
    const text = summary({ state: 'applied', confirmed_by: 'alice' }, { timeline });
    expect(text).toContain('- 2026-11-24 09:02:00 UTC, bob: The run is Applied.\n- 2026-11-24 09:01:00 UTC, mallory:');
  });

  test('says what was written with a plan that was queued by hand, so that none of it means anything', () => {
    const message = 'After | the `outage`\n@acme/everybody';
    const text = summary({ trigger: 'page', message });
    expect(text).toContain('| Trigger | Queue Plan by alice |');
    expect(text).toContain('| Message | ``After \\| the `outage` @acme/everybody`` |');
    expect(summary({})).not.toContain('| Message |');
  });

  test('leaves comments to the run’s page, and the durations as they are', () => {
    const [created, ...rest] = report().timeline;
    const said = event('comment', '09:02:20', { actor: 'bob', detail: 'Not on a Friday.' });
    const timeline = [created, ...rest.slice(0, 1), said, ...rest.slice(1)].flatMap((each) => each ?? []);
    expect(summary({ state: 'needs_confirmation' }, { timeline })).toBe(summary({ state: 'needs_confirmation' }));
    const outage = [...timeline, event('waiting', '09:02:30', { detail: 'Waiting for git.' })];
    const commented = [...outage, event('comment', '09:02:31', { actor: 'bob', detail: 'Why?' })];
    expect(summary({ state: 'planning', worker_id: 'w' }, { timeline: commented })).toContain('Waiting for git.');
  });

  test('has the timeline with durations', () => {
    expect(summary({ state: 'needs_confirmation', plan_summary: change })).toContain(
      '| Planning | 2026-11-24 09:02:12 | 14 s |  |',
    );
  });
});

test('diagnostics become annotations on their lines, errors first, fifty at most', () => {
  const warning = { severity: 'warning' as const, summary: 'Old', detail: '', file: 'main.tf', startLine: 3 };
  const error = {
    severity: 'error' as const,
    summary: 'Bad',
    detail: 'Why',
    file: 'main.tf',
    startLine: 7,
    endLine: 8,
  };
  const nowhere = { severity: 'error' as const, summary: 'Nowhere', detail: '' };
  const check = runCheck(run({ state: 'plan_errored', diagnostics: [warning, nowhere, error] }), report());
  expect(check.output.annotations).toEqual([
    { path: 'main.tf', start_line: 7, end_line: 8, annotation_level: 'failure', title: 'Bad', message: 'Why' },
    { path: 'main.tf', start_line: 3, end_line: 3, annotation_level: 'warning', title: 'Old', message: 'Old' },
  ]);
  const many = runCheck(run({ state: 'plan_errored', diagnostics: Array(80).fill(error) }), report());
  expect(many.output.annotations).toHaveLength(50);
  expect(many.output.summary).toContain('50 of 80 are shown on their lines.');
});

test('an apply stands above its plan, both fenced', () => {
  const check = runCheck(
    run({ state: 'applied' }),
    report({ planOutput: '\u001b[32m+ create\u001b[0m ```', applyOutput: 'Apply complete!' }),
  );
  expect(check.output.text).toBe(
    '#### Apply\n\n```text\nApply complete!\n```\n\n#### Plan\n\n````text\n+ create ```\n````\n',
  );
});

test('no run is too much for GitHub', () => {
  const wild = fc.oneof(
    fc.string({ maxLength: 40 }),
    fc.constantFrom(
      '`'.repeat(70_000),
      '|'.repeat(3_000),
      '\u202e'.repeat(9_000),
      '😀'.repeat(20_000),
      '\n'.repeat(9_000),
    ),
  );
  const state = fc.constantFrom(...(Object.keys(standardRun) as RunState[]));
  fc.assert(
    fc.property(state, wild, wild, wild, fc.integer({ min: 0, max: 300 }), (inState, a, b, c, many) => {
      const check = runCheck(
        run({
          state: inState,
          commit_message: a,
          message: c,
          branch: b,
          actor: c,
          error: a,
          plan_summary: planSummary({ add: many }),
          progress: { total: 9, applied: 1, failed: 1, inFlight: Array(many).fill(b) },
          differences: Array(many).fill({ kind: a, address: b, detail: c }),
          force_cancel_requested_by: c,
          force_cancel_requested_at: many % 2 ? new Date() : null,
          diagnostics: Array(many).fill({ severity: 'error', summary: a, detail: b, file: 'a.tf', startLine: 1 }),
        }),
        report({
          timeline: Array.from({ length: many }, (_, index) =>
            event(index % 2 ? 'refused' : 'plan_started', '09:00:00', { actor: a, detail: c }),
          ),
          queue: { ahead: many, lock: { by: c, at: new Date(), reason: a, run: b } },
          planOutput: `${a}\n${b}`.repeat(3),
          applyOutput: `${b}${c}`.repeat(3),
        }),
      );
      expect(byteLength(check.output.summary)).toBeLessThanOrEqual(65_535);
      expect(byteLength(check.output.text ?? '')).toBeLessThanOrEqual(65_535);
      expect(check.output.title.length).toBeLessThanOrEqual(320);
      expect(check.output.title).not.toContain('\n');
      expect(check.output.annotations.length).toBeLessThanOrEqual(50);
      expect(check.actions.length).toBeLessThanOrEqual(3);
      expect(check.status === 'completed').toBe(check.conclusion !== undefined);
    }),
    { numRuns: 60 },
  );
});
