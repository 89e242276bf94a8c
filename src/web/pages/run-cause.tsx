import type { Trigger } from '../../db/schema.js';
import { shortSha } from '../../reports/words.js';
import { branchUrl, commitUrl, pullRequestUrl } from './addresses.js';
import { Foreign, firstLine, Login } from './foreign.js';
import { Icon, type IconName } from './icon.js';
import type { PageContext } from './page-context.js';
import type { ListedRun, RepositoryName } from './shown-run.js';

/** What a run is called: what was said when it was queued by hand, or the first line of its commit. */
export function runTitle(run: Pick<ListedRun, 'message' | 'commit_message' | 'commit_sha'>): string {
  return firstLine(run.message ?? '') || firstLine(run.commit_message) || shortSha(run.commit_sha);
}

const VERBS: Partial<Record<Trigger, string>> = {
  push: 'pushed',
  pull_request: 'proposed',
  merge_group: 'queued for merging',
  comment: 'asked in a comment for',
  button: 'pressed a button for',
  rerun: 're-ran',
};

/** How a run came about, as a table says it. */
export function triggerWord(trigger: Trigger): string {
  const words: Partial<Record<Trigger, string>> = {
    push: 'Push',
    pull_request: 'Pull request',
    merge_group: 'Merge queue',
    comment: 'Comment',
    button: 'Button',
    rerun: 'Re-run',
  };
  return words[trigger] ?? 'Queue Plan';
}

export function triggerIcon(trigger: Trigger): IconName {
  const icons: Partial<Record<Trigger, IconName>> = {
    push: 'git-commit',
    pull_request: 'git-pull-request',
    merge_group: 'git-merge-queue',
    comment: 'comment',
    rerun: 'sync',
  };
  return icons[trigger] ?? 'play';
}

/** '*alice* pushed 1234567 to main', with links to GitHub. */
export function RunCause({ run, repository, page }: { run: ListedRun; repository: RepositoryName; page: PageContext }) {
  return (
    <>
      <Login login={run.actor} /> {VERBS[run.trigger] ?? 'queued a plan of'}{' '}
      <CommitLink sha={run.commit_sha} repository={repository} page={page} />{' '}
      {run.pull_request === null ? (
        <>
          {run.trigger === 'push' ? 'to' : 'on'} <BranchLink branch={run.branch} repository={repository} page={page} />
        </>
      ) : (
        <>
          in <PullRequestLink number={run.pull_request} repository={repository} page={page} />
        </>
      )}
    </>
  );
}

export function CommitLink({ sha, repository, page }: { sha: string; repository: RepositoryName; page: PageContext }) {
  return (
    <a class="sha" href={commitUrl(page.githubUrl, repository, sha)}>
      {shortSha(sha)}
    </a>
  );
}

export function BranchLink({
  branch,
  repository,
  page,
}: {
  branch: string;
  repository: RepositoryName;
  page: PageContext;
}) {
  return (
    <a class="branch" href={branchUrl(page.githubUrl, repository, branch)}>
      <Foreign text={branch} max={80} />
    </a>
  );
}

export function PullRequestLink({
  number,
  repository,
  page,
}: {
  number: number;
  repository: RepositoryName;
  page: PageContext;
}) {
  return (
    <a class="pull-request" href={pullRequestUrl(page.githubUrl, repository, number)}>
      <Icon name="git-pull-request" />#{number}
    </a>
  );
}
