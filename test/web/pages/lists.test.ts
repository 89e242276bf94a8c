import { WorkspacePage } from '../../../src/web/pages/workspace-page.js';
import { WorkspacesPage, type WorkspacesPageProps } from '../../../src/web/pages/workspaces-page.js';
import { HOSTILE, listedRun, listedWorkspace, NOW, page, workspace, workspacePage } from './examples.js';
import { formOf, part, textOf, textsOf } from './html.js';

function workspaces(overrides: Partial<WorkspacesPageProps> = {}): string {
  return String(
    WorkspacesPage({
      page: page(),
      listing: { rows: [listedWorkspace()], newer: undefined, older: undefined },
      filter: {},
      repositories: ['acme/infra'],
      installed: true,
      ...overrides,
    }),
  );
}

describe('the list of workspaces', () => {
  it('says of each its state, commit, who and when, with links', () => {
    const text = workspaces();
    expect(textOf(text)).toContain('Applied network acme/infra 1234567 Add a second subnet 1 minute ago alice');
    expect(text).toContain('href="/acme/infra/workspaces/network"');
    expect(text).toContain('href="/runs/run-9BvRt4KpWmXc2LdQ"');
  });

  it('shows who locked one, and for what it is held', () => {
    const row = listedWorkspace({
      workspace: workspace({ locked_at: NOW, locked_by: 'carol', held_pull_request: 42 }),
    });
    const text = textOf(workspaces({ listing: { rows: [row], newer: undefined, older: undefined } }));
    expect(text).toContain('Locked by carol');
    expect(text).toContain('Held for #42');
  });

  it('keeps the filter in the links to its other pages', () => {
    const text = workspaces({
      filter: { q: 'net & co', state: 'applied', repository: 'acme/infra' },
      listing: { rows: [listedWorkspace()], newer: 'n+1', older: 'o' },
    });
    expect(text).toContain('href="/?q=net+%26+co&amp;state=applied&amp;repository=acme%2Finfra&amp;after=n%2B1"');
    expect(textsOf(text, 'a')).toEqual(expect.arrayContaining(['Newer', 'Older']));
    expect(text).toContain('<option value="applied" selected="">');
  });

  it('says what to do first where there is nothing', () => {
    const listing = { rows: [], newer: undefined, older: undefined };
    expect(
      textOf(workspaces({ listing, installed: false, installUrl: 'https://github.com/apps/signalbox' })),
    ).toContain('Install the GitHub App first');
    expect(textOf(workspaces({ listing }))).toContain('.github/signalbox.yml');
    expect(textOf(workspaces({ listing, filter: { q: 'x' } }))).toContain('No workspace matches');
  });
});

