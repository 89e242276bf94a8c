import { expect, test } from '@jest/globals';
import type { RunEvent } from '../../src/db/schema.js';
import type { RunState } from '../../src/runs/machine.js';
import { stagesOf } from '../../src/runs/stages.js';

const at = (second: number) => new Date(Date.UTC(2026, 10, 24, 9, 0, second));

function stages(...events: [second: number, type: string, state: RunState][]): string[] {
  const timeline = events.map(
    ([second, type, state], id): RunEvent => ({
      id,
      run_id: 'run-1',
      at: at(second),
      type,
      state,
      actor: null,
      detail: null,
    }),
  );
  return stagesOf({ created_at: at(0) }, timeline).map(
    ({ stage, from, to }) => `${stage} ${seconds(from)}–${seconds(to)}`,
  );
}

const seconds = (date: Date | undefined) => (date ? String((date.getTime() - at(0).getTime()) / 1_000) : '');

test('a run goes through its stages until it ends', () => {
  expect(
    stages(
      [0, 'created', 'pending'],
      [2, 'plan_started', 'planning'],
      [10, 'plan_ready', 'needs_confirmation'],
      [20, 'confirmed', 'confirmed'],
      [21, 'apply_started', 'applying'],
      [30, 'apply_finished', 'applied'],
    ),
  ).toEqual(['pending 0–2', 'plan 2–10', 'confirmation 10–20', 'apply 20–30']);
});

test('the stage that it is in has no end', () => {
  expect(stages()).toEqual(['pending 0–']);
  expect(stages([0, 'created', 'pending'], [2, 'plan_started', 'planning'])).toEqual(['pending 0–2', 'plan 2–']);
});

test('a plan that is tried again is one stage', () => {
  const died = [5, 'plan_died', 'planning'] as [number, string, RunState];
  expect(
    stages(
      [0, 'created', 'pending'],
      [2, 'plan_started', 'planning'],
      died,
      [7, 'plan_restarted', 'planning'],
      [9, 'plan_failed', 'plan_errored'],
    ),
  ).toEqual(['pending 0–2', 'plan 2–9']);
});

test('what is said beside it moves nothing, whatever state it names and whenever it comes', () => {
  expect(
    stages(
      [0, 'created', 'pending'],
      [1, 'comment', 'applying'],
      [2, 'plan_started', 'planning'],
      [3, 'cancel_requested', 'applied'],
      [4, 'canceled', 'canceled'],
      [9, 'refused', 'needs_confirmation'],
      [10, 'comment', 'canceled'],
    ),
  ).toEqual(['pending 0–2', 'plan 2–4']);
});

test('a run that is discarded while it is pending had that stage only', () => {
  expect(stages([0, 'created', 'pending'], [3, 'discarded', 'discarded'])).toEqual(['pending 0–3']);
});
