import type { PullRequest, Run } from '../db/schema.js';
import type { Lock } from '../runs/queue-explanation.js';
import { boundedTable, code, login, MAX_BYTES } from './markdown.js';
import {
  type Addresses,
  checkRunUrl,
  commitLink,
  enumerate,
  icon,
  moment,
  plural,
  type RepositoryName,
  repositoryUrl,
  runUrl,
  shortSha,
  stateWords,
} from './words.js';

/** By this and its author the comment is found again. */
export const COMMENT_MARKER = '<!-- signalbox: summary of this pull request -->';

/** One workspace in the comment. */
export interface CommentRow {
  workspace: string;
  /** The run that matters now: an apply of this pull request once there is one, else the plan of its head. */
  run?: Run | undefined;
  /** GitHub's id of the check run that shows it. */
  checkRunId?: number | undefined;
  /** Applied from this pull request and not merged yet. */
  held: boolean;
  /** Its runs don't start. Plans of pull requests do. */
  lock?: Lock | undefined;
}

export interface CommentContent {
  pullRequest: PullRequest;
  repository: RepositoryName;
  addresses: Addresses;
  /** Undefined: it isn't known yet which workspaces are affected. */
  rows: CommentRow[] | undefined;
}

/** The one comment on a pull request: what each workspace's plan would do, what to do next, and where to look. */
export function pullRequestComment({ pullRequest, repository, addresses, rows }: CommentContent): string {
  if (rows === undefined && pullRequest.state !== 'open') {
    const { state } = pullRequest;
    const never = `${commit(pullRequest, repository, addresses)} was not planned: the pull request was ${state} before.`;
    return render([heading([], pullRequest), never]);
  }
  if (rows === undefined) {
    return render([`Looking for the workspaces that ${commit(pullRequest, repository, addresses)} affects.`]);
  }
  if (rows.length === 0) {
    return render([`${commit(pullRequest, repository, addresses)} affects no workspace: there is nothing to plan.`]);
  }
  const sorted = [...rows].sort(byWeight);
  return render([
    heading(rows, pullRequest),
    boundedTable(
      ['Workspace', 'Destroy', 'Replace', 'Change', 'Add', 'Result'],
      'lrrrrl',
      sorted.map((row) => cells(row, pullRequest, repository, addresses)),
      MAX_BYTES - 24_000,
    ).trimEnd(),
    ...next(sorted, pullRequest, repository, addresses),
    pullRequest.state === 'open'
      ? `<sub>Plans of ${commit(pullRequest, repository, addresses)}. Commands: \`apply\`, \`plan\`, \`discard\`, \`cancel\`, \`lock\`, \`unlock\`, each with or without names of workspaces; \`help\` explains them.</sub>`
      : '',
  ]);
}

function render(parts: string[]): string {
  return `${[COMMENT_MARKER, ...parts.filter(Boolean)].join('\n\n')}\n`;
}

/** The whole in a line: what a person wants to know who reads nothing else. */
function heading(rows: CommentRow[], { state }: PullRequest): string {
  if (state === 'merged') return title('🔀', 'Merged');
  if (state === 'closed') return title('⚪', 'Closed');
  const has = (...states: Run['state'][]) => rows.filter(({ run }) => run && states.includes(run.state));
  const failed = has('plan_errored', 'apply_errored').length;
  if (failed > 0) return title('❌', `${plural(failed, 'workspace')} failed`);
  const waiting = has('needs_confirmation').length;
  if (waiting > 0)
    return title(
      '✋',
      waiting === 1 ? 'One workspace waits for confirmation' : `${waiting} workspaces wait for confirmation`,
    );
  if (has('confirmed', 'applying').length > 0) return title('🚧', 'Applying');
  if (rows.every(({ run }) => run && isQueued(run))) return title('⏳', 'Queued');
  if (has('pending', 'planning').length > 0) return title('🔎', 'Planning');
  if (rows.some(({ run }) => !run)) return title('⏳', 'Not planned yet');
  if (has('planned').length > 0) {
    const destroyed = sum(rows, 'destroy') + sum(rows, 'replace');
    return title('📋', destroyed > 0 ? `Planned, with ${plural(destroyed, 'resource')} to be destroyed` : 'Planned');
  }
  if (has('applied').length > 0) return title('✅', 'Applied');
  if (has('no_changes').length === rows.length) return title('✅', 'No changes');
  return title('📋', 'Plans');
}

function title(symbol: string, words: string): string {
  return `### ${symbol} ${words}`;
}

function sum(rows: CommentRow[], action: 'destroy' | 'replace'): number {
  return rows.reduce((total, { run }) => total + (run?.state === 'planned' ? (run.plan_summary?.[action] ?? 0) : 0), 0);
}

