import type { Context } from 'hono';
import type { Repository, Run, Workspace } from '../../db/schema.js';
import { findRunAndRepository } from '../../runs/store.js';
import type { Access } from '../../signin/access.js';
import type { Session } from '../../signin/session.js';
import { findWorkspace } from '../../workspaces/workspace-list.js';
import { Problem } from './answer.js';
import type { PageServices, PagesEnv } from './services.js';

/** What GitHub lets a person do on a repository. Undefined: not even see it. */
export async function accessTo(
  { signIn }: PageServices,
  session: Session,
  repository: Pick<Repository, 'id' | 'owner' | 'name' | 'removed_at'>,
): Promise<Access | undefined> {
  return repository.removed_at === null ? signIn?.accessTo(session, repository) : undefined;
}

/** A run, and what the person may do with it. What may not be seen looks like what isn't there. */
export async function seenRun(
  c: Context<PagesEnv>,
  services: PageServices,
  id: string,
): Promise<{ run: Run; repository: Repository; access: Access }> {
  const found = await findRunAndRepository(services.db, id);
  const access = found && (await accessTo(services, c.get('session'), found.repository));
  if (!found || access === undefined) throw new Problem(404);
  return { ...found, access };
}

export async function seenWorkspace(
  c: Context<PagesEnv>,
  services: PageServices,
  place: { owner: string; repository: string; workspace: string },
): Promise<{ workspace: Workspace; repository: Repository; access: Access }> {
  const found = await findWorkspace(services.db, place.owner, place.repository, place.workspace);
  const access = found && (await accessTo(services, c.get('session'), found.repository));
  if (!found || access === undefined) throw new Problem(404);
  return { ...found, access };
}
