import type { Day } from './day.js';
import type { Evidence } from './evidence.js';
import type { Options } from './options.js';
import { longestRecovery } from './recovery.js';
import type { Trouble } from './trouble.js';

export interface Figures {
  options: Options;
  day: Day;
  trouble: Trouble;
  evidence: Evidence;
  /** How long it took to come to rest, in ms. */
  rest: number | undefined;
  /** In ms. */
  elapsed: number;
  /** How often each process was started. */
  starts: Record<string, number>;
}

/** What was done, and what came of it. */
export function printFigures({ options, day, trouble, evidence, rest, elapsed, starts }: Figures): void {
  const { seed, minutes, backend, workers } = options;
  const { runs, stateVersions, journal, checkRuns, comments } = evidence;
  const ended = runs.filter(({ endedAt }) => endedAt !== undefined);
  print(`A day of ${minutes} min, seed ${seed}, on ${backend}, ${workers} workers`);
  line('people', day.counts);
  line('blows', trouble.counts);
  line('starts', starts);
  line('runs', { all: runs.length, speculative: runs.filter(({ speculative }) => speculative).length });
  line('outcomes', tally(runs.map(({ state }) => state)));
  line('plan attempts', tally(runs.map(({ attempt }) => String(attempt))));
  line('journal', tally(journal.map(({ what }) => what)));
  line('in the record', { 'state versions': stateVersions.length });
  line('on GitHub', { 'check runs': checkRuns.length, comments: comments.length });
  const durations = ended.map(({ createdAt, endedAt }) => ((endedAt ?? createdAt) - createdAt) / 1_000);
  print(
    `  took          ${(elapsed / 60_000).toFixed(1)} min, ${(runs.length / (elapsed / 60_000)).toFixed(1)} runs/min`,
  );
  print(`  longest run   ${Math.max(0, ...durations).toFixed(0)} s from its creation to its end`);
  const recovery = longestRecovery(
    evidence,
    evidence.blows.map(({ at }) => at),
  );
  print(`  recovery      ${recovery === undefined ? 'none was needed' : `${(recovery / 1_000).toFixed(1)} s at most`}`);
  print(`  came to rest  ${rest === undefined ? 'never' : `after ${(rest / 1_000).toFixed(1)} s`}`);
}

/** All differences in full, and where to look for their causes. */
export function printVerdict(differences: { claim: string; found: string[] }[], directory: string | undefined): void {
  for (const { claim, found } of differences) {
    print(`✗ ${claim}: ${found.length} ${found.length === 1 ? 'difference' : 'differences'}`);
    for (const each of found) print(`    ${each.replaceAll('\n', '\n      ')}`);
  }
  if (differences.length === 0) print('✓ Everything is as it must be.');
  if (directory !== undefined) print(`Logs, journal, repositories and database are kept in ${directory}`);
}

function tally(words: string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

function line(label: string, counts: Record<string, number>): void {
  const entries = Object.entries(counts).sort(([a], [b]) => (a < b ? -1 : 1));
  print(`  ${label.padEnd(13)} ${entries.map(([name, count]) => `${name} ${count}`).join(' · ') || 'none'}`);
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
