import { isNotFound } from './failures.js';
import type { RepositoryScope } from './handling.js';

/** Whether a person may write to the repository: apply, discard, cancel, plan. Asked of GitHub each time. */
export async function mayWrite(
  { octokit, repository }: Pick<RepositoryScope, 'octokit' | 'repository'>,
  login: string,
) {
  const permission = await permissionOf({ octokit, repository }, login);
  return permission === 'write' || permission === 'admin';
}

/** GitHub's legacy permission (maintain counts as write, triage as read). Who isn't known there has none. */
async function permissionOf(
  { octokit, repository }: Pick<RepositoryScope, 'octokit' | 'repository'>,
  login: string,
): Promise<string> {
  try {
    const { data } = await octokit.rest.repos.getCollaboratorPermissionLevel({
      owner: repository.owner,
      repo: repository.name,
      username: login,
    });
    return data.permission;
  } catch (error) {
    if (isNotFound(error)) return 'none';
    throw error;
  }
}
