import { isRefusedToken } from './failures.js';
import { type RepositoryScope, renewToken, type Services } from './handling.js';
import { repository as findRepository } from './repositories.js';

/** What may be done for a repository outside of a webhook's handling. */
export async function repositoryScope(services: Services, id: number): Promise<RepositoryScope> {
  const repository = await findRepository(services.db, id);
  return { ...services, repository, octokit: await services.octokitFor(repository.installation_id) };
}

/**
 * Does something for a repository while somebody waits for it: once more, where GitHub refuses the token. `work` asks GitHub
 * first, and changes the record, if at all, in one transaction at its end.
 */
export async function inRepository<T>(
  services: Services,
  id: number,
  work: (scope: RepositoryScope) => Promise<T>,
): Promise<T> {
  const scope = await repositoryScope(services, id);
  try {
    return await work(scope);
  } catch (error) {
    if (!isRefusedToken(error)) throw error;
    await renewToken(scope.octokit);
    return work(scope);
  }
}
