import { expect, test } from '@jest/globals';
import type { Check, Evidence, RunFact } from '../evidence.js';
import { accounting } from './accounting.js';
import { checkRunsEqualTheRecord } from './check-runs.js';
import { commentsEqualTheRecord } from './comments.js';
import { endings } from './endings.js';
import { goodDay } from './example.js';
import { failuresHaveCauses } from './failures.js';
import { CHECKS } from './index.js';
import { once } from './once.js';
import { order } from './order.js';
import { outcomes } from './outcomes.js';
import { pressesHaveEffects } from './presses.js';
import { pushesHaveRuns } from './pushes.js';
import { stateVersionsInOrder } from './state-versions.js';

test('A day on which nothing went wrong satisfies every check', () => {
  expect(CHECKS.flatMap(({ check }) => check(goodDay()))).toEqual([]);
});

/** What is wrong, the check that has to notice, and what it says. */
const WRONGS: [string, Check, (day: Evidence) => void, RegExp][] = [
  [
    'a run that failed by itself',
    failuresHaveCauses,
    (day) => change(day, 'run-1', { state: 'apply_errored' }),
    /run-1.*only nothing/,
  ],
  ['a plan that failed because its worker died once', failuresHaveCauses, failUnderDeath, /run-2.*only kill-worker/],
  [
    'a run that plans for ever',
    endings,
    (day) => change(day, 'run-2', { state: 'planning', endedAt: undefined }),
    /run-2.*neither/,
  ],
  [
    'a speculative run that pends for ever',
    endings,
    (day) => change(day, 'run-3', { state: 'pending', endedAt: undefined }),
    /run-3/,
  ],
  [
    'a pending run that nothing holds up',
    endings,
    (day) => change(day, 'run-2', { state: 'pending', endedAt: undefined }),
    /run-2/,
  ],
  ['an effect that is never done', endings, (day) => day.undone.push('effect run_report run-1'), /still to be done/],
  ['a process that crashed', endings, (day) => day.mishaps.push('web crashed'), /web crashed/],

  [
    'a run that started before the one before it ended',
    order,
    (day) => move(day, 'run-2', -500),
    /run-2.*started while run-1/,
  ],
  [
    'a newer run that went before an older one',
    order,
    (day) => change(day, 'run-1', { sequence: 9 }),
    /run-1.*before the older run-2/,
  ],
  [
    'a run that goes on after another one has begun',
    order,
    (day) => day.journal.push({ ...entry(day, 1), at: 1_600 }),
    /run-1 went on/,
  ],
  [
    'a resource that is made after the end of its run',
    order,
    (day) => change(day, 'run-1', { endedAt: 600 }),
    /0\.1 s after the run had ended/,
  ],
  [
    'a run that nobody knows',
    order,
    (day) => day.journal.push({ ...entry(day, 3), run: 'run-x' }),
    /run-x, which is not on record/,
  ],

  [
    'a resource that one run makes twice',
    once,
    (day) => day.journal.push(entry(day, 2)),
    /run-2 made network\/a twice/,
  ],
  [
    'two runs at one resource',
    once,
    (day) => day.journal.splice(3, 0, { ...entry(day, 1), at: 1_600 }),
    /run-1 was still at network\/a/,
  ],

  [
    'a resource that was made and is nowhere',
    accounting,
    (day) => first(day.stateVersions, { resources: {} }),
    /run-1.*terraform_data\.a.*its report/,
  ],
  ['a resource that was in flight and is only in the log', accounting, lostInFlight, /terraform_data\.a.*summary/],

  ['a plan that made something', outcomes, (day) => day.events.splice(2, 1), /without an apply/],
  ['an applied run whose resource never ended', outcomes, (day) => day.journal.splice(1, 1), /never ended/],
  ['a log that lost a line', outcomes, (day) => change(day, 'run-1', { applyOutput: '' }), /the log of run-1/],
  [
    'a state that is not what was applied last',
    outcomes,
    (day) => last(day.stateVersions, { resources: { a: '1' } }),
    /network is a=1/,
  ],

  [
    'a state with another lineage',
    stateVersionsInOrder,
    (day) => last(day.stateVersions, { lineage: 'm' }),
    /another lineage/,
  ],
  [
    'an older state after a newer one',
    stateVersionsInOrder,
    (day) => last(day.stateVersions, { serial: 1 }),
    /follows 1/,
  ],
  [
    'a state from a run that had ended',
    stateVersionsInOrder,
    (day) => last(day.stateVersions, { at: 5_000 }),
    /after the end of run-2/,
  ],

  [
    'a push without a run',
    pushesHaveRuns,
    (day) => day.runs.splice(1, 1),
    /push bbbbbbb to infra has no run in network/,
  ],
  ['a lost push that no later run covers', pushesHaveRuns, loseLastPush, /never delivered/],
  [
    'a push with two runs',
    pushesHaveRuns,
    (day) => day.runs.push({ ...runOf(day, 'run-2'), id: 'run-4' }),
    /has 2 runs/,
  ],
  [
    'an older push that was queued after a newer one',
    pushesHaveRuns,
    (day) => day.runs.reverse(),
    /queued after the newer/,
  ],
  ['a head without a plan', pushesHaveRuns, (day) => day.runs.splice(2, 1), /infra#1 has no plan of network/],

  [
    'a check run that shows another state',
    checkRunsEqualTheRecord,
    (day) => change(day, 'run-2', { state: 'discarded' }),
    /conclusion success, not cancelled/,
  ],
  [
    'a run without a check run',
    checkRunsEqualTheRecord,
    (day) => day.checkRuns.splice(2, 1),
    /run-2.*has no check run/,
  ],
  [
    'a check run that is there twice',
    checkRunsEqualTheRecord,
    (day) => day.checkRuns.push({ ...at(day.checkRuns, 1), id: 9 }),
    /second time/,
  ],
  [
    'a stage that is still in progress',
    checkRunsEqualTheRecord,
    (day) => first(day.checkRuns, { status: 'in_progress' }),
    /still in_progress/,
  ],
  [
    'a button that stayed',
    checkRunsEqualTheRecord,
    (day) => Object.assign(at(day.checkRuns, 1), { actions: ['apply'] }),
    /buttons \[apply\]/,
  ],
  ['an older run in front of a newer one', checkRunsEqualTheRecord, hideTheNewer, /in front of the newer run-4/],
  [
    'a head that is still being planned',
    checkRunsEqualTheRecord,
    (day) => last(day.checkRuns, { status: 'in_progress' }),
    /check run signalbox of infra#1/,
  ],

  ['a summary that is missing', commentsEqualTheRecord, (day) => day.comments.splice(0, 1), /missing/],
  ['two summaries', commentsEqualTheRecord, (day) => day.comments.push(at(day.comments, 0)), /2 times/],
  [
    'a summary that says something else',
    commentsEqualTheRecord,
    (day) => change(day, 'run-3', { state: 'plan_errored' }),
    /network is Planned, but run-3 is plan_errored/,
  ],
  [
    'a summary of an older run',
    commentsEqualTheRecord,
    (day) => day.runs.push({ ...runOf(day, 'run-3'), id: 'run-5' }),
    /not to run-5/,
  ],
  [
    'a summary of a merged pull request that does not say so',
    commentsEqualTheRecord,
    (day) => first(day.pulls, { state: 'merged' }),
    /doesn't say Merged/,
  ],
  [
    'a command without an answer',
    commentsEqualTheRecord,
    (day) => first(day.commands, { reactions: ['eyes'] }),
    /`plan` on infra#1/,
  ],
  [
    'a refusal without a word',
    commentsEqualTheRecord,
    (day) => first(day.commands, { reactions: ['eyes', 'confused'] }),
    /without a word/,
  ],

  [
    'a button without an effect',
    pressesHaveEffects,
    (day) => first(day.presses, { by: 'carol' }),
    /carol pressed apply on run-1/,
  ],
];

test.each(WRONGS)('%s is noticed', (_, check, spoil, words) => {
  const day = goodDay();
  spoil(day);
  expect(check(day).join('\n')).toMatch(words);
});

/** Nothing right may be called wrong either. */
const RIGHTS: [string, Check, (day: Evidence) => void][] = [
  [
    'a run that waits for a person',
    endings,
    (day) => change(day, 'run-2', { state: 'needs_confirmation', endedAt: undefined }),
  ],
  ['a run that waits for a lock', endings, waitForLock],
  ['a resource that died and is named in the summary', accounting, nameInSummary],
  ['a lost push that a later run covers', pushesHaveRuns, coverFirstPush],
  [
    "a pull request's run that goes before older ones",
    order,
    (day) => change(day, 'run-1', { sequence: 9, pullRequest: 1 }),
  ],
];

test.each(RIGHTS)('%s is no difference', (_, check, alter) => {
  const day = goodDay();
  alter(day);
  expect(check(day)).toEqual([]);
});

function change(day: Evidence, id: string, facts: Partial<RunFact>): void {
  Object.assign(runOf(day, id), facts);
}

function runOf({ runs }: Evidence, id: string): RunFact {
  const run = runs.find((each) => each.id === id);
  if (!run) throw new Error(`The good day has no ${id}.`);
  return run;
}

function first<T extends object>(list: T[], facts: Partial<T>): void {
  Object.assign(at(list, 0), facts);
}

function last<T extends object>(list: T[], facts: Partial<T>): void {
  Object.assign(at(list, list.length - 1), facts);
}

function at<T>(list: T[], index: number): T {
  const item = list[index];
  if (item === undefined) throw new Error(`The good day has no item ${index} there.`);
  return item;
}

function entry({ journal }: Evidence, index: number) {
  return { ...at(journal, index) };
}

function move({ events }: Evidence, id: string, by: number): void {
  for (const event of events) if (event.run === id) event.at += by;
}

function lostInFlight(day: Evidence): void {
  day.journal.splice(3, 1);
  day.stateVersions.pop();
  Object.assign(at(day.checkRuns, 2), { text: 'terraform_data.a: Creating...' });
}

function nameInSummary(day: Evidence): void {
  lostInFlight(day);
  Object.assign(at(day.checkRuns, 2), { summary: 'In flight when it ended: `terraform_data.a`.' });
}

function loseLastPush(day: Evidence): void {
  day.runs.splice(1, 1);
  Object.assign(at(day.pushes, 1), { delivered: false });
}

function coverFirstPush(day: Evidence): void {
  day.runs.splice(0, 1);
  Object.assign(at(day.pushes, 0), { delivered: false });
}

function hideTheNewer(day: Evidence): void {
  day.runs.push({ ...runOf(day, 'run-1'), id: 'run-4', sequence: 4 });
  day.checkRuns.splice(0, 0, { ...at(day.checkRuns, 1), id: 8, externalId: 'run-4/plan/1' });
}

function failUnderDeath(day: Evidence): void {
  change(day, 'run-2', { state: 'plan_errored' });
  day.blows.push({ at: 1_100, kind: 'kill-worker' });
}

function waitForLock(day: Evidence): void {
  change(day, 'run-2', { state: 'pending', endedAt: undefined });
  first(day.workspaces, { lockedAt: 100 });
}
