import type { LocalGitHub } from '../support/github/index.js';
import type { Signalbox } from '../support/signalbox.js';
import type { Database } from './laboratory.js';

/** The way of a run, in order, and which step of the script is its like. */
export const STEPS = [
  { name: 'recorded', meaning: 'webhook sent to delivery on record', script: undefined },
  { name: 'handled', meaning: 'git fetch, settings, run created', script: undefined },
  { name: 'claimed', meaning: 'outbox, queue, claim', script: undefined },
  { name: 'prepared', meaning: 'checkout, backend, access to state', script: 'checkout' },
  { name: 'init', meaning: 'terraform init', script: 'init' },
  { name: 'plan', meaning: 'terraform plan', script: 'plan' },
  { name: 'show', meaning: 'terraform show, twice', script: 'show' },
  { name: 'planned', meaning: 'digest, sealing, plan on record', script: undefined },
  { name: 'applying', meaning: 'apply claimed', script: undefined },
  { name: 'apply', meaning: 'terraform apply', script: 'apply' },
  { name: 'outcome', meaning: 'state and outcome on record', script: undefined },
  { name: 'asked', meaning: 'report asked of GitHub', script: undefined },
  { name: 'reported', meaning: 'GitHub has it', script: undefined },
] as const;

type Times = Record<string, number>;

/** When a run passed each step, in ms since the epoch: all clocks here are this machine's. */
export async function timesOf(run: {
  github: LocalGitHub;
  database: Database;
  signalbox: Signalbox;
  sha: string;
  sentAt: number;
  appliedAt: number;
}): Promise<Times> {
  const { database, github, signalbox, sha, sentAt, appliedAt } = run;
  const events = await database.query<{ run: string; type: string; at: Date }>(
    'select run_id run, type, at from run_events where run_id = (select id from runs where commit_sha = $1) order by id',
    [sha],
  );
  const [delivery] = await database.query<{ at: Date }>(
    `select received_at at from deliveries where event = 'push' and body::jsonb ->> 'after' = $1`,
    [sha],
  );
  const at = (type: string) => events.find((event) => event.type === type)?.at.getTime() ?? Number.NaN;
  const [{ run: id } = { run: '' }] = events;
  const requests = github.requests.filter(
    ({ route, body }) => /check-runs/.test(route) && (body as { conclusion?: string }).conclusion === 'success',
  );
  return {
    sent: sentAt,
    recorded: delivery?.at.getTime() ?? Number.NaN,
    handled: at('created'),
    claimed: at('plan_started'),
    ...stepsInLog(signalbox.log, id),
    planned: at('plan_approved'),
    applying: at('apply_started'),
    outcome: at('apply_finished'),
    asked: Date.parse(requests.at(-1)?.at ?? ''),
    reported: appliedAt,
  };
}

/** How long each step took, in ms. */
export function intervalsOf(times: Times): Record<string, number> {
  const intervals: Record<string, number> = {};
  let last = times.sent ?? Number.NaN;
  for (const { name } of STEPS) {
    const at = times[name] ?? Number.NaN;
    intervals[name] = at - last;
    if (!Number.isNaN(at)) last = at;
  }
  return intervals;
}

/** The worker's lines at debug: `{ "time": …, "run": …, "step": "init" }`. */
function stepsInLog(log: string, run: string): Times {
  const steps: Times = {};
  for (const line of log.slice(-200_000).split('\n')) {
    if (!line.includes('"step"') || !line.includes(run)) continue;
    const { time, step } = JSON.parse(line) as { time: number | string; step: string };
    steps[step] = typeof time === 'number' ? time : Date.parse(time);
  }
  return steps;
}
