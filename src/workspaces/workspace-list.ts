import { type RawBuilder, sql } from 'kysely';
import { containing, type Listing, readPage } from '../db/listing.js';
import type { Db } from '../db/pool.js';
import type { Repository, Workspace } from '../db/schema.js';
import type { RunState } from '../runs/machine.js';
import { LISTED, type ListedRun } from '../runs/run-list.js';

/** A workspace with the run that it is shown with: the one that holds it, else the next one, else the one that ended last. */
export interface ListedWorkspace {
  workspace: Workspace;
  repository: Pick<Repository, 'id' | 'owner' | 'name'>;
  run: ListedRun | undefined;
}

export interface WorkspacesWanted {
  /** Those that whoever asks may see. */
  repositories: readonly number[];
  /** In the workspace's name. */
  search?: string | undefined;
  /** Of the run that it is shown with. */
  state?: RunState | undefined;
  /** `owner/name`. */
  repository?: string | undefined;
  before?: string | undefined;
  after?: string | undefined;
  limit?: number;
}

/**
 * Workspaces: first those whose run works or waits for a person, then those with pending runs, the newest first; then the
 * others, by when a run ended last; then those that had none. Throws BadCursor.
 */
export async function listWorkspaces(db: Db, wanted: WorkspacesWanted): Promise<Listing<ListedWorkspace>> {
  const { limit = 50 } = wanted;
  const columns = [sql`rank`, sql`moment`, sql`id`];
  const keyOf = ({ rank, moment, id }: Shown) => [rank, moment, id];
  const page = await readPage({ list: 'workspaces', columns, keyOf, limit }, wanted, async (query) => {
    const { rows } = await sql<Shown>`
      select id, rank, moment, run from (${shownRuns(wanted)}) shown
      where ${query.beyond} ${wanted.state === undefined ? sql`` : sql`and state = ${wanted.state}`}
      order by ${query.order} limit ${query.limit}`.execute(db);
    return rows;
  });
  return { ...page, rows: await withDetails(db, page.rows) };
}

/** `owner/name` of those of the repositories that have workspaces, in alphabetical order. */
export async function repositoriesWithWorkspaces(db: Db, repositories: readonly number[]): Promise<string[]> {
  const { rows } = await sql<{ name: string }>`
    select owner || '/' || name as name from repositories
    where removed_at is null and id = any (${[...repositories]}::bigint[])
      and exists (select from workspaces where repository_id = repositories.id and removed_at is null)
    order by lower(owner), lower(name)`.execute(db);
  return rows.map(({ name }) => name);
}

/** A workspace by its place in GitHub's words, whatever their case; one that was removed too. */
export async function findWorkspace(
  db: Db,
  owner: string,
  repository: string,
  name: string,
): Promise<{ workspace: Workspace; repository: Repository } | undefined> {
  if ([owner, repository, name].some((text) => text.includes('\0'))) return undefined;
  const place = await db
    .selectFrom('repositories')
    .selectAll()
    .where(sql`lower(owner)`, '=', sql`lower(${owner})`)
    .where(sql`lower(name)`, '=', sql`lower(${repository})`)
    // Another one may have had its name before.
    .orderBy((eb) => eb('removed_at', 'is', null), 'desc')
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
  if (!place) return undefined;
  const workspace = await db
    .selectFrom('workspaces')
    .selectAll()
    .where('repository_id', '=', place.id)
    .where(sql`lower(name)`, '=', sql`lower(${name})`)
    .orderBy((eb) => eb('removed_at', 'is', null), 'desc')
    .orderBy((eb) => eb('name', '=', name), 'desc')
    .limit(1)
    .executeTakeFirst();
  return workspace && { workspace, repository: place };
}

interface Shown {
  id: number;
  rank: number;
  /** What orders those of one rank: a run's number in the queue, or microseconds since 1970. */
  moment: number;
  run: string | null;
}

/**
 * Runs that hold a workspace or are pending are few, whatever there was, and have indexes of their own; which one ended
 * last is kept with the workspace.
 */
function shownRuns({ repositories, search = '', repository = '' }: WorkspacesWanted): RawBuilder<unknown> {
  const [owner = '', name = ''] = repository.replaceAll('\0', '').split('/');
  return sql`
    select w.id,
      case when holding.id is not null then 3 when pending.id is not null then 2
        when w.latest_run is not null then 1 else 0 end rank,
      case when holding.id is not null then holding.sequence when pending.id is not null then pending.sequence
        when w.latest_run is not null then (extract(epoch from w.latest_ended_at) * 1000000)::bigint else 0 end moment,
      coalesce(holding.id, pending.id, w.latest_run) run,
      coalesce(holding.state, pending.state, case when w.latest_run is not null then w.latest_state end) state
    from workspaces w
      join repositories r on r.id = w.repository_id
      left join runs holding on holding.workspace_id = w.id and not holding.speculative
        and holding.state in ('planning', 'needs_confirmation', 'confirmed', 'applying')
      left join (
        select distinct on (workspace_id) workspace_id, id, sequence, state from runs
        where state = 'pending' and not speculative order by workspace_id, sequence
      ) pending on pending.workspace_id = w.id
    where w.removed_at is null and r.removed_at is null and w.repository_id = any (${[...repositories]}::bigint[])
      ${search.trim() === '' ? sql`` : sql`and w.name ilike ${containing(search.trim())}`}
      ${repository === '' ? sql`` : sql`and lower(r.owner) = lower(${owner}) and lower(r.name) = lower(${name})`}`;
}

async function withDetails(db: Db, shown: readonly Shown[]): Promise<ListedWorkspace[]> {
  if (shown.length === 0) return [];
  const [workspaces, runs] = await Promise.all([
    db
      .selectFrom('workspaces')
      .innerJoin('repositories', 'repositories.id', 'workspaces.repository_id')
      .selectAll('workspaces')
      .select(['repositories.owner', 'repositories.name as repository'])
      .where(
        'workspaces.id',
        'in',
        shown.map(({ id }) => id),
      )
      .execute(),
    db
      .selectFrom('runs')
      .select(LISTED)
      .where('id', 'in', ['', ...shown.flatMap(({ run }) => run ?? [])])
      .execute(),
  ]);
  const workspaceOf = new Map(workspaces.map((row) => [row.id, row]));
  const runOf = new Map(runs.map((run) => [run.id, run]));
  return shown.flatMap(({ id, run }) => {
    const row = workspaceOf.get(id);
    if (!row) return [];
    const { owner, repository: name, ...workspace } = row;
    const repository = { id: workspace.repository_id, owner, name };
    return [{ workspace, repository, run: run === null ? undefined : runOf.get(run) }];
  });
}
