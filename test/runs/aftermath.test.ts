import { expect, test } from '@jest/globals';
import type { RunProgress } from '../../src/db/schema.js';
import { aftermathOf } from '../../src/runs/aftermath.js';

const after = (more: Partial<RunProgress> | null, forced = false, begun = true) =>
  aftermathOf(
    {
      progress: more && { total: 3, applied: 1, failed: 0, inFlight: [], ...more },
      force_cancel_requested_at: forced ? new Date() : null,
    },
    begun,
  );

test('the state has what was applied only where Terraform ended by itself and handed it in', () => {
  expect(after({})).toBe('What was applied until then is in the state.');
  expect(after({}, false, false)).toBe('Nothing was applied.');
});

test.each([
  ['a forced cancel', after({}, true)],
  ['a time limit, or whatever else killed Terraform, with nothing known to be missing', after({ unsaved: [] })],
  ['one with resources missing', after({ unsaved: ['terraform_data.a'] })],
])('after %s it may be incomplete', (_, sentence) => {
  expect(sentence).toMatch(/^The state may be incomplete/);
});

test('a state that no backend took is pointed at, whatever else happened', () => {
  expect(after({ stateKept: true, unsaved: [] }, true)).toMatch(/^Its last state is not in the backend yet/);
});

test('where nothing is known nothing is claimed', () => {
  expect(after(null)).toBe('');
});
