import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { PullRequest, Repository } from '../db/schema.js';
import type { InstallationOctokit } from '../octokit.js';
import { noteHead } from './branches.js';
import { ZERO_SHA } from './commits.js';
import { isRefusedToken } from './failures.js';
import type { Services } from './handling.js';
import { askForHeads, askForPullRequests, type Heads, type PullRequestHead } from './heads-query.js';
import { listSoon } from './installations.js';
import { type Look, recordLook } from './look.js';
import { awaitedRepositories } from './missed-deliveries.js';

/** Repositories that are compared in one round: half of them the ones with the newest pushes, half the longest waiting. */
const COMPARED_A_ROUND = 1_000;
/** Repositories of one request. */
const COMPARED_AT_ONCE = 25;
/** Then it isn't a repository that fails but GitHub. */
const FAILURES_IN_A_ROW = 3;
/** Branches of one repository that are compared. */
const MANY_BRANCHES = 50;
/** Further pages, of a hundred pull requests, that are read of one repository. */
const MANY_PAGES = 10;
/** A head without its plan is a difference only after this time, in ms: planning it may have been refused. */
const PLAN_PATIENCE_MS = 60 * 60_000;
/** How far GitHub's clock and ours may be apart, in ms. */
const CLOCKS_MS = 60_000;

export interface Comparing {
  /** Repositories that were compared since then, by the database's clock, are left alone. */
  before: Date;
  /** A difference is believed when it is still there after this time, in ms: a webhook may be on its way. */
  patienceMs: number;
  /** What differs, and since when. Kept from round to round. */
  differences: Map<string, number>;
  stop: AbortSignal;
}

/** A difference between GitHub and the record, and what makes up for it. */
interface Difference {
  /** Tells it from others of the same repository. */
  key: string;
  look: Look;
  patienceMs: number;
}

/**
 * Compares the branches that workspaces follow, the default branches and the pull requests with the record, and puts looks
 * in line for what no webhook told. Yields whether there is more to compare soon. Throws the first failure, after every
 * installation had its turn.
 */
export async function compareHeads(services: Services, comparing: Comparing): Promise<boolean> {
  const due = await dueRepositories(services.db, comparing.before);
  let more = due.length >= COMPARED_A_ROUND / 2;
  let failure: { error: unknown } | undefined;
  for (const installation of new Set(due.map((row) => row.installation_id))) {
    const repositories = due.filter((row) => row.installation_id === installation);
    try {
      if (await compareInstallation(services, installation, repositories, comparing)) more = true;
    } catch (error) {
      failure ??= { error };
      if (isRefusedToken(error)) await services.octokitFor(installation, { fresh: true }).catch(() => undefined);
    }
  }
  if (failure) throw failure.error;
  return more;
}

/**
 * Yields whether something differs that isn't believed yet. One repository that GitHub can't answer for keeps no other
 * from being compared: a batch that fails is asked for one by one. Throws the last failure, at once after so many in a row.
 */
async function compareInstallation(
  services: Services,
  installation: number,
  repositories: readonly Repository[],
  comparing: Comparing,
): Promise<boolean> {
  const octokit = await services.octokitFor(installation);
  const batches: Repository[][] = [];
  for (let start = 0; start < repositories.length; start += COMPARED_AT_ONCE) {
    batches.push(repositories.slice(start, start + COMPARED_AT_ONCE));
  }
  let unsettled = false;
  let failure: { error: unknown } | undefined;
  let inARow = 0;
  for (let batch = batches.shift(); batch; batch = batches.shift()) {
    comparing.stop.throwIfAborted();
    try {
      if (await compareBatch(services, octokit, batch, comparing)) unsettled = true;
      inARow = 0;
    } catch (error) {
      if (isRefusedToken(error) || ++inARow >= FAILURES_IN_A_ROW) throw error;
      if (batch.length > 1) batches.unshift(...batch.map((repository) => [repository]));
      else failure = { error };
    }
  }
  if (failure) throw failure.error;
  return unsettled;
}

