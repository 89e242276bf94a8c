import { controlsOf } from '../../../src/runs/controls.js';
import { isFinal } from '../../../src/runs/machine.js';
import { RunPage, type RunPageProps, regions, runPageTitle } from '../../../src/web/pages/run-page.js';
import type { ShownRun } from '../../../src/web/pages/shown-run.js';
import { RUN_STATES } from '../../../src/web/pages/state.js';
import { event, planSummary, pullRequest } from '../../reports/examples.js';
import {
  attribute,
  HOSTILE,
  NOW,
  page,
  plan,
  resource,
  runPage,
  shown,
  summary,
  timeline,
  workspace,
} from './examples.js';
import { formOf, part, textOf, textsOf } from './html.js';

const html = (overrides: Partial<RunPageProps> = {}) => String(RunPage(runPage(overrides)));
const region = (name: string, overrides: Partial<RunPageProps> = {}) => String(regions(runPage(overrides))[name]);

describe('the run page', () => {
  it('says the state in a live region that nothing else changes', () => {
    const status = region('status');
    expect(status).toMatch(/<span role="status">.*Needs Confirmation.*<\/span><span class="run-status-text">/);
    expect(textOf(status)).toMatch(/^Needs Confirmation 2 to add, 1 to change, 1 to destroy/);
    expect(status).not.toContain('<time');
  });

  it.each(RUN_STATES)('has an icon and a word for %s, first in the title, too', (state) => {
    const props = runPage({ shown: shown({ state, ended_at: isFinal(state) ? NOW : null }) });
    expect(region('status', props)).toContain('<svg');
    expect(runPageTitle(props.shown)).toMatch(/^[●◆✕○✓] [A-Z][A-Za-z ]+ · network · acme\/infra$/);
  });

  it('says how a pull request’s plan is applied, as long as it is the one that would be', () => {
    const { run } = shown({ state: 'planned', speculative: true, pull_request: 42 });
    const open = { newest: run.id, pullRequest: pullRequest({ number: 42, head_sha: run.commit_sha }) };
    const status = (more: Partial<ShownRun>) => textOf(region('status', { shown: shown(run, { ...open, ...more }) }));
    expect(status({})).toContain('To apply it, comment “apply network” on #42, or press Apply on its check run.');
    for (const more of [
      { newest: 'run-newer' },
      { appliedAs: 'run-applied' },
      { pullRequest: undefined },
      { pullRequest: pullRequest({ head_sha: 'f'.repeat(40) }) },
      { pullRequest: pullRequest({ head_sha: run.commit_sha, state: 'closed' }) },
      { workspace: workspace({ removed_at: NOW }) },
    ]) {
      expect(status(more)).toMatch(/this is what applying would do\.$/);
    }
  });

  it('has one first heading, and each region by its id', () => {
    const text = html();
    expect(textsOf(text, 'h1')).toEqual(['Add a second subnet']);
    for (const [id, element] of Object.entries(regions(runPage()))) {
      expect(String(element)).toMatch(new RegExp(`^<[a-z]+ id="${id}"`));
      expect(text).toContain(`id="${id}"`);
    }
  });

  it('is called by what was said when it was queued by hand', () => {
    const queued = shown();
    expect(textsOf(html({ shown: { ...queued, run: { ...queued.run, message: 'After the outage' } } }), 'h1')).toEqual([
      'After the outage',
    ]);
  });

  it('leads to the commit, the branch and the pull request on GitHub', () => {
    const facts = region('facts', { shown: shown({ pull_request: 12, branch: 'feature/ü#1' }) });
    expect(facts).toContain('href="https://github.com/acme/infra/commit/1234567890abcdef1234567890abcdef12345678"');
    expect(facts).toContain('href="https://github.com/acme/infra/tree/feature/%C3%BC%231"');
    expect(facts).toContain('href="https://github.com/acme/infra/pull/12"');
  });

  it('shows what happened with who did it, the exact time, and how long it took', () => {
    const comment = event('comment', '09:03:00', {
      actor: 'bob',
      detail: 'Looks right.\nGo on.',
      state: 'needs_confirmation',
    });
    const text = region('timeline', { shown: shown({}, { timeline: [...timeline, comment] }) });
    expect(textOf(text)).toContain('alice queued this run 2 minutes ago');
    expect(textOf(text)).toContain('started planning 2 minutes ago , took 14 s');
    expect(textOf(text)).toContain('bob commented 2 minutes ago Looks right. Go on.');
    expect(text).toContain('<time datetime="2026-11-24T09:02:11.000Z" title="2026-11-24 09:02:11 UTC">');
  });

  it('takes no text of others for markup, and cuts what is too long', () => {
    const text = html({
      shown: shown(
        {
          actor: HOSTILE,
          branch: HOSTILE,
          commit_message: HOSTILE,
          pull_request: 1,
          worker: HOSTILE,
          plan_summary: summary,
          diagnostics: [{ severity: 'error', summary: HOSTILE, detail: HOSTILE, address: HOSTILE, file: HOSTILE }],
          differences: [{ kind: HOSTILE, address: HOSTILE, detail: HOSTILE }],
        },
        { timeline: [event(HOSTILE, '09:02:11', { actor: HOSTILE, detail: HOSTILE })] },
      ),
      plan: {
        resources: [resource({ address: HOSTILE, reason: HOSTILE, attributes: [attribute(HOSTILE, HOSTILE, 'x')] })],
        drift: [],
        outputs: [],
      },
    });
    expect(text).not.toContain('<script>alert');
    expect(text).not.toContain('<img src=x');
    expect(text).not.toContain(' style=');
    expect(textsOf(text, 'h1')[0]?.length).toBeLessThan(200);
  });
});

