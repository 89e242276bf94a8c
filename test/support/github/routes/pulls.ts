import type { Account } from '../accounts.js';
import { commitJson, diffFiles, mergeBase, readCommits } from '../commits.js';
import { type Call, HttpError, invalid, notFound, type Route, route } from '../http.js';
import { type MergeMethod, mergePull } from '../merging.js';
import { pullJson, simplePullJson } from '../pull-json.js';
import {
  closePull,
  editPull,
  openPull,
  type Pull,
  type ReviewState,
  reopenPull,
  review,
  reviewJson,
} from '../pulls.js';
import type { Repository } from '../repository.js';

const reads = { needs: ['pull_requests:read'] } as const;
const writes = { needs: ['pull_requests:write'] } as const;

export const pullRoutes: readonly Route[] = [
  route('GET /repos/{owner}/{repo}/pulls', reads, (call) => {
    const { query } = call;
    const state = query.get('state') ?? 'open';
    const head = query.get('head');
    const base = query.get('base');
    const ascending = query.get('direction') === 'asc';
    const pulls = call.repo
      .pulls()
      .filter((pull) => state === 'all' || pull.issue.state === state)
      .filter((pull) => head === null || head === `${pull.headRepository.owner.login}:${pull.headRef}`)
      .filter((pull) => base === null || base === pull.baseRef)
      .sort((one, other) => (ascending ? 1 : -1) * (one.issue.number - other.issue.number));
    return call.page(pulls, (shown) => shown.map(simplePullJson));
  }),
  route('POST /repos/{owner}/{repo}/pulls', writes, async (call) => {
    const [owner, branch] = (call.text('head') ?? '').split(':');
    const headRepo = branch === undefined ? call.repo : forkOf(call.repo, owner ?? '');
    if (!headRepo) throw invalid('PullRequest', 'head', 'invalid');
    const title = call.text('title');
    const body = call.text('body');
    const base = call.text('base');
    if (!title || !base) throw invalid('PullRequest', title ? 'base' : 'title', 'missing_field');
    const pull = await openPull(call.repo, person(call), {
      title,
      base,
      head: branch ?? owner ?? '',
      headRepo,
      draft: call.body.draft === true,
      ...(body ? { body } : {}),
    });
    return { status: 201, body: await pullJson(pull) };
  }),
  route('GET /repos/{owner}/{repo}/pulls/{pull_number}', reads, async (call) => {
    return { status: 200, body: await pullJson(pullOf(call)) };
  }),
  route('PATCH /repos/{owner}/{repo}/pulls/{pull_number}', writes, async (call) => {
    const pull = pullOf(call);
    const edit = ['title', 'body', 'base'].flatMap((name) =>
      call.text(name) === undefined ? [] : [[name, call.text(name)]],
    );
    await editPull(pull, person(call), Object.fromEntries(edit));
    if (call.text('state') === 'closed') await closePull(pull, person(call));
    if (call.text('state') === 'open' && pull.issue.state === 'closed') await reopenPull(pull, person(call));
    return { status: 200, body: await pullJson(pull) };
  }),
  route('GET /repos/{owner}/{repo}/pulls/{pull_number}/commits', reads, async (call) => {
    const pull = pullOf(call);
    const start = await startOf(pull);
    const commits = await readCommits(call.repo, ['--reverse', `${start}..${pull.headSha}`]);
    return call.page(commits.slice(0, 250), (shown) => shown.map((commit) => commitJson(call.repo, commit)));
  }),
  route('GET /repos/{owner}/{repo}/pulls/{pull_number}/files', reads, async (call) => {
    const pull = pullOf(call);
    const files = await diffFiles(call.repo, await startOf(pull), pull.headSha);
    return call.page(files.slice(0, 3000), (shown) => shown);
  }),
  route('GET /repos/{owner}/{repo}/pulls/{pull_number}/reviews', reads, (call) => {
    const pull = pullOf(call);
    return call.page(pull.reviews, (shown) => shown.map((each) => reviewJson(pull, each)));
  }),
  route('POST /repos/{owner}/{repo}/pulls/{pull_number}/reviews', writes, async (call) => {
    const states: Record<string, ReviewState> = {
      APPROVE: 'APPROVED',
      REQUEST_CHANGES: 'CHANGES_REQUESTED',
      COMMENT: 'COMMENTED',
    };
    const state = states[call.text('event') ?? ''];
    if (!state) throw new HttpError(422, 'Pending reviews are not served here');
    const pull = pullOf(call);
    return { status: 200, body: reviewJson(pull, await review(pull, person(call), state, call.text('body'))) };
  }),
  route('GET /repos/{owner}/{repo}/pulls/{pull_number}/merge', reads, (call) => {
    if (!pullOf(call).merged) throw notFound();
    return { status: 204 };
  }),
  route(
    'PUT /repos/{owner}/{repo}/pulls/{pull_number}/merge',
    { needs: ['contents:write'], role: 'write' },
    async (call) => {
      const text = (name: string, as: string) => (call.text(name) === undefined ? {} : { [as]: call.text(name) });
      const options = { ...text('sha', 'sha'), ...text('commit_title', 'title'), ...text('commit_message', 'message') };
      const sha = await mergePull(
        pullOf(call),
        person(call),
        (call.text('merge_method') ?? 'merge') as MergeMethod,
        options,
      );
      return { status: 200, body: { sha, merged: true, message: 'Pull Request successfully merged' } };
    },
  ),
];

function forkOf(repository: Repository, owner: string): Repository | undefined {
  const all = [...repository.github.repositories.values()];
  return all.find((each) => each.owner.login === owner && (each === repository || each.parent === repository));
}

function pullOf(call: Call): Pull {
  const pull = call.repo.issues.get(call.number('pull_number'))?.pull;
  if (!pull) throw notFound();
  return pull;
}

async function startOf(pull: Pull): Promise<string> {
  return (await mergeBase(pull.repository, pull.baseSha, pull.headSha)) ?? pull.baseSha;
}

function person({ actor }: Call): Account {
  if (actor.kind === 'user' || actor.kind === 'installation') return actor.account;
  throw new HttpError(401, 'Requires authentication');
}
