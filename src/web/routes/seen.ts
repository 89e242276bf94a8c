import type { Context } from 'hono';
import type { Repository } from '../../db/schema.js';
import type { Access } from '../../signin/access.js';
import type { PageServices, PagesEnv } from './services.js';

/** What may not be seen looks like what isn't there. */
export class NotThere extends Error {}

/** What GitHub lets the person do on the repository. Throws NotThere when that is not even to see it. */
export async function accessTo(
  c: Context<PagesEnv>,
  { signIn }: Pick<PageServices, 'signIn'>,
  repository: Pick<Repository, 'id' | 'owner' | 'name' | 'removed_at'>,
): Promise<Access> {
  if (repository.removed_at !== null) throw new NotThere();
  const access = await signIn?.accessTo(c.get('session'), repository);
  if (access === undefined) throw new NotThere();
  return access;
}
