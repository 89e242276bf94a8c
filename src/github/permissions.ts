import { isNotFound } from './failures.js';
import type { RepositoryScope } from './handling.js';

type Scope = Pick<RepositoryScope, 'octokit' | 'repository'>;

/** Whether a person may write to the repository: apply, discard, cancel, plan, lock. Asked of GitHub each time. */
export async function mayWrite(scope: Scope, login: string): Promise<boolean> {
  const permission = await permissionOf(scope, login);
  return permission === 'write' || permission === 'admin';
}

/** Whether a person is an administrator of the repository: force-cancel, others' locks. Asked of GitHub each time. */
export async function mayAdminister(scope: Scope, login: string): Promise<boolean> {
  return (await permissionOf(scope, login)) === 'admin';
}

/** GitHub's legacy permission (maintain counts as write, triage as read). Who isn't known there has none. */
async function permissionOf({ octokit, repository }: Scope, login: string): Promise<string> {
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
