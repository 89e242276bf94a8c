import type { PlanSummary, Run, Trigger } from '../db/schema.js';
import { type RunState, stateTitle } from '../runs/machine.js';
import { code, login } from './markdown.js';

/** What GitHub's pages are called, and ours. No slash at the ends. */
export interface Addresses {
  /** `https://github.com`, or that of a GitHub Enterprise Server. */
  githubUrl: string;
  publicUrl: string;
}

export interface RepositoryName {
  owner: string;
  name: string;
}

export function repositoryUrl({ githubUrl }: Addresses, { owner, name }: RepositoryName): string {
  return `${githubUrl}/${encodeURIComponent(owner)}/${encodeURIComponent(name)}`;
}

export function runUrl({ publicUrl }: Addresses, run: string): string {
  return `${publicUrl}/runs/${encodeURIComponent(run)}`;
}

export function checkRunUrl(addresses: Addresses, repository: RepositoryName, githubId: number): string {
  return `${repositoryUrl(addresses, repository)}/runs/${githubId}`;
}

export function commitLink(addresses: Addresses, repository: RepositoryName, sha: string): string {
  return `[${code(shortSha(sha))}](${repositoryUrl(addresses, repository)}/commit/${encodeURIComponent(sha)})`;
}

export function pullRequestLink(addresses: Addresses, repository: RepositoryName, number: number): string {
  return `[#${number}](${repositoryUrl(addresses, repository)}/pull/${number})`;
}

export function shortSha(sha: string): string {
  return sha.slice(0, 7);
}

/** The calm shape of a state, for the eye that runs down a page. */
export function icon(state: RunState): string {
  return ICONS[state];
}

const ICONS: Record<RunState, string> = {
  pending: '⏳',
  planning: '🔎',
  needs_confirmation: '✋',
  confirmed: '⏳',
  applying: '🚧',
  applied: '✅',
  no_changes: '✅',
  planned: '✅',
  plan_errored: '❌',
  apply_errored: '❌',
  discarded: '⚪',
  canceled: '⚪',
};

/** 'Needs confirmation': a state inside running text or at the beginning of a line. */
export function stateWords(state: RunState): string {
  const [first = '', ...rest] = stateTitle(state).split(' ');
  return [first, ...rest.map((word) => word.toLowerCase())].join(' ');
}

/** '3 to add, 1 to change, 0 to destroy', and what else there is. */
export function toDo(plan: PlanSummary): string {
  return listCounts(plan, {
    add: 'to add',
    change: 'to change',
    destroy: 'to destroy',
    replace: 'to replace',
    import: 'to import',
    move: 'to move',
    forget: 'to forget',
  });
}

/** '3 added, 1 changed, 0 destroyed', and what else there is. */
export function done(plan: PlanSummary): string {
  return listCounts(plan, {
    add: 'added',
    change: 'changed',
    destroy: 'destroyed',
    replace: 'replaced',
    import: 'imported',
    move: 'moved',
    forget: 'forgotten',
  });
}

/** The actions of a plan, destroys first: the order of every table. */
export const ACTIONS = ['destroy', 'replace', 'change', 'add', 'import', 'move', 'forget'] as const;

/** Changes to resources, a replacement counting once. */
export function resourceChanges(plan: PlanSummary): number {
  return ACTIONS.reduce((sum, action) => sum + plan[action], 0);
}

function listCounts(plan: PlanSummary, words: Record<Exclude<keyof PlanSummary, 'outputs'>, string>): string {
  const parts = [`${plan.add} ${words.add}`, `${plan.change} ${words.change}`, `${plan.destroy} ${words.destroy}`];
  for (const action of ['replace', 'import', 'move', 'forget'] as const) {
    if (plan[action] > 0) parts.push(`${plan[action]} ${words[action]}`);
  }
  if (resourceChanges(plan) === 0 && plan.outputs > 0) parts.push(plural(plan.outputs, 'output'));
  return parts.join(', ');
}

/** Why the run exists, in Markdown: 'push by alice'. */
export function cause(run: Pick<Run, 'trigger' | 'actor'>): string {
  return `${TRIGGERS[run.trigger]} by ${login(run.actor)}`;
}

const TRIGGERS: Record<Trigger, string> = {
  push: 'Push',
  pull_request: 'Pull request',
  merge_group: 'Merge queue',
  comment: 'Comment',
  button: 'Button',
  rerun: 'Re-run',
  page: 'Queue Plan',
};

export function plural(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? '' : 's'}`;
}

/** 'a', 'a and b', 'a, b and c'. */
export function enumerate(items: string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}

/** '0.4 s', '12 s', '3 min 20 s', '2 h 5 min', '3 d 4 h'. */
export function duration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 9_950) return `${(ms / 1_000).toFixed(1)} s`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return twoUnits(minutes, 'min', seconds % 60, 's');
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return twoUnits(hours, 'h', minutes % 60, 'min');
  return twoUnits(Math.floor(hours / 24), 'd', hours % 24, 'h');
}

function twoUnits(large: number, largeUnit: string, small: number, smallUnit: string): string {
  return small === 0 ? `${large} ${largeUnit}` : `${large} ${largeUnit} ${small} ${smallUnit}`;
}

/** '2026-11-24 09:02:11', in UTC. */
export function moment(date: Date): string {
  return date.toISOString().slice(0, 19).replace('T', ' ');
}
