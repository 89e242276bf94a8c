import { expect, test } from '@jest/globals';
import type { PullRequest } from '../../src/db/schema.js';
import { byteLength } from '../../src/reports/markdown.js';
import { type CommentRow, pullRequestComment } from '../../src/reports/pull-request-comment.js';
import { replyComment, replyMarker } from '../../src/reports/reply.js';
import { addresses, HEAD, planSummary, pullRequest, repository, run } from './examples.js';

const comment = (rows: CommentRow[] | undefined, pull: Partial<PullRequest> = {}) =>
  pullRequestComment({ pullRequest: pullRequest(pull), repository, addresses, rows });
const plan = (name: string, counts = {}, overrides = {}): CommentRow => ({
  workspace: name,
  run: run({ speculative: true, state: 'planned', plan_summary: planSummary(counts), ...overrides }),
  checkRunId: 55,
  held: false,
});

test('lists workspaces, those that destroy most first, and links to their checks', () => {
  const text = comment([plan('app', { add: 2 }), plan('network', { destroy: 4, change: 1 })]);
  const rows = text.split('\n').filter((line) => line.startsWith('| `'));
  expect(rows).toEqual([
    '| `network` | **4** | 0 | 1 | 0 | ✅ [Planned](https://github.com/acme/infra/runs/55) |',
    '| `app` | 0 | 0 | 0 | 2 | ✅ [Planned](https://github.com/acme/infra/runs/55) |',
  ]);
  expect(text).toContain('| Workspace | Destroy | Replace | Change | Add | Result |');
  expect(text).toContain('comment `apply` to apply them all, `apply network` for one');
});

test('asks for `plan` where a fork waits for somebody with write access', () => {
  const text = comment([{ workspace: 'app', held: false }], { fork: true });
  expect(text).toContain('can comment `plan`');
  expect(text).toContain('✋ Waiting for `plan`');
  expect(comment([{ workspace: 'app', held: false }], { fork: true, allowed_sha: HEAD })).not.toContain('from a fork');
});

test('says how to decide where a fresh plan differs', () => {
  const differences = [{ kind: 'change', address: 'a', detail: 'b' }];
  const text = comment([
    { workspace: 'app', held: false, run: run({ state: 'needs_confirmation', approved_by: 'bob', differences }) },
  ]);
  expect(text).toContain('[Differs from the reviewed plan](https://signalbox.example/runs/');
  expect(text).toContain('or comment `apply app` or `discard app`');
});

test('says who approved, and that the workspace is held until the merge', () => {
  const applied = run({ state: 'applied', approved_by: 'bob', plan_summary: planSummary({ add: 1 }) });
  const text = comment([{ workspace: 'app', held: true, run: applied, checkRunId: 9 }]);
  expect(text).toContain('✅ [Applied](https://github.com/acme/infra/runs/9), approved by bob, held until merged');
  expect(text).toContain("what was applied isn't on `main` yet");
});

test('after the merge, says where Apply is', () => {
  const text = comment([plan('app', { add: 1 })], { state: 'merged', merge_commit_sha: 'c0ffee1234' });
  expect(text).toContain('https://github.com/acme/infra/commit/c0ffee1234/checks');
  expect(text).not.toContain('**Next:**');
});

test('an edited comment may have nothing to tell any more', () => {
  expect(comment([])).toContain('affects no workspace');
  expect(comment(undefined)).toContain('Looking for the workspaces');
});

test('of commits that came just before the close it is not said that they are looked at', () => {
  for (const [state, word] of [
    ['closed', 'Closed'],
    ['merged', 'Merged'],
  ] as const) {
    expect(comment(undefined, { state })).toMatch(new RegExp(`### . ?${word}\\n\\n.* was not planned`, 'u'));
  }
});

test('stays below the limit with hundreds of workspaces', () => {
  const rows = Array.from({ length: 900 }, (_, index) => plan(`workspace-${index}-${'x'.repeat(70)}`, { add: index }));
  const text = comment(rows);
  expect(byteLength(text)).toBeLessThan(65_536);
  expect(text).toMatch(/And \d+ more\./);
});

test('a reply can be found again, whatever its key', () => {
  const text = replyComment('--> <b>', 'No.');
  expect(text).toContain(replyMarker('--> <b>'));
  expect(text.match(/-->/g)).toHaveLength(1);
});

test('shows who locked which workspaces, and why', () => {
  const at = new Date('2026-11-24T08:00:00Z');
  const lock = { by: 'carol', at, reason: 'move @team | `x`', run: null };
  const ours = { by: null, at, reason: null, run: 'run-Z' };
  const text = comment([
    { ...plan('app', { add: 1 }), lock },
    { ...plan('db', { add: 1 }), lock: ours },
    { ...plan('network', { add: 1 }), lock },
  ]);
  expect(text).toContain('✅ [Planned](https://github.com/acme/infra/runs/55), 🔒 locked |');
  expect(text).toContain(
    '🔒 carol locked `app` and `network` at 2026-11-24 08:00:00 UTC: `` move @team | `x` ``\n\nWhat is to be applied there waits. carol or an administrator can comment `unlock`.',
  );
  expect(text).toContain('🔒 Signalbox locked `db` at 2026-11-24 08:00:00 UTC.');
  expect(text).toContain('An administrator can comment `unlock db`.');
});

test('stays below the limit with hundreds of locks', () => {
  const rows = Array.from({ length: 900 }, (_, index) => ({
    ...plan(`workspace-${index}-${'x'.repeat(70)}`, { add: index }),
    lock: { by: 'carol', at: new Date(index), reason: '😀'.repeat(300), run: null },
  }));
  expect(byteLength(comment(rows))).toBeLessThan(65_536);
  expect(comment(rows)).toContain('And 892 other locks.');
});
