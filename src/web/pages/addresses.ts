/** Where things are, in here and on GitHub. Every part is text of other people's, and is escaped. */

interface RepositoryName {
  owner: string;
  name: string;
}

const part = encodeURIComponent;

export function workspacePath(repository: RepositoryName, workspace: string): string {
  return `/${part(repository.owner)}/${part(repository.name)}/workspaces/${part(workspace)}`;
}

/** The list of a repository's workspaces. */
export function repositoryListPath(repository: RepositoryName): string {
  return withQuery('/', { repository: `${repository.owner}/${repository.name}` });
}

export function stateVersionsPath(repository: RepositoryName, workspace: string): string {
  return `${workspacePath(repository, workspace)}/state-versions`;
}

export function stateVersionPath(repository: RepositoryName, workspace: string, id: number): string {
  return `${stateVersionsPath(repository, workspace)}/${id}`;
}

export function runPath(run: string): string {
  return `/runs/${part(run)}`;
}

/** All that a stage printed, as text. */
export function outputPath(run: string, stage: 'plan' | 'apply'): string {
  return `${runPath(run)}/${stage}.txt`;
}

/** The attributes of one resource of a run's plan, by its place in the plan. */
export function resourcePath(run: string, index: number): string {
  return `${runPath(run)}/resources/${index}`;
}

export function repositoryUrl(githubUrl: string, repository: RepositoryName): string {
  return `${githubUrl}/${part(repository.owner)}/${part(repository.name)}`;
}

export function commitUrl(githubUrl: string, repository: RepositoryName, sha: string): string {
  return `${repositoryUrl(githubUrl, repository)}/commit/${part(sha)}`;
}

export function pullRequestUrl(githubUrl: string, repository: RepositoryName, number: number): string {
  return `${repositoryUrl(githubUrl, repository)}/pull/${number}`;
}

export function branchUrl(githubUrl: string, repository: RepositoryName, branch: string): string {
  return `${repositoryUrl(githubUrl, repository)}/tree/${path(branch)}`;
}

export function checkRunUrl(githubUrl: string, repository: RepositoryName, id: number): string {
  return `${repositoryUrl(githubUrl, repository)}/runs/${id}`;
}

/** A file as it was in a commit, at these lines if they are known. */
export function fileUrl(
  githubUrl: string,
  repository: RepositoryName,
  file: { sha: string; path: string; startLine?: number | undefined; endLine?: number | undefined },
): string {
  const { startLine, endLine } = file;
  const lines = startLine === undefined ? '' : `#L${startLine}${endLine && endLine > startLine ? `-L${endLine}` : ''}`;
  return `${repositoryUrl(githubUrl, repository)}/blob/${part(file.sha)}/${path(file.path)}${lines}`;
}

/** The same list with other words in its query; what is empty is left out. */
export function withQuery(address: string, query: Record<string, string | undefined>, fragment = ''): string {
  const given = Object.entries(query).filter((entry): entry is [string, string] => Boolean(entry[1]));
  return `${address}${given.length === 0 ? '' : `?${new URLSearchParams(given)}`}${fragment}`;
}

function path(text: string): string {
  return text.split('/').map(part).join('/');
}
