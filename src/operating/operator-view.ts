import type { Db } from '../db/pool.js';
import { Counts } from './counts.js';
import { diskMetrics, stateOnDisk } from './disk-metrics.js';
import { expose } from './exposition.js';
import { readFigures } from './figures.js';
import { type GitHubBudget, githubMetrics } from './github-metrics.js';
import { type Collector, type Metric, single } from './metric.js';
import { processMetrics } from './process-metrics.js';
import { countMetrics, figureMetrics } from './record-metrics.js';
import { shared } from './shared.js';
import { type WhatWaits, whatWaits } from './waiting.js';

export interface OperatorViewOptions {
  db: Db;
  version: string;
  roles: readonly string[];
  /** Where a worker's runs have their directories. */
  workRoot: string;
  /** What GitHub lets this process do; a process that doesn't write to GitHub has none. */
  githubBudget?: (() => Promise<GitHubBudget[]>) | undefined;
}

/** What an operator sees of this process and of the record. */
export interface OperatorView {
  /** In Prometheus' text format. Never throws: what can't be found out is left out. */
  metrics(): Promise<string>;
  /** Never throws, and never takes longer than two seconds. */
  waiting(): Promise<WhatWaits>;
}

/** However often it is asked for, what costs something is looked at this often at most, in ms. */
const KEEP_MS = 3_000;

/** Prometheus waits for ten seconds unless told otherwise, a probe of readiness often for one or two. */
const METRICS_PATIENCE_MS = 3_000;
const WAITING_PATIENCE_MS = 800;

export async function openOperatorView(options: OperatorViewOptions): Promise<OperatorView> {
  const { db, version, roles, workRoot, githubBudget } = options;
  const counts = await Counts.from(db);
  const figures = shared(() => readFigures(db), KEEP_MS);
  const counted = shared(() => counts.read(), KEEP_MS);
  const disk = shared(() => stateOnDisk(workRoot), KEEP_MS);
  const budget = githubBudget && shared(githubBudget, KEEP_MS);

  const collectors: Collector[] = [
    processMetrics({ version, roles }),
    async () => {
      const now = await figures(METRICS_PATIENCE_MS).catch(() => undefined);
      return now ? [recordUp(1), ...figureMetrics(now)] : [recordUp(0)];
    },
    async () => countMetrics(await counted(METRICS_PATIENCE_MS)),
  ];
  if (roles.includes('worker')) collectors.push(async () => diskMetrics(await disk(METRICS_PATIENCE_MS)));
  if (budget) collectors.push(async () => githubMetrics(await budget(METRICS_PATIENCE_MS)));

  return {
    metrics: async () => {
      const collected = await Promise.allSettled(collectors.map(async (collect) => collect()));
      return expose(collected.flatMap((each) => (each.status === 'fulfilled' ? each.value : [])));
    },
    waiting: async () => {
      const [now, onDisk] = await Promise.all([
        figures(WAITING_PATIENCE_MS).catch(() => undefined),
        disk(WAITING_PATIENCE_MS).catch(() => undefined),
      ]);
      return whatWaits(now, onDisk?.waiting ?? 0);
    },
  };
}

function recordUp(value: 0 | 1): Metric {
  const help = 'Whether the record answered in time: without it, most metrics are missing.';
  return single('gauge', 'signalbox_record_up', help, value);
}