async function dueRepositories(db: Db, before: Date): Promise<Repository[]> {
  const due = sql`select * from repositories
    where removed_at is null and (compared_at is null or compared_at < ${before}) and not exists (
      select from installations
      where installations.id = installation_id and (suspended_at is not null or installations.removed_at is not null))`;
  const half = COMPARED_A_ROUND / 2;
  const { rows } = await sql<Repository>`
    (${due} order by pushed_at desc nulls last, id limit ${half}) union
    (${due} order by compared_at asc nulls first, id limit ${half})`.execute(db);
  const newest = ({ pushed_at }: Repository) => pushed_at?.getTime() ?? 0;
  return rows.sort((one, other) => newest(other) - newest(one));
}

/** Yields whether something differs that isn't believed yet. */
async function compareBatch(
  services: Services,
  octokit: InstallationOctokit,
  repositories: readonly Repository[],
  comparing: Comparing,
): Promise<boolean> {
  const { db } = services;
  const awaited = await awaitedRepositories(db);
  const followed = await followedBranches(db, repositories);
  const questions = repositories.map(({ id, owner, name }) => ({ id, owner, name, branches: followed.get(id) ?? [] }));
  const heads = await askForHeads(octokit, questions);
  let unsettled = false;
  for (const repository of repositories) {
    const found = heads.get(repository.id);
    if (found && isDescribedOtherwise(repository, found)) {
      await db.transaction().execute((tx) => listSoon(tx, repository.installation_id));
      unsettled = true;
    }
    if (!found || found.archived) {
      // Whether it is still the App's is told by the next list.
      await settle(db, repository);
      continue;
    }
    const listed = await readPullRequests(octokit, repository, found);
    const differences = [
      ...(await branchDifferences(db, repository, found.branches, comparing)),
      ...(await pullRequestDifferences(db, repository, listed, comparing)),
    ];
    const open = await takeUp(services, repository, differences, comparing, awaited.has(repository.id));
    if (open) unsettled = true;
    else await settle(db, repository, listed);
  }
  return unsettled;
}

/** Yields whether one of the differences isn't believed yet. */
async function takeUp(
  { db, log }: Services,
  repository: Repository,
  differences: readonly Difference[],
  { differences: known }: Comparing,
  isAwaited: boolean,
): Promise<boolean> {
  const prefix = `${repository.id} `;
  const present = new Set(differences.map(({ key }) => prefix + key));
  for (const key of known.keys()) if (key.startsWith(prefix) && !present.has(key)) known.delete(key);
  let open = false;
  for (const { key, look, patienceMs } of differences) {
    const since = known.get(prefix + key) ?? Date.now();
    known.set(prefix + key, since);
    if (isAwaited || Date.now() - since < patienceMs) {
      // A plan is waited for much longer than the rest, which mustn't wait with it.
      open ||= patienceMs < PLAN_PATIENCE_MS;
      continue;
    }
    known.delete(prefix + key);
    if (await recordLook(db, repository.id, look)) {
      const { owner, name } = repository;
      log.info({ repository: `${owner}/${name}`, ...look }, 'GitHub has what no webhook told of');
    }
  }
  return open;
}

async function branchDifferences(
  db: Db,
  repository: Repository,
  heads: Heads['branches'],
  { patienceMs }: Comparing,
): Promise<Difference[]> {
  const rows = await db.selectFrom('branches').selectAll().where('repository_id', '=', repository.id).execute();
  const known = new Map(rows.map((row) => [row.branch, row]));
  const differences: Difference[] = [];
  for (const [branch, oid] of heads) {
    const head = oid ?? ZERO_SHA;
    const row = known.get(branch);
    if (!row) await noteHead(db, repository.id, branch, head);
    else if (row.head_sha !== head) {
      const look = { name: 'signalbox.branch' as const, branch };
      differences.push({ key: `${branch} ${head}`, look, patienceMs });
    }
  }
  // A branch that is followed again begins anew.
  const left = rows.filter(({ branch }) => !heads.has(branch)).map(({ branch }) => branch);
  if (left.length > 0 && heads.size < MANY_BRANCHES) {
    await db.deleteFrom('branches').where('repository_id', '=', repository.id).where('branch', 'in', left).execute();
  }
  return differences;
}

