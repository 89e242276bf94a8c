import { canSee } from '../actor.js';
import type { Installation } from '../app.js';
import { type Call, HttpError, notFound, type Route, route } from '../http.js';
import { installationJson } from '../installations.js';
import { type Repository, repositoryJson } from '../repository.js';
import { flags } from './repositories.js';

/** What a person sees through an App. */
export const userRoutes: readonly Route[] = [
  route('GET /user', { as: 'anyone' }, ({ actor, github }) => {
    if (actor.kind !== 'user') throw new HttpError(401, 'Requires authentication');
    return { status: 200, body: github.accounts.fullJson(actor.account) };
  }),
  route('GET /user/installations', {}, (call) => {
    const installations = installationsOf(call);
    return call.page(installations, (shown) => ({
      total_count: installations.length,
      installations: shown.map((each) => installationJson(call.github, each)),
    }));
  }),
  route('GET /user/installations/{installation_id}/repositories', {}, (call) => {
    const installation = installationsOf(call).find((each) => each.id === call.number('installation_id'));
    if (!installation) throw notFound();
    if (installation.suspendedAt !== null) throw new HttpError(403, 'This installation has been suspended');
    const repositories = explicit(call, installation);
    return call.page(repositories, (shown) => ({
      total_count: repositories.length,
      repositories: shown.map((each) => ({
        ...repositoryJson(each),
        permissions: flags(each.roleOf(call.actor.kind === 'user' ? call.actor.account.login : '')),
      })),
    }));
  }),
  route('DELETE /applications/{client_id}/token', { as: 'client' }, (call) => {
    const { actor, github } = call;
    if (actor.kind !== 'client' || actor.app.clientId !== call.param('client_id')) throw notFound();
    const token = github.userTokens.find(call.text('access_token') ?? '');
    if (token?.app !== actor.app) throw new HttpError(422, 'Validation Failed');
    github.userTokens.revoke((each) => each === token);
    return { status: 204 };
  }),
];

/** Those on which the person has been given something: reading what everybody may read doesn't count. */
function installationsOf(call: Call): Installation[] {
  const { actor, github } = call;
  if (actor.kind !== 'user' || !actor.app)
    throw new HttpError(
      403,
      'You must authenticate with an access token authorized to a GitHub App in order to list installations',
    );
  return [...github.installations.values()].filter((each) => {
    if (each.app !== actor.app) return false;
    const login = actor.account.login.toLowerCase();
    return each.account === actor.account || each.account.members.has(login) || explicit(call, each).length > 0;
  });
}

function explicit({ actor, github }: Call, installation: Installation): Repository[] {
  if (actor.kind !== 'user') return [];
  const login = actor.account.login.toLowerCase();
  return [...github.repositories.values()].filter((each) => {
    if (!github.installationsOf(each).includes(installation) || !canSee(actor, each)) return false;
    const given = each.roles.get(login) ?? 'none';
    return each.private || given !== 'none' || each.owner === actor.account || each.owner.members.has(login);
  });
}