describe('the page of a workspace', () => {
  it('has its three tools', () => {
    const text = String(WorkspacePage(workspacePage()));
    expect(formOf(text, 'Queue Plan')).toEqual({
      method: 'post',
      action: '/acme/infra/workspaces/network/queue-plan',
      fields: ['csrf', 'message'],
    });
    expect(text).toContain('aria-label="Message"');
    expect(text).toContain('<a class="btn" href="/acme/infra/workspaces/network#runs">Runs</a>');
    expect(text).toContain('<a class="btn" href="/runs/run-9BvRt4KpWmXc2LdQ">Latest Run</a>');
  });

  it('is locked with a reason, and unlocked by whoever may', () => {
    expect(formOf(String(WorkspacePage(workspacePage())), 'Lock')?.fields).toEqual(['csrf', 'reason']);
    const locked = workspace({ locked_at: NOW, locked_by: 'alice', lock_reason: 'Maintenance' });
    const text = String(WorkspacePage(workspacePage({ workspace: locked, mayUnlock: true })));
    expect(textOf(text)).toContain('alice locked this workspace just now : Maintenance');
    expect(formOf(text, 'Unlock')?.action).toBe('/acme/infra/workspaces/network/unlock');
    expect(formOf(text, 'Lock')).toBeUndefined();
    expect(formOf(String(WorkspacePage(workspacePage({ workspace: locked }))), 'Unlock')).toBeUndefined();
  });

  it('is held for a pull request until whoever may write unlocks it; what is locked is unlocked first', () => {
    const held = { held_pull_request: 42 };
    const shown = (more: Parameters<typeof workspacePage>[0]) => String(WorkspacePage(workspacePage(more)));
    const text = shown({ workspace: workspace(held) });
    expect(textOf(text)).toContain('Held for #42 , which was applied and isn’t merged yet');
    expect(formOf(text, 'Unlock')?.fields).toEqual(['csrf', 'hold']);
    expect(formOf(shown({ workspace: workspace(held), access: 'read' }), 'Unlock')).toBeUndefined();
    const both = workspace({ ...held, locked_at: NOW, locked_by: 'alice' });
    expect(formOf(shown({ workspace: both, mayUnlock: true }), 'Unlock')?.fields).toEqual(['csrf', 'lock']);
    expect(formOf(shown({ workspace: both }), 'Unlock')).toBeUndefined();
  });

  it('has nothing to press for a reader', () => {
    const text = String(WorkspacePage(workspacePage({ access: 'read' })));
    expect(textsOf(text, 'button')).toEqual(['Sign out', 'Filter']);
  });

  it('says that it was removed, and offers nothing that would be refused', () => {
    const removed = { removed_at: new Date('2026-11-21T09:05:00Z'), locked_at: NOW, locked_by: 'alice' };
    const none = { rows: [], newer: undefined, older: undefined };
    const text = String(WorkspacePage(workspacePage({ workspace: workspace(removed), mayUnlock: true, runs: none })));
    expect(textOf(text)).toContain('It was removed from the configuration 3 days ago : nothing is planned');
    expect(textOf(text)).toContain('There were no runs');
    expect(formOf(text, 'Queue Plan')).toBeUndefined();
    expect(formOf(text, 'Unlock')).toBeDefined();
    const unlocked = String(WorkspacePage(workspacePage({ workspace: workspace({ removed_at: NOW }) })));
    expect(formOf(unlocked, 'Lock')).toBeUndefined();
    expect(textOf(String(WorkspacePage(workspacePage())))).not.toContain('It was removed');
  });

  it('says where each setting comes from', () => {
    const settings = part(String(WorkspacePage(workspacePage())), 'settings-title', 'state-versions');
    expect(textOf(settings)).toContain('directory infra/network signalbox.yml:3');
    expect(textOf(settings)).toContain('trigger-patterns none default');
    expect(settings).toContain('/blob/1234567890abcdef1234567890abcdef12345678/.github/signalbox.yml#L3"');
  });

  it('has the queue in its order', () => {
    const queue = {
      holder: listedRun({ state: 'applying' }),
      pending: [listedRun({ state: 'pending', message: 'One' }), listedRun({ state: 'pending', message: 'Two' })],
      pendingCount: 60,
      explanation: undefined,
    };
    const text = textOf(part(String(WorkspacePage(workspacePage({ queue }))), 'queue-title', 'runs'));
    expect(text).toMatch(/Applying .* current .* Pending One next .* Pending Two number 2 .* And 58 more\./);
  });

  it('takes no text of others for markup', () => {
    const text = String(
      WorkspacePage(
        workspacePage({
          filter: { q: HOSTILE },
          workspace: workspace({ name: HOSTILE, directory: HOSTILE, locked_at: NOW, lock_reason: HOSTILE }),
          runs: {
            rows: [listedRun({ commit_message: HOSTILE, actor: HOSTILE, branch: HOSTILE })],
            newer: 'n',
            older: 'o',
          },
        }),
      ),
    );
    expect(text).not.toContain('<script>alert');
    expect(text).not.toContain('<img src=x');
  });
});
