import type { Account } from './accounts.js';
import { openSuites } from './checks.js';
import { isAncestor, pushedCommitJson, readCommit, readCommits } from './commits.js';
import type { Json } from './http.js';
import { timestamp } from './ids.js';
import { followPush } from './pulls.js';
import { type Repository, repositoryJson } from './repository.js';

export const ZERO = '0'.repeat(40);

export interface RefChange {
  ref: string;
  before: string;
  after: string;
}

export function refChanges(before: Map<string, string>, after: Map<string, string>): RefChange[] {
  const names = new Set([...before.keys(), ...after.keys()]);
  return [...names]
    .map((ref) => ({ ref, before: before.get(ref) ?? ZERO, after: after.get(ref) ?? ZERO }))
    .filter((change) => change.before !== change.after);
}

/** GitHub's webhook lists at most so many commits of a push. */
const MOST_COMMITS = 2048;

/** Moves branches as GitHub itself does (merges, deletions by button), with everything that follows. */
export async function updateRefs(repository: Repository, actor: Account, changes: readonly RefChange[]): Promise<void> {
  const before = await repository.refs();
  const commands = changes.map(({ ref, after }) => (after === ZERO ? `delete ${ref}\n` : `update ${ref} ${after}\n`));
  await repository.git(['update-ref', '--stdin'], { input: commands.join('') });
  await announce(repository, actor, before);
}

/** What happens after refs have moved: push events, pull requests that follow, check suites. */
export async function announce(repository: Repository, actor: Account, before: Map<string, string>): Promise<void> {
  const after = await repository.refs();
  const changes = refChanges(before, after);
  if (changes.length === 0) return;
  repository.pushedAt = timestamp();
  const tags = changes.filter(({ ref }) => ref.startsWith('refs/tags/'));
  for (const change of changes) {
    if (tags.includes(change) && tags.length > 3) continue; // GitHub sends no events for more than three tags
    await announcePush(repository, actor, change, before);
  }
  for (const change of changes) {
    if (!change.ref.startsWith('refs/heads/')) continue;
    await followPush(repository, actor, change);
    if (change.after !== ZERO) await openSuites(repository, actor, change);
  }
}

async function announcePush(
  repository: Repository,
  actor: Account,
  change: RefChange,
  refs: Map<string, string>,
): Promise<void> {
  const { github } = repository;
  const { ref, before, after } = change;
  const created = before === ZERO;
  const deleted = after === ZERO;
  // What was deleted or forced away is still in the object store, which is never collected.
  const known = [...new Set([...refs].filter(([name]) => name !== ref).map(([, sha]) => sha))];
  const select = (excluded: readonly string[]) => [
    `--max-count=${MOST_COMMITS}`,
    after,
    ...excluded.map((sha) => `^${sha}`),
  ];
  const commits = deleted ? [] : await readCommits(repository, select(created ? known : [before]));
  const fresh = deleted ? '' : await repository.git(['rev-list', ...select(created ? known : [...known, before])]);
  const distinct = new Set(fresh.split('\n'));
  const html = `${github.url}/${repository.fullName}`;
  const short = (sha: string) => sha.slice(0, 12);
  const head = deleted ? undefined : await readCommit(repository, after);
  const payload: Json = {
    ref,
    before,
    after,
    repository: pushedRepositoryJson(repository),
    pusher: { name: actor.login, email: github.accounts.email(actor) },
    created,
    deleted,
    forced: !created && !deleted && !(await isAncestor(repository, before, after)),
    base_ref: null,
    compare: `${html}/compare/${created || deleted ? short(deleted ? before : after) : `${short(before)}...${short(after)}`}`,
    commits: commits.reverse().map((commit) => pushedCommitJson(repository, commit, distinct.has(commit.sha))),
    head_commit: head ? pushedCommitJson(repository, head, distinct.has(head.sha)) : null,
  };
  github.webhooks.emit({ event: 'push', repository, sender: actor, payload });
}

/** In a push's payload some of the repository's fields differ: times are numbers, the owner has a name. */
function pushedRepositoryJson(repository: Repository): Json {
  const { accounts } = repository.github;
  const seconds = (time: string) => Math.floor(Date.parse(time) / 1000);
  const email = repository.owner.type === 'User' ? accounts.email(repository.owner) : null;
  return {
    ...repositoryJson(repository),
    owner: { name: repository.owner.login, email, ...accounts.json(repository.owner) },
    created_at: seconds(repository.createdAt),
    pushed_at: seconds(repository.pushedAt),
    stargazers: 0,
    master_branch: repository.defaultBranch,
    ...(repository.owner.type === 'Organization' ? { organization: repository.owner.login } : {}),
  };
}