/** Failures first, then what destroys most, then by name. */
function byWeight(a: CommentRow, b: CommentRow): number {
  const weight = ({ run }: CommentRow) => {
    const plan = run?.plan_summary;
    return [
      run?.state === 'plan_errored' || run?.state === 'apply_errored' ? 1 : 0,
      plan?.destroy ?? 0,
      plan?.replace ?? 0,
      plan?.change ?? 0,
      plan?.add ?? 0,
    ];
  };
  const ofA = weight(a);
  const ofB = weight(b);
  for (const [index, value] of ofA.entries()) {
    const difference = (ofB[index] ?? 0) - value;
    if (difference !== 0) return difference;
  }
  return a.workspace < b.workspace ? -1 : 1;
}

function cells(row: CommentRow, pullRequest: PullRequest, repository: RepositoryName, addresses: Addresses): string[] {
  const plan = row.run?.plan_summary;
  const count = (number: number | undefined, loud = false) =>
    number === undefined ? '' : number === 0 ? '0' : loud ? `**${number}**` : String(number);
  return [
    code(row.workspace, 100),
    count(plan?.destroy, true),
    count(plan?.replace, true),
    count(plan?.change),
    count(plan?.add),
    result(row, pullRequest, repository, addresses),
  ];
}

function result(row: CommentRow, pullRequest: PullRequest, repository: RepositoryName, addresses: Addresses): string {
  const { run, checkRunId } = row;
  const held = `${row.held ? ', held until merged' : ''}${row.lock ? ', 🔒 locked' : ''}`;
  if (!run) return `${awaitsPermission(pullRequest) ? '✋ Waiting for `plan`' : '⏳ Not planned yet'}${held}`;
  const url = checkRunId ? checkRunUrl(addresses, repository, checkRunId) : runUrl(addresses, run.id);
  const older = run.commit_sha === pullRequest.head_sha ? '' : ` (${code(shortSha(run.commit_sha))}, not the head)`;
  return `${icon(run.state)} [${words(run)}](${url})${by(run)}${held}${older}`;
}

function words(run: Run): string {
  if (run.state === 'needs_confirmation' && run.differences?.length) return 'Differs from the reviewed plan';
  if (run.state === 'planned' && outputsOnly(run)) return 'Planned: outputs only';
  return stateWords(run.state);
}

function outputsOnly({ plan_summary: plan }: Run): boolean {
  return plan !== null && plan.outputs > 0 && plan.add + plan.change + plan.destroy + plan.replace === 0;
}

function by(run: Run): string {
  if (!['confirmed', 'applying', 'applied', 'apply_errored'].includes(run.state)) return '';
  const who = run.approved_by ?? run.confirmed_by;
  return who ? `, approved by ${login(who)}` : '';
}

/** A fork's head that nobody with write access asked to plan. */
export function awaitsPermission(pullRequest: Pick<PullRequest, 'fork' | 'allowed_sha' | 'head_sha'>): boolean {
  return pullRequest.fork && pullRequest.allowed_sha !== pullRequest.head_sha;
}

function next(
  rows: CommentRow[],
  pullRequest: PullRequest,
  repository: RepositoryName,
  addresses: Addresses,
): string[] {
  if (pullRequest.state === 'merged') return [afterMerge(rows, pullRequest, repository, addresses)];
  if (pullRequest.state === 'closed') return [afterClose(rows, pullRequest)];

  const named = (...states: Run['state'][]) =>
    rows.filter(({ run }) => run && states.includes(run.state)).map(({ workspace }) => workspace);
  const lines: string[] = [];
  const unplanned = rows.filter(({ run }) => !run);
  if (unplanned.length > 0 && awaitsPermission(pullRequest)) {
    lines.push(
      'This pull request comes from a fork, and planning runs its code. Somebody with write access who has read it can comment `plan`.',
    );
  }
  const differing = rows.filter(({ run }) => run?.state === 'needs_confirmation');
  if (differing.length > 0) {
    const names = differing.map(({ workspace }) => workspace);
    lines.push(
      `${list(names)} ${names.length === 1 ? 'waits' : 'wait'} for a decision: look at what differs, then press **Apply** or **Discard** on ${names.length === 1 ? 'its check' : 'each check'}, or comment ${command('apply', names)} or ${command('discard', names)}.`,
    );
  }
  const failed = named('plan_errored', 'apply_errored');
  if (failed.length > 0) {
    lines.push(
      `${list(failed)} failed: the check shows why. Push a fix, or comment ${command('plan', failed)} to try again.`,
    );
  }
  const queued = rows.filter(({ run }) => run && isQueued(run)).map(({ workspace }) => workspace);
  if (queued.length > 0) {
    const [wait, check] = queued.length === 1 ? ['waits', 'its check says'] : ['wait', 'each check says'];
    lines.push(
      `${list(queued)} ${wait} to be applied: ${check} what for. To drop that, comment ${command('discard', queued)}.`,
    );
  }
  const dropped = named('discarded', 'canceled');
  if (dropped.length > 0) {
    const what =
      dropped.length === 1
        ? 'was discarded or canceled: its check says'
        : 'were discarded or canceled: each check says';
    lines.push(`${list(dropped)} ${what} why. Comment ${command('plan', dropped)} for a fresh plan.`);
  }
  const planned = named('planned');
  if (planned.length > 0) {
    const all =
      rows.length > 1 && planned.length > 1
        ? 'comment `apply` to apply them all'
        : `comment ${command('apply', planned)}`;
    const one = planned.length > 1 ? `, ${command('apply', planned.slice(0, 1))} for one` : '';
    lines.push(
      `**Next:** ${all}${one}, or press **Apply** on a plan's check. What you approve are these plans: where a fresh one differs, it stops and shows how. Or merge first, and apply the merge.`,
    );
  }
  if (rows.some(({ run }) => run && ['planning', 'confirmed', 'applying'].includes(run.state))) {
    lines.push('To stop what is running, comment `cancel`.');
  }
  const held = rows.filter(({ held }) => held).map(({ workspace }) => workspace);
  if (held.length > 0) {
    lines.push(
      `${list(held)} ${held.length === 1 ? 'is' : 'are'} held for this pull request: what was applied isn't on ${code(pullRequest.base_ref, 100)} yet. Merge to keep it; until then runs of other commits wait, unless somebody comments ${command('unlock', held)}.`,
    );
  }
  return [...lines, ...locks(rows)];
}