describe('the controls', () => {
  const controls = (overrides: Partial<RunPageProps>) => region('controls', overrides);

  it('confirm at once when nothing is lost', () => {
    const text = controls({ shown: shown({ plan_summary: planSummary({ add: 1 }) }) });
    expect(formOf(text, 'Confirm & Apply')).toEqual({
      method: 'post',
      action: '/runs/run-9BvRt4KpWmXc2LdQ/confirm',
      fields: ['csrf'],
    });
    expect(textsOf(text, 'button')).toEqual(['Confirm & Apply', 'Discard Plan']);
  });

  it('ask first when something would be destroyed or replaced', () => {
    expect(formOf(controls({}), 'Confirm & Apply')).toEqual({
      method: 'get',
      action: '/runs/run-9BvRt4KpWmXc2LdQ#controls',
      fields: ['ask'],
    });
    const asked = controls({ ask: true });
    expect(textsOf(asked, 'button')).toEqual(['Confirm & Apply']);
    expect(formOf(asked, 'Confirm & Apply')?.method).toBe('post');
    expect(textOf(asked)).toContain('This destroys 1 and replaces 1 resource: aws_security_group.legacy');
  });

  it.each([
    ['pending', 'discard', 'Discard Run'],
    ['needs_confirmation', 'discard', 'Discard Plan'],
    ['planning', 'cancel', 'Cancel Run'],
    ['applying', 'cancel', 'Cancel Run'],
  ] as const)('of a run that is %s: %s is called %s, and says what it does', (state, control, name) => {
    const text = controls({ shown: shown({ state }) });
    expect(formOf(text, name)).toMatchObject({ method: 'post', action: `/runs/run-9BvRt4KpWmXc2LdQ/${control}` });
    for (const does of textsOf(text, 'p')) expect(does).toMatch(/\.$/);
  });

  it('have Force Cancel hidden until its time', () => {
    const from = new Date(NOW.getTime() + 10_000);
    const canceling = shown({ state: 'applying', cancel_requested_at: NOW, cancel_requested_by: 'alice' });
    const offered = (now: Date) => controlsOf(canceling.run, 'admin', now);
    const early = controls({ shown: canceling, controls: offered(NOW) });
    expect(early).toContain('<div class="control" data-from="2026-11-24T09:05:10.000Z" hidden="">');
    const due = controls({ shown: canceling, controls: offered(from), page: page({ now: from }) });
    expect(due).not.toContain('hidden=""');
    expect(textsOf(due, 'button')).toEqual(['Force Cancel']);
  });

  it('are none for a reader, who is told what they would take', () => {
    const text = html({ access: 'read', controls: [] });
    expect(textsOf(text, 'button')).toEqual(['Sign out']);
    expect(textOf(text)).toContain('takes write access to the repository');
  });

  it('have a box for a comment, which is the same in every state: what is being typed stays', () => {
    expect(formOf(html(), 'Add comment')).toEqual({
      method: 'post',
      action: '/runs/run-9BvRt4KpWmXc2LdQ/comment',
      fields: ['csrf', 'comment'],
    });
    const { commenting, ...others } = regions(runPage());
    for (const element of Object.values(others)) expect(String(element)).not.toContain('<textarea');
    const later = runPage({ shown: shown({ state: 'applied', ended_at: NOW }) });
    expect(region('commenting', later)).toBe(String(commenting));
    expect(region('commenting', runPage({ access: 'read', controls: [] }))).toBe('<div id="commenting"></div>');
  });
});

