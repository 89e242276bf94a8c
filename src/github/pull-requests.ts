import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { PullRequest } from '../db/schema.js';
import type { RepositoryScope } from './handling.js';
import { recordLook } from './look.js';

/** What webhooks and REST both say of a pull request. */
export interface PullRequestPayload {
  number: number;
  title: string;
  state: 'open' | 'closed' | string;
  merged?: boolean | null;
  draft?: boolean | undefined;
  updated_at: string;
  merge_commit_sha: string | null;
  user: { login: string } | null;
  head: { ref: string; sha: string; repo: { id: number } | null };
  base: { ref: string; sha: string; repo: { id: number } };
}

/**
 * Takes a pull request into the record, unless the record knows a later state of it already. If that has another head,
 * base or state, what was given is stale: its successor has a webhook of its own.
 */
export async function recordPullRequest(
  db: Db | Tx,
  repositoryId: number,
  payload: PullRequestPayload,
): Promise<{ pullRequest: PullRequest; stale: boolean }> {
  const updatedAt = new Date(payload.updated_at);
  const seen = {
    title: payload.title,
    state: payload.merged ? ('merged' as const) : payload.state === 'open' ? ('open' as const) : ('closed' as const),
    draft: payload.draft ?? false,
    fork: payload.head.repo?.id !== payload.base.repo.id,
    head_ref: payload.head.ref,
    head_sha: payload.head.sha,
    base_ref: payload.base.ref,
    base_sha: payload.base.sha,
    author: payload.user?.login ?? 'ghost',
    // Of an open pull request it is only GitHub's test merge.
    merge_commit_sha: payload.merged ? payload.merge_commit_sha : null,
    updated_at: updatedAt,
  };
  const recorded = await db
    .insertInto('pull_requests')
    .values({ repository_id: repositoryId, number: payload.number, ...seen, head_at: updatedAt })
    .onConflict((conflict) =>
      conflict
        .columns(['repository_id', 'number'])
        .doUpdateSet({
          ...seen,
          head_at: sql`case when pull_requests.head_sha = excluded.head_sha
            then coalesce(pull_requests.head_at, excluded.head_at) else excluded.head_at end`,
        })
        .where((eb) =>
          eb.or([
            eb('pull_requests.updated_at', 'is', null),
            eb('pull_requests.updated_at', '<=', eb.ref('excluded.updated_at')),
          ]),
        ),
    )
    .returningAll()
    .executeTakeFirst();
  if (recorded) return { pullRequest: recorded, stale: false };
  const later = await findPullRequest(db, repositoryId, payload.number);
  const stale = (['head_sha', 'base_ref', 'state'] as const).some((column) => later[column] !== seen[column]);
  return { pullRequest: later, stale };
}

/**
 * The pull request as GitHub has it now, taken into the record. Where that is news, what follows from it is looked at in its
 * turn: its webhook may have been missed, and a comparison would find nothing to differ any more.
 */
export async function fetchPullRequest({ db, octokit, repository }: RepositoryScope, number: number) {
  const earlier = await db
    .selectFrom('pull_requests')
    .select(['state', 'head_sha', 'base_ref'])
    .where('repository_id', '=', repository.id)
    .where('number', '=', number)
    .executeTakeFirst();
  const { data } = await octokit.rest.pulls.get({
    owner: repository.owner,
    repo: repository.name,
    pull_number: number,
  });
  const { pullRequest } = await recordPullRequest(db, repository.id, data);
  const isNews = (['state', 'head_sha', 'base_ref'] as const).some(
    (column) => earlier?.[column] !== pullRequest[column],
  );
  if (isNews) await recordLook(db, repository.id, { name: 'signalbox.pull_request', number });
  return pullRequest;
}

export async function findPullRequest(db: Db | Tx, repositoryId: number, number: number): Promise<PullRequest> {
  return db
    .selectFrom('pull_requests')
    .selectAll()
    .where('repository_id', '=', repositoryId)
    .where('number', '=', number)
    .executeTakeFirstOrThrow();
}

/** Open pull requests of this repository with that head. */
export async function openPullRequestsWith(db: Db | Tx, repositoryId: number, sha: string): Promise<PullRequest[]> {
  return db
    .selectFrom('pull_requests')
    .selectAll()
    .where('repository_id', '=', repositoryId)
    .where('head_sha', '=', sha)
    .where('state', '=', 'open')
    .orderBy('number')
    .execute();
}
