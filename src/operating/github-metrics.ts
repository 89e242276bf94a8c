import type { Metric } from './metric.js';

/** What GitHub still lets an installation do, as this process knows it. */
export interface GitHubBudget {
  /** The number of the installation. */
  installation: number;
  /** What is counted against what, as `requests` (GitHub's hourly limit) or `content_minute`. */
  limits: { limit: string; allowed: number; remaining: number }[];
  /** For how long, in seconds, GitHub still asks not to be asked. 0: it doesn't. */
  pauseSeconds: number;
}

export function githubMetrics(budgets: readonly GitHubBudget[]): Metric[] {
  const limits = budgets.flatMap(({ installation, limits }) =>
    limits.map(({ limit, ...rest }) => ({ ...rest, labels: { installation: String(installation), limit } })),
  );
  return [
    {
      name: 'signalbox_github_budget_allowed',
      type: 'gauge',
      help: "What GitHub's limits allow an installation, by limit.",
      samples: limits.map(({ labels, allowed }) => ({ labels, value: allowed })),
    },
    {
      name: 'signalbox_github_budget_remaining',
      type: 'gauge',
      help: 'What is left of that.',
      samples: limits.map(({ labels, remaining }) => ({ labels, value: remaining })),
    },
    {
      name: 'signalbox_github_pause_seconds',
      type: 'gauge',
      help: 'For how long GitHub still asks for a pause.',
      samples: budgets.map(({ installation, pauseSeconds }) => ({
        labels: { installation: String(installation) },
        value: pauseSeconds,
      })),
    },
  ];
}
