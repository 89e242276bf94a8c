import type { InstallationOctokit } from '../octokit.js';

/** What is asked of one repository. */
export interface HeadsQuestion {
  id: number;
  owner: string;
  name: string;
  branches: readonly string[];
}

export interface PullRequestHead {
  number: number;
  state: 'open' | 'closed' | 'merged';
  headSha: string;
  baseRef: string;
  updatedAt: Date;
}

export interface Heads {
  fullName: string;
  defaultBranch: string | undefined;
  archived: boolean;
  /** Branch → the head that it has now; undefined where there is no such branch. */
  branches: Map<string, string | undefined>;
  /** Those that changed last come first. */
  pullRequests: PullRequestHead[];
  /** Where the list of pull requests goes on. */
  next: string | undefined;
}

/** Pull requests that are asked of each of many repositories, and on further pages of one. */
const FEW = 20;
const MANY = 100;

const PULL_REQUESTS = `
  nodes { number state headRefOid baseRefName updatedAt }
  pageInfo { hasNextPage endCursor }`;

interface PullRequestNodes {
  nodes: {
    number: number;
    state: 'OPEN' | 'CLOSED' | 'MERGED';
    headRefOid: string;
    baseRefName: string;
    updatedAt: string;
  }[];
  pageInfo: { hasNextPage: boolean; endCursor: string | null };
}

interface RepositoryNode {
  databaseId: number;
  nameWithOwner: string;
  isArchived: boolean;
  defaultBranchRef: { name: string } | null;
  pullRequests: PullRequestNodes;
  [branch: `b${number}`]: { target: { oid: string } | null } | null;
}

/**
 * Asks GitHub for the heads of many repositories in one request, which costs about as much of the budget as one by REST.
 * Those that it doesn't have, or has under another id, are missing in the answer.
 */
export async function askForHeads(
  octokit: InstallationOctokit,
  questions: readonly HeadsQuestion[],
): Promise<Map<number, Heads>> {
  const variables: Record<string, string> = {};
  const fields = questions.map(({ owner, name, branches }, index) => {
    variables[`o${index}`] = owner;
    variables[`n${index}`] = name;
    const refs = branches.map((branch, at) => {
      variables[`r${index}x${at}`] = `refs/heads/${branch}`;
      return `b${at}: ref(qualifiedName: $r${index}x${at}) { target { oid } }`;
    });
    return `r${index}: repository(owner: $o${index}, name: $n${index}) {
      databaseId nameWithOwner isArchived defaultBranchRef { name } ${refs.join(' ')}
      pullRequests(first: ${FEW}, orderBy: { field: UPDATED_AT, direction: DESC }) {${PULL_REQUESTS}}
    }`;
  });
  const types = Object.keys(variables).map((name) => `$${name}: String!`);
  const answer = await ask<Record<string, RepositoryNode | null>>(
    octokit,
    `query (${types.join(', ')}) { ${fields.join('\n')} }`,
    variables,
  );
  const heads = new Map<number, Heads>();
  for (const [index, question] of questions.entries()) {
    const node = answer[`r${index}`];
    if (node && node.databaseId === question.id) heads.set(question.id, headsOf(node, question.branches));
  }
  return heads;
}

/** More pull requests of one repository. */
export async function askForPullRequests(
  octokit: InstallationOctokit,
  { owner, name }: Pick<HeadsQuestion, 'owner' | 'name'>,
  after: string,
): Promise<Pick<Heads, 'pullRequests' | 'next'>> {
  const query = `query ($owner: String!, $name: String!, $after: String!) {
    repository(owner: $owner, name: $name) {
      pullRequests(first: ${MANY}, after: $after, orderBy: { field: UPDATED_AT, direction: DESC }) {${PULL_REQUESTS}}
    }
  }`;
  const variables = { owner, name, after };
  const answer = await ask<{ repository: { pullRequests: PullRequestNodes } | null }>(octokit, query, variables);
  return answer.repository ? pageOf(answer.repository.pullRequests) : { pullRequests: [], next: undefined };
}

/** A repository that isn't there, or is closed to the App, is an error beside the answers for the others. */
async function ask<T>(octokit: InstallationOctokit, query: string, variables: Record<string, string>): Promise<T> {
  try {
    return await octokit.graphql<T>(query, variables);
  } catch (error) {
    const { data, errors } = error as { data?: T; errors?: { type?: string }[] };
    if (data && errors?.every(({ type }) => type === 'NOT_FOUND' || type === 'FORBIDDEN')) return data;
    throw error;
  }
}

function headsOf(node: RepositoryNode, branches: readonly string[]): Heads {
  return {
    fullName: node.nameWithOwner,
    defaultBranch: node.defaultBranchRef?.name,
    archived: node.isArchived,
    branches: new Map(branches.map((branch, at) => [branch, node[`b${at}`]?.target?.oid])),
    ...pageOf(node.pullRequests),
  };
}

function pageOf({ nodes, pageInfo }: PullRequestNodes): Pick<Heads, 'pullRequests' | 'next'> {
  const pullRequests = nodes.map((node) => ({
    number: node.number,
    state: node.state.toLowerCase() as PullRequestHead['state'],
    headSha: node.headRefOid,
    baseRef: node.baseRefName,
    updatedAt: new Date(node.updatedAt),
  }));
  return { pullRequests, next: pageInfo.hasNextPage ? (pageInfo.endCursor ?? undefined) : undefined };
}
