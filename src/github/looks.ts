import { findHead, noteHead, presentHead } from './branches.js';
import { authorOf, ZERO_SHA } from './commits.js';
import { isNotFound } from './failures.js';
import { type OwnEvent, onOwnEvent, type RepositoryDelivery, type Services } from './handling.js';
import { type Look, pushWaits } from './look.js';
import { followPullRequest } from './pull-request.js';
import { followBranch } from './push.js';

const LOOKS: ReadonlySet<string> = new Set<Look['name']>(['signalbox.branch', 'signalbox.pull_request']);

/** Takes deliveries from the record: our own ones here, GitHub's by `receive`. */
export function receiver(services: Services, receive: (event: never) => Promise<void>) {
  return async (event: { name: string }): Promise<void> => {
    if (!LOOKS.has(event.name)) return receive(event as never);
    const own = event as OwnEvent & { payload: Look };
    await onOwnEvent(services, own, (delivery) =>
      event.name === 'signalbox.branch'
        ? lookAtBranch(delivery, (own.payload as Extract<Look, { branch: string }>).branch)
        : lookAtPullRequest(delivery, (own.payload as Extract<Look, { number: number }>).number),
    );
  };
}

/** Takes up a head that no webhook told of: one run of it for what has changed since the last head on record. */
async function lookAtBranch(delivery: RepositoryDelivery, branch: string): Promise<void> {
  const { db, repository, log } = delivery;
  // Pushes in line behind a look tell for themselves, each in its turn.
  if (repository.removed_at !== null || (await pushWaits(db, repository.id))) return;
  // In this order: a push in between must not seem older than the head.
  const pushedAt = await lastPush(delivery);
  const head = await presentHead(delivery, branch);
  const known = await findHead(db, repository.id, branch);
  if (!known) return delivery.commit((tx) => noteHead(tx, repository.id, branch, head));
  if (known.head_sha === head) return;
  const author = head === ZERO_SHA ? { login: 'ghost', message: '' } : await authorOf(delivery, head);
  log.info({ branch, sha: head }, 'A push that no webhook told of is made up for');
  const move = { branch, before: known.head_sha, after: head, pushedAt };
  await followBranch(delivery, { ...move, actor: author.login, message: author.message });
}

async function lookAtPullRequest(delivery: RepositoryDelivery, number: number): Promise<void> {
  const { db, repository, octokit, log } = delivery;
  if (repository.removed_at !== null) return;
  const before = await db
    .selectFrom('pull_requests')
    .select('state')
    .where('repository_id', '=', repository.id)
    .where('number', '=', number)
    .executeTakeFirst();
  const { owner, name: repo } = repository;
  const { data } = await octokit.rest.pulls.get({ owner, repo, pull_number: number });
  log.info({ number }, 'What no webhook told of a pull request is made up for');
  const actor = (data.merged_by ?? data.user)?.login ?? 'ghost';
  await followPullRequest(delivery, data, { actor, again: before !== undefined && before.state !== 'open' });
}

async function lastPush({ octokit, repository }: RepositoryDelivery): Promise<Date | undefined> {
  try {
    const { data } = await octokit.rest.repos.get({ owner: repository.owner, repo: repository.name });
    return data.pushed_at ? new Date(data.pushed_at) : undefined;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}
