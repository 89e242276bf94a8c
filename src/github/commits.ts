import { isNotFound } from './failures.js';
import type { RepositoryScope } from './handling.js';

type Scope = Pick<RepositoryScope, 'octokit' | 'repository'>;

export const ZERO_SHA = '0'.repeat(40);

export interface Comparison {
  /** Where the two parted. */
  mergeBase: string;
  /** Commits of the base that the head doesn't have. */
  behindBy: number;
}

/** What GitHub says of two commits or branches; undefined where it has one of them no more, or they share nothing. */
export async function compare({ octokit, repository }: Scope, base: string, head: string) {
  try {
    const { data } = await octokit.rest.repos.compareCommitsWithBasehead({
      owner: repository.owner,
      repo: repository.name,
      basehead: `${base}...${head}`,
      per_page: 1,
    });
    return { mergeBase: data.merge_base_commit.sha, behindBy: data.behind_by } satisfies Comparison;
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** Whether a commit has another one in its history, or is it. */
export async function contains(scope: Scope, commit: string, ancestor: string): Promise<boolean> {
  if (commit === ancestor) return true;
  return (await compare(scope, ancestor, commit))?.behindBy === 0;
}

export interface Branch {
  sha: string;
  /** Names of checks that its protection requires, as far as everyone may see them. */
  requiredChecks: string[];
}

/** The branch as it is now; undefined where there is none. */
export async function findBranch({ octokit, repository }: Scope, branch: string): Promise<Branch | undefined> {
  try {
    const { data } = await octokit.rest.repos.getBranch({ owner: repository.owner, repo: repository.name, branch });
    return { sha: data.commit.sha, requiredChecks: data.protection?.required_status_checks?.contexts ?? [] };
  } catch (error) {
    if (isNotFound(error)) return undefined;
    throw error;
  }
}

/** A commit's message; empty where GitHub has the commit no more. */
export async function messageOf(scope: Scope, sha: string): Promise<string> {
  return (await authorOf(scope, sha)).message;
}

/** A commit's message and GitHub's login of its author, `ghost` where GitHub knows none. */
export async function authorOf(
  { octokit, repository }: Scope,
  sha: string,
): Promise<{ login: string; message: string }> {
  try {
    const { data } = await octokit.rest.repos.getCommit({
      owner: repository.owner,
      repo: repository.name,
      ref: sha,
      per_page: 1,
    });
    return { login: data.author?.login ?? 'ghost', message: data.commit.message };
  } catch (error) {
    // 422: 'No commit found for SHA'.
    if (isNotFound(error) || (error as { status?: unknown }).status === 422) return { login: 'ghost', message: '' };
    throw error;
  }
}