async function pullRequestDifferences(
  db: Db,
  repository: Repository,
  listed: readonly PullRequestHead[],
  { patienceMs }: Comparing,
): Promise<Difference[]> {
  if (listed.length === 0) return [];
  const numbers = listed.map(({ number }) => number);
  const rows = await db
    .selectFrom('pull_requests')
    .selectAll()
    .where('repository_id', '=', repository.id)
    .where('number', 'in', numbers)
    .execute();
  const known = new Map(rows.map((row) => [row.number, row]));
  const since = comparedTo(repository);
  return listed.flatMap((pull): Difference[] => {
    const { number, state, headSha, baseRef } = pull;
    const row = known.get(number);
    const look = { name: 'signalbox.pull_request' as const, number };
    if (row ? isOutdated(row, pull) : state === 'open' && pull.updatedAt >= since) {
      return [{ key: `#${number} ${state} ${headSha} ${baseRef}`, look, patienceMs }];
    }
    const lacksPlan = row?.state === 'open' && row.affected_sha !== row.head_sha;
    return lacksPlan ? [{ key: `#${number} plan ${headSha}`, look, patienceMs: PLAN_PATIENCE_MS }] : [];
  });
}

function isOutdated(row: PullRequest, { state, headSha, baseRef, updatedAt }: PullRequestHead): boolean {
  if (row.updated_at !== null && row.updated_at > updatedAt) return false;
  return row.state !== state || row.head_sha !== headSha || row.base_ref !== baseRef;
}

/** Pull requests that have changed since they were last compared, and some more. */
async function readPullRequests(
  octokit: InstallationOctokit,
  repository: Repository,
  heads: Heads,
): Promise<PullRequestHead[]> {
  const listed = [...heads.pullRequests];
  const since = comparedTo(repository);
  let { next } = heads;
  for (let page = 0; page < MANY_PAGES && next; page++) {
    const oldest = listed.at(-1);
    if (!oldest || oldest.updatedAt < since) break;
    const more = await askForPullRequests(octokit, repository, next);
    listed.push(...more.pullRequests);
    next = more.next;
  }
  return listed;
}

/** Those that nobody has changed since the repository was followed are left alone until somebody does. */
function comparedTo({ pulls_compared_to, created_at }: Repository): Date {
  return pulls_compared_to ?? new Date(created_at.getTime() - CLOCKS_MS);
}

async function settle(db: Db, { id }: Repository, listed: readonly PullRequestHead[] = []): Promise<void> {
  const [newest] = listed;
  await db
    .updateTable('repositories')
    .set({ compared_at: sql`now()`, ...(newest ? { pulls_compared_to: newest.updatedAt } : {}) })
    .where('id', '=', id)
    .execute();
}

async function followedBranches(db: Db, repositories: readonly Repository[]): Promise<Map<number, string[]>> {
  const ids = repositories.map(({ id }) => id);
  const rows = await db
    .selectFrom('workspaces')
    .select(['repository_id', 'branch'])
    .distinct()
    .where('repository_id', 'in', ids)
    .where('removed_at', 'is', null)
    .orderBy('branch')
    .execute();
  const branches = new Map(repositories.map((row) => [row.id, new Set([row.default_branch])]));
  for (const { repository_id, branch } of rows) branches.get(repository_id)?.add(branch);
  return new Map([...branches].map(([id, names]) => [id, [...names].slice(0, MANY_BRANCHES)]));
}

function isDescribedOtherwise({ owner, name, default_branch }: Repository, heads: Heads): boolean {
  const { fullName, defaultBranch, archived } = heads;
  const otherBranch = defaultBranch !== undefined && defaultBranch !== default_branch;
  return archived || otherBranch || fullName !== `${owner}/${name}`;
}