const LOCKS_SHOWN = 8;

/** Who locked what, since when and why: those who locked several with one command are told of once. */
function locks(rows: CommentRow[]): string[] {
  const alike = new Map<string, { lock: Lock; names: string[] }>();
  for (const { workspace, lock } of rows) {
    if (!lock) continue;
    const key = JSON.stringify([lock.by, lock.at, lock.reason]);
    alike.set(key, { lock, names: [...(alike.get(key)?.names ?? []), workspace] });
  }
  const all = [...alike.values()];
  const shown = all.slice(0, LOCKS_SHOWN).map(({ lock, names }) => {
    const why = lock.reason ? `: ${code(lock.reason, 300)}` : '.';
    const who = lock.by === null ? 'An administrator' : `${login(lock.by)} or an administrator`;
    const by = lock.by === null ? 'Signalbox' : login(lock.by);
    return `🔒 ${by} locked ${list(names)} at ${moment(lock.at)} UTC${why}\n\nWhat is to be applied there waits. ${who} can comment ${command('unlock', names)}.`;
  });
  const rest = all.length - shown.length;
  return rest > 0 ? [...shown, `And ${plural(rest, 'other lock')}.`] : shown;
}

/** An approved run that hasn't begun: it has its place in the queue of its workspace. */
function isQueued(run: Run): boolean {
  return run.state === 'pending' && !run.speculative;
}

function afterClose(rows: CommentRow[], { base_ref }: PullRequest): string {
  const applied = rows
    .filter(({ run }) => run && !run.speculative && ['applied', 'apply_errored'].includes(run.state))
    .map(({ workspace }) => workspace);
  const left =
    applied.length === 0
      ? ''
      : ` What was applied to ${list(applied)} stays until a run of ${code(base_ref, 100)} is applied there.`;
  return `Closed without a merge: these plans can no longer be applied.${left}`;
}

function afterMerge(
  rows: CommentRow[],
  { merge_commit_sha: sha, base_ref }: PullRequest,
  repository: RepositoryName,
  addresses: Addresses,
): string {
  if (sha === null) return `Merged into ${code(base_ref, 100)}. Apply is on the checks of the merge commit.`;
  const checks = `[its checks](${repositoryUrl(addresses, repository)}/commit/${encodeURIComponent(sha)}/checks)`;
  const names = rows.map(({ workspace }) => workspace);
  return `**Merged** into ${code(base_ref, 100)} as ${commitLink(addresses, repository, sha)}. ${list(names)} ${names.length === 1 ? 'is' : 'are'} planned anew for that commit: **Apply** is now on ${checks}.`;
}

const NAMES_SHOWN = 5;

function list(names: string[]): string {
  const shown = names.slice(0, NAMES_SHOWN).map((name) => code(name, 100));
  const rest = names.length - shown.length;
  return enumerate(rest > 0 ? [...shown, plural(rest, 'other')] : shown);
}

/** A command as one would type it: with a name where there is one, bare where it would be a list. */
function command(verb: string, names: string[]): string {
  return code(names.length === 1 ? `${verb} ${names[0]}` : verb, 120);
}

function commit({ head_sha: sha }: PullRequest, repository: RepositoryName, addresses: Addresses): string {
  return commitLink(addresses, repository, sha);
}