describe('the plan', () => {
  it('has what is lost first, and Terraform’s word beside each address', () => {
    const text = region('plan');
    expect(textsOf(text, 'h3')).toEqual([
      ...['Destroy 1', 'Replace 1', 'Update 1', 'Create 2', 'Read 1', 'Move 1', 'Import 1', 'Forget 1'],
      ...['Outputs 2', 'Changed outside of Terraform 1'],
    ]);
    expect(textOf(text)).toContain('replace aws_instance.bastion["eu-central-1a"] forced by ami');
    expect(textOf(text)).toContain('move aws_vpc.main moved from aws_vpc.this');
    expect(textOf(text)).toContain('import aws_s3_bucket.logs imported from acme-logs');
  });

  it('marks what is sensitive or unknown, and what forces a replacement', () => {
    const text = textOf(region('plan'));
    expect(text).toContain('ami forces replacement "ami-0c55b159cbfafe1f0" "ami-08f3d892de259504d"');
    expect(text).toContain('id "i-0abc1234def567890" (known after apply)');
    expect(text).toContain('user_data (sensitive value) (sensitive value)');
    expect(text).toContain('2 unchanged attributes');
  });

  it('cuts a large value, and has the whole of it behind a fold', () => {
    const large = `"${'x'.repeat(5_000)}"`;
    const resources = [resource({ attributes: [attribute('input', undefined, large)] })];
    const text = region('plan', { plan: { ...plan, resources } });
    expect(text).toContain('…</bdi>');
    expect(textOf(text)).toContain(`All 5002 characters ${large}`);
  });

  it.each([
    ['needs_confirmation', true],
    ['planned', true],
    ['applying', false],
    ['applied', false],
  ] as const)('of a run that is %s is open: %s', (state, open) => {
    expect(/<details class="box"[^>]* open=""/.test(region('plan', { shown: shown({ state }) }))).toBe(open);
  });

  it('says what differs from the plan that was approved', () => {
    const differences = [{ kind: 'resource', address: 'aws_vpc.main', detail: 'is destroyed, too' }];
    const text = textOf(region('plan', { shown: shown({ differences }) }));
    expect(text).toContain('What differs from the reviewed plan aws_vpc.main is destroyed, too');
  });
});

describe('the progress', () => {
  const progress = { total: 5, applied: 2, failed: 1, inFlight: ['aws_vpc.b'], done: ['aws_vpc.a', 'aws_vpc.c'] };

  it('says in words and figures how far an apply is', () => {
    const text = region('progress', { shown: shown({ state: 'applying', progress }) });
    expect(text).toContain('role="progressbar"');
    expect(text).toContain('aria-valuenow="2"');
    expect(textOf(text)).toContain('2 of 5 resources applied, 1 failed, 1 in progress');
    expect(textOf(text)).toContain('aws_vpc.b in progress');
    expect(textOf(text)).toContain('aws_vpc.c done');
  });

  it('explains what a pending run waits for, and who can move that', () => {
    const explanation = {
      ahead: 1,
      waitsFor: {
        run: 'run-AAAABBBBCCCCDDDD',
        state: 'needs_confirmation' as const,
        since: new Date('2026-11-24T08:40:00Z'),
        githubId: undefined,
        actor: 'carol',
        pullRequest: undefined,
      },
    };
    const text = region('progress', { shown: shown({ state: 'pending' }, { explanation }) });
    expect(textOf(text)).toContain('Number 2 in the queue. It waits for run-AAAABBBBCCCCDDDD');
    expect(textOf(text)).toContain('carol or anybody with write access can apply or discard it.');
    expect(text).toContain('href="/runs/run-AAAABBBBCCCCDDDD"');
  });
});

describe('a diagnostic', () => {
  it('stands beside the code it speaks of, and leads to that line on GitHub', () => {
    const snippet = { code: 'a {\n  büro = 1\n}', startLine: 11, highlight: [6, 10] as [number, number] };
    const diagnostic = {
      severity: 'error' as const,
      summary: 'Wrong',
      detail: 'It is.',
      file: 'net/main.tf',
      startLine: 12,
    };
    const text = region('diagnostics', { shown: shown({ diagnostics: [{ ...diagnostic, snippet } as never] }) });
    expect(text).toContain('/acme/infra/blob/1234567890abcdef1234567890abcdef12345678/net/main.tf#L12"');
    expect(text).toContain('data-line="12"');
    expect(text).toContain('<mark>büro</mark>');
    expect(textOf(text)).toContain('Error: Wrong net/main.tf :12');
  });
});

describe('a long timeline', () => {
  it('has its newest events in sight, and the others behind a fold', () => {
    const comments = Array.from({ length: 60 }, (_, index) =>
      event('comment', '09:03:00', { detail: `Number ${index}.` }),
    );
    const text = region('timeline', { shown: shown({}, { timeline: comments }) });
    expect(textOf(part(text, 'timeline-title', 'timeline-newest'))).toContain('10 earlier');
  });
});
