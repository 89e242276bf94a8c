import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Branch } from '../db/schema.js';
import { findBranch, ZERO_SHA } from './commits.js';
import type { RepositoryScope } from './handling.js';

/** A branch's move from one head to another, as a push tells it. `ZERO_SHA` is the head of a branch that isn't there. */
export interface Move {
  branch: string;
  before: string;
  after: string;
  /** When the repository was last pushed to, by GitHub's clock, as of this move. */
  pushedAt: Date | undefined;
}

/**
 * What a move is to the record. `done`: that head was taken up already. `overtaken`: the branch went past it, and to
 * take it up now would roll back. Otherwise what is new since `since`: the heads to compare with.
 */
export type Verdict = { kind: 'done' } | { kind: 'overtaken' } | { kind: 'next'; since: readonly string[] };

export async function findHead(db: Db | Tx, repository: number, branch: string): Promise<Branch | undefined> {
  return db
    .selectFrom('branches')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('branch', '=', branch)
    .executeTakeFirst();
}

/** The branch's head as GitHub has it now. */
export async function presentHead(scope: RepositoryScope, branch: string): Promise<string> {
  return (await findBranch(scope, branch))?.sha ?? ZERO_SHA;
}

/**
 * Judges a move by the head on record. One that begins there and is newer than the last one is the next one; for every
 * other one GitHub is asked where the branch is now: deliveries get lost, come late, and come again days later. Where that
 * can't tell, the move counts as overtaken: what it brought is found with the next head, which is compared with the
 * head on record, and a head that nobody tells of is found by comparing.
 */
export async function judge(scope: RepositoryScope, known: Branch | undefined, move: Move): Promise<Verdict> {
  const { before, after } = move;
  if (!known) return next(before);
  const wasHandled = known.handled_at !== null;
  if (known.head_sha === after) return wasHandled ? { kind: 'done' } : next(before);
  if (known.head_sha === before && isNewer(move, known)) return next(before);

  const present = await presentHead(scope, move.branch);
  if (present === after) return next(known.head_sha);
  if (present === ZERO_SHA) return { kind: 'overtaken' };
  // Nothing was queued for a head that was there at the first look: pushes that led to it may be late.
  if (!wasHandled) return present === known.head_sha ? next(before) : next(before, known.head_sha);
  if (present === known.head_sha) return { kind: 'overtaken' };
  const follows = isNewer(move, known) || (known.head_sha === before && !isOlder(move, known));
  return follows ? next(known.head_sha) : { kind: 'overtaken' };
}

/** Takes a branch's head into the record: what it brought is queued in the same transaction. */
export async function takeHead(tx: Tx, repository: number, { branch, after, pushedAt }: Move): Promise<void> {
  await tx
    .insertInto('branches')
    .values({ repository_id: repository, branch, head_sha: after, pushed_at: pushedAt ?? null, handled_at: sql`now()` })
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'branch']).doUpdateSet({
        head_sha: after,
        pushed_at: sql`greatest(branches.pushed_at, excluded.pushed_at)`,
        handled_at: sql`now()`,
      }),
    )
    .execute();
}

/** Notes where a branch is when it is first looked at, so that later moves which nobody tells of show. */
export async function noteHead(db: Db | Tx, repository: number, branch: string, head: string): Promise<void> {
  await db
    .insertInto('branches')
    .values({ repository_id: repository, branch, head_sha: head })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

function next(...since: string[]): Verdict {
  return { kind: 'next', since };
}

/** Pushes of one second can't be told apart by their times. */
function isNewer({ pushedAt }: Move, known: Branch): boolean {
  if (known.pushed_at === null) return true;
  return pushedAt !== undefined && pushedAt > known.pushed_at;
}

function isOlder({ pushedAt }: Move, known: Branch): boolean {
  return known.pushed_at !== null && pushedAt !== undefined && pushedAt < known.pushed_at;
}
