import { expect, test } from '@jest/globals';
import { type Head, headCheck } from '../../src/reports/head-check.js';
import { settingsCheck } from '../../src/reports/settings-check.js';
import { addresses, HEAD, planSummary, pullRequest, repository, run } from './examples.js';

const verdict = (head: Partial<Head>) => {
  const { status, conclusion, output } = headCheck({
    externalId: 'head/1',
    addresses,
    repository,
    pullRequests: [pullRequest()],
    mergeGroup: false,
    workspaces: [],
    ...head,
  });
  return [conclusion ?? status, output.title];
};
const planned = (name: string, state: 'planned' | 'plan_errored' | 'planning' | 'no_changes' | 'canceled') => ({
  name,
  run: run({ speculative: true, state, plan_summary: planSummary({ add: 1 }) }),
});

test('passes where no workspace is affected', () => {
  expect(verdict({})).toEqual(['success', 'No workspace is affected']);
  expect(verdict({ pullRequests: [], mergeGroup: true })).toEqual(['success', 'No workspace is affected']);
});

test('fails while signalbox.yml has problems: what the commit affects is not known for sure', () => {
  expect(verdict({ pullRequests: [pullRequest({ settings_problems: 2 })] })).toEqual([
    'failure',
    'signalbox.yml has 2 problems',
  ]);
});

test('waits while it is not known what is affected, and while plans are made', () => {
  expect(verdict({ pullRequests: [pullRequest({ affected_sha: null })] })).toEqual([
    'in_progress',
    'Looking for affected workspaces',
  ]);
  expect(verdict({ workspaces: [planned('a', 'planned'), planned('b', 'planning'), { name: 'c' }] })).toEqual([
    'in_progress',
    '1 of 3 workspaces planned',
  ]);
});

test('passes when every plan is fine, fails when one failed', () => {
  expect(verdict({ workspaces: [planned('a', 'planned'), planned('b', 'no_changes')] })).toEqual([
    'success',
    '1 of 2 workspaces would change',
  ]);
  expect(verdict({ workspaces: [planned('a', 'planned'), planned('b', 'plan_errored')] })).toEqual([
    'failure',
    'b could not be planned',
  ]);
});

test('an unplanned fork needs somebody, and a dropped plan does', () => {
  const fork = pullRequest({ fork: true });
  expect(verdict({ pullRequests: [fork], workspaces: [{ name: 'a' }] })[0]).toBe('action_required');
  expect(verdict({ pullRequests: [fork] })[0]).toBe('success');
  const allowed = pullRequest({ fork: true, allowed_sha: HEAD });
  expect(verdict({ pullRequests: [allowed], workspaces: [{ name: 'a' }] })[0]).toBe('in_progress');
  expect(verdict({ workspaces: [planned('a', 'canceled')] })[0]).toBe('action_required');
});

test('a commit that is no head any more is let go', () => {
  expect(verdict({ pullRequests: [] })[0]).toBe('cancelled');
});

test('problems of the settings stand on their lines', () => {
  const check = settingsCheck(
    [{ path: '.github/signalbox.yml', line: 4, endLine: 5, message: 'Unknown key `nmae`' }],
    'config/1',
  );
  expect(check).toMatchObject({ name: 'signalbox/config', conclusion: 'failure', output: { title: '1 problem' } });
  expect(check.output.annotations).toEqual([
    expect.objectContaining({
      path: '.github/signalbox.yml',
      start_line: 4,
      end_line: 5,
      message: 'Unknown key `nmae`',
    }),
  ]);
  expect(settingsCheck([], 'config/1').conclusion).toBe('success');
});
