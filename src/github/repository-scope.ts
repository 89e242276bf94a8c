import { isNotAllowed, isNotFound, isRefusedToken } from './failures.js';
import { type RepositoryScope, renewToken, type Services } from './handling.js';
import { stateOfInstallation } from './installations.js';
import { repository as findRepository } from './repositories.js';

/** GitHub doesn't let the App do in a repository what was wanted there. Nothing was changed. The message is fit for a page. */
export class AppRefused extends Error {
  override name = 'AppRefused';
}

/** What may be done for a repository outside of a webhook's handling. */
export async function repositoryScope(services: Services, id: number): Promise<RepositoryScope> {
  const repository = await findRepository(services.db, id);
  return { ...services, repository, octokit: await services.octokitFor(repository.installation_id) };
}

/**
 * Does something for a repository while somebody waits for it: once more, where GitHub refuses the token. `work` asks GitHub
 * first, and changes the record, if at all, in one transaction at its end. Throws AppRefused where GitHub says no.
 */
export async function inRepository<T>(
  services: Services,
  id: number,
  work: (scope: RepositoryScope) => Promise<T>,
): Promise<T> {
  const scope = await repositoryScope(services, id);
  try {
    return await onceMore(scope, work);
  } catch (error) {
    throw (await refusalOf(scope, error)) ?? error;
  }
}

async function onceMore<T>(scope: RepositoryScope, work: (scope: RepositoryScope) => Promise<T>): Promise<T> {
  try {
    return await work(scope);
  } catch (error) {
    if (!isRefusedToken(error)) throw error;
    await renewToken(scope.octokit);
    return work(scope);
  }
}

/** Undefined: it is none. The webhook that says why may be on its way still, so GitHub is asked. */
async function refusalOf(scope: RepositoryScope, error: unknown): Promise<AppRefused | undefined> {
  if (![isNotFound, isNotAllowed, isRefusedToken].some((refuses) => refuses(error))) return undefined;
  const { owner, name, installation_id: installation } = scope.repository;
  const state = await stateOfInstallation(scope, installation).catch(() => undefined);
  const refusal = (why: string) =>
    new AppRefused(`Signalbox can't act on ${owner}/${name} now: ${why}.`, { cause: error });
  if (state === 'suspended') return refusal('its GitHub App is suspended there');
  if (state === 'gone') return refusal('its GitHub App was uninstalled there');
  // That the App's own token isn't taken is no matter of the repository.
  if (isRefusedToken(error)) return undefined;
  scope.log.warn({ err: error, repository: `${owner}/${name}` }, 'GitHub refused what somebody wanted on a page');
  return refusal(`GitHub says “${(error as Error).message.slice(0, 200)}”`);
}
