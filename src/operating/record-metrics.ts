import { isFinal, type RunState, speculativeRun, standardRun } from '../runs/machine.js';
import { type Counted, DURATION_BUCKETS, endingOf } from './counts.js';
import type { Figures, QueueKind, WorkerState } from './figures.js';
import { type Metric, type Sample, single } from './metric.js';

const QUEUE_KINDS: readonly QueueKind[] = ['apply', 'plan', 'speculative'];
const WORKER_STATES: readonly WorkerState[] = ['alive', 'silent', 'lost'];

/** Every state with every kind of run that knows it. */
const STATES = [
  ...(Object.keys(standardRun) as RunState[]).map((state) => ({ state, speculative: false })),
  ...(Object.keys(speculativeRun) as RunState[]).map((state) => ({ state, speculative: true })),
];

/** What the record says of this moment. It is the same in every process. */
export function figureMetrics(figures: Figures): Metric[] {
  return [...runMetrics(figures), ...workerMetrics(figures), ...outboxMetrics(figures), ...inboxMetrics(figures)];
}

function runMetrics({ runs, queue, blocked, workspaces }: Figures): Metric[] {
  const queued = QUEUE_KINDS.map((kind) => ({ kind, ...(queue.find((each) => each.kind === kind) ?? NOTHING) }));
  return [
    {
      name: 'signalbox_runs',
      type: 'gauge',
      help: 'Runs that have not ended, by state.',
      samples: STATES.filter(({ state }) => !isFinal(state)).map(({ state, speculative }) => ({
        labels: { state, speculative: String(speculative) },
        value: runs.find((each) => each.state === state && each.speculative === speculative)?.count ?? 0,
      })),
    },
    {
      name: 'signalbox_queue_runs',
      type: 'gauge',
      help: 'Runs that wait for a slot of a worker, by what they wait for it with.',
      samples: queued.map(({ kind, count }) => ({ labels: { kind }, value: count })),
    },
    {
      name: 'signalbox_queue_oldest_seconds',
      type: 'gauge',
      help: 'How long the longest of them has waited. 0: none waits.',
      samples: queued.map(({ kind, oldestSeconds }) => ({ labels: { kind }, value: oldestSeconds })),
    },
    single(
      'gauge',
      'signalbox_blocked_runs',
      'Pending runs whose turn it is not: their workspace has an older run, is locked, or is held for a pull request.',
      blocked.count,
    ),
    single('gauge', 'signalbox_blocked_oldest_seconds', 'Age of the oldest of them.', blocked.oldestSeconds),
    {
      name: 'signalbox_locked_workspaces',
      type: 'gauge',
      help: 'Workspaces that are locked, by whether a person or Signalbox itself locked them.',
      samples: [
        { labels: { by: 'person' }, value: workspaces.lockedByPerson },
        { labels: { by: 'signalbox' }, value: workspaces.lockedBySystem },
      ],
    },
    single(
      'gauge',
      'signalbox_held_workspaces',
      'Workspaces that are held for a pull request which was applied and is not merged.',
      workspaces.held,
    ),
  ];
}

function workerMetrics({ workers, inUse }: Figures): Metric[] {
  const slots = new Map<string, number>();
  for (const { name, slots: count, state } of workers)
    if (state === 'alive') slots.set(name, (slots.get(name) ?? 0) + count);
  const used = new Map([...slots.keys()].map((name) => [name, 0]));
  for (const { worker, count } of inUse) used.set(worker, count);
  const byWorker = (counts: ReadonlyMap<string, number>): Sample[] =>
    [...counts].map(([worker, value]) => ({ labels: { worker }, value }));
  return [
    {
      name: 'signalbox_workers',
      type: 'gauge',
      help: 'Workers that were not stopped in order. Silent: no sign of life for 45 s. Lost: its runs were taken from it.',
      samples: WORKER_STATES.map((state) => ({
        labels: { state },
        value: workers.filter((worker) => worker.state === state).length,
      })),
    },
    {
      name: 'signalbox_worker_slots',
      type: 'gauge',
      help: 'Slots of the workers that are alive.',
      samples: byWorker(slots),
    },
    {
      name: 'signalbox_worker_slots_in_use',
      type: 'gauge',
      help: 'Runs that are planning or applying, by the worker that has them.',
      samples: byWorker(used),
    },
  ];
}

function outboxMetrics({ outbox }: Figures): Metric[] {
  const gauge = (name: `signalbox_${string}`, help: string, value: (row: Figures['outbox'][number]) => number) => ({
    name,
    type: 'gauge' as const,
    help,
    samples: outbox.map((row) => ({ labels: { kind: row.kind }, value: value(row) })),
  });
  return [
    gauge('signalbox_outbox_effects', 'What waits to be done outside the record, by kind.', ({ count }) => count),
    gauge('signalbox_outbox_failing_effects', 'Those of them that have failed or been put off.', (row) => row.failing),
    gauge('signalbox_outbox_oldest_seconds', 'Age of the oldest of them.', (row) => row.oldestSeconds),
    gauge('signalbox_outbox_overdue_seconds', 'For how long the first has been due.', (row) => row.overdueSeconds),
  ];
}

function inboxMetrics({ deliveries, deliveriesGivenUp }: Figures): Metric[] {
  return [
    single('gauge', 'signalbox_deliveries_undone', 'Webhooks on record that are not handled yet.', deliveries.count),
    single('gauge', 'signalbox_deliveries_oldest_seconds', 'Age of the oldest of them.', deliveries.oldestSeconds),
    single(
      'gauge',
      'signalbox_deliveries_given_up',
      'Webhooks on record that could not be handled, and are not tried again.',
      deliveriesGivenUp,
    ),
  ];
}

/** What has happened since this process began, whichever process it happened in. */
export function countMetrics({ ended, stages, deliveries }: Counted): Metric[] {
  return [
    {
      name: 'signalbox_runs_ended_total',
      type: 'counter',
      help: 'Runs that ended, by the state that they ended in.',
      samples: STATES.filter(({ state }) => isFinal(state)).map(({ state, speculative }) => ({
        labels: { state, speculative: String(speculative) },
        value: ended.get(endingOf(state, speculative)) ?? 0,
      })),
    },
    {
      name: 'signalbox_stage_duration_seconds',
      type: 'histogram',
      help: 'How long plans and applies took, from the claim to the outcome, however they ended.',
      samples: (['plan', 'apply'] as const).map((stage) => ({
        labels: { stage },
        buckets: DURATION_BUCKETS.map((le, index) => ({ le, count: stages[stage].buckets[index] ?? 0 })),
        count: stages[stage].count,
        sum: stages[stage].sum,
      })),
    },
    single('counter', 'signalbox_deliveries_total', 'Webhooks that were recorded.', deliveries),
  ];
}

const NOTHING = { count: 0, oldestSeconds: 0 };
