import { sql } from 'kysely';
import { containing, type Listing, readPage } from '../db/listing.js';
import type { Db } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { RunState } from './machine.js';

export { BadCursor, type Listing } from '../db/listing.js';

/** What lists of runs show of one. */
export type ListedRun = Pick<Run, (typeof LISTED)[number]>;

export const LISTED = [
  'id',
  'sequence',
  'workspace_id',
  'state',
  'speculative',
  'trigger',
  'actor',
  'commit_sha',
  'commit_message',
  'branch',
  'pull_request',
  'created_at',
  'ended_at',
  'plan_summary',
  'confirmed_by',
  'message',
  'cancel_requested_at',
] as const;

export interface RunsWanted {
  workspace: number;
  state?: RunState | undefined;
  /** In the commit's message or what was written with the run, its branch, who caused it; a SHA's beginning, a run's id, `#7`. */
  search?: string | undefined;
  before?: string | undefined;
  after?: string | undefined;
  limit?: number;
}

/** A workspace's runs, the newest first, speculative ones among them. Throws BadCursor. */
export async function listRuns(db: Db, wanted: RunsWanted): Promise<Listing<ListedRun>> {
  const { workspace, state, limit = 20 } = wanted;
  const search = wanted.search?.trim() ?? '';
  const paging = { list: 'runs', columns: [sql`sequence`], keyOf: (run: ListedRun) => [run.sequence], limit };
  return readPage(paging, wanted, async ({ beyond, order, limit }) => {
    let query = db.selectFrom('runs').select(LISTED).where('workspace_id', '=', workspace).where(beyond);
    if (state !== undefined) query = query.where('state', '=', state);
    if (search !== '') query = query.where(matches(search));
    return query.orderBy(order).limit(limit).execute();
  });
}

/** The run of a workspace that ended last, speculative ones aside. */
export async function latestCompletedRun(db: Db, workspace: number): Promise<string | undefined> {
  const row = await db.selectFrom('workspaces').select('latest_run').where('id', '=', workspace).executeTakeFirst();
  return row?.latest_run ?? undefined;
}

const POSTGRES_MAX_INTEGER = 2_147_483_647;

function matches(search: string) {
  const text = containing(search);
  const number = Number(/^#(\d{1,10})$/.exec(search)?.[1] ?? Number.NaN);
  const pullRequest = number <= POSTGRES_MAX_INTEGER ? sql`or pull_request = ${number}` : sql``;
  return sql<boolean>`(commit_message ilike ${text} or message ilike ${text} or branch ilike ${text} or actor ilike ${text}
    or commit_sha ilike ${text.slice(1)} or id = ${search.replaceAll('\0', '')} ${pullRequest})`;
}
