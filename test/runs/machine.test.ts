import {
  IllegalTransition,
  isFinal,
  isHolding,
  isLegal,
  nextState,
  type RunEventType,
  type RunState,
  speculativeRun,
  standardRun,
  stateTitle,
} from '../../src/runs/machine.js';

const kinds = [
  { kind: 'standard', speculative: false, table: standardRun as Record<string, Record<string, string>> },
  { kind: 'speculative', speculative: true, table: speculativeRun as Record<string, Record<string, string>> },
];
const states = Object.keys({ ...standardRun, ...speculativeRun }) as RunState[];
const events = [...new Set(kinds.flatMap(({ table }) => Object.values(table).flatMap(Object.keys)))] as RunEventType[];
const pairs = kinds.flatMap((kind) => states.flatMap((state) => events.map((event) => ({ ...kind, state, event }))));

test.each(pairs)('a $kind run that is $state and meets $event', ({ speculative, table, state, event }) => {
  const expected = table[state]?.[event];
  expect(isLegal({ speculative, state }, event)).toBe(expected !== undefined);
  if (expected === undefined) {
    expect(() => nextState({ speculative, state }, event)).toThrow(IllegalTransition);
  } else {
    expect(nextState({ speculative, state }, event)).toBe(expected);
  }
});

test('nothing leads on from a final state, and something from every other', () => {
  expect(states.filter(isFinal).sort()).toEqual(
    ['applied', 'apply_errored', 'canceled', 'discarded', 'no_changes', 'plan_errored', 'planned'].sort(),
  );
});

test('a workspace is held from planning to applying, while a person is waited for too', () => {
  expect(states.filter(isHolding)).toEqual(['planning', 'needs_confirmation', 'confirmed', 'applying']);
});

test('states are read as words', () => {
  expect(stateTitle('needs_confirmation')).toBe('Needs Confirmation');
});

test('an illegal move says what was wrong', () => {
  expect(() => nextState({ speculative: false, state: 'applied' }, 'discarded')).toThrow(
    "A run that is applied can't become discarded.",
  );
});
