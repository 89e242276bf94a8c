import { notFound, type Route, route } from '../http.js';

const members = ['members:read'] as const;

export const accountRoutes: readonly Route[] = [
  route('GET /users/{username}', { as: 'anyone' }, (call) => {
    const account = call.github.accounts.find(call.param('username'));
    if (!account) throw notFound();
    return { status: 200, body: call.github.accounts.fullJson(account) };
  }),
  route('GET /rate_limit', { as: 'anyone' }, () => {
    const core = { limit: 5000, used: 0, remaining: 5000, reset: Math.floor(Date.now() / 1000) + 3600 };
    return { status: 200, body: { resources: { core, search: { ...core, limit: 30, remaining: 30 } }, rate: core } };
  }),
  route('GET /orgs/{org}/memberships/{username}', { needs: members }, (call) => {
    const { accounts, api } = call.github;
    const organization = accounts.find(call.param('org'));
    const user = accounts.find(call.param('username'));
    const role = user && organization?.members.get(user.login.toLowerCase());
    if (!organization || !user || !role) throw notFound();
    const body = {
      url: `${api}/orgs/${organization.login}/memberships/${user.login}`,
      state: 'active',
      role,
      organization_url: `${api}/orgs/${organization.login}`,
      organization: accounts.organizationJson(organization),
      user: accounts.json(user),
    };
    return { status: 200, body };
  }),
  route('GET /orgs/{org}/members/{username}', { needs: members }, (call) => {
    const organization = call.github.accounts.find(call.param('org'));
    if (!organization?.members.has(call.param('username').toLowerCase())) throw notFound();
    return { status: 204 };
  }),
  route('GET /orgs/{org}/teams/{team_slug}/memberships/{username}', { needs: members }, (call) => {
    const { accounts, api } = call.github;
    const organization = accounts.find(call.param('org'));
    const login = call.param('username').toLowerCase();
    if (!organization?.teams.get(call.param('team_slug'))?.has(login)) throw notFound();
    const url = `${api}/organizations/${organization.id}/team/${call.param('team_slug')}/memberships/${login}`;
    return { status: 200, body: { url, role: 'member', state: 'active' } };
  }),
  route('GET /orgs/{org}/teams/{team_slug}/members', { needs: members }, (call) => {
    const { accounts } = call.github;
    const team = accounts.find(call.param('org'))?.teams.get(call.param('team_slug'));
    if (!team) throw notFound();
    return call.page([...team], (logins) => logins.map((login) => accounts.json(accounts.get(login))));
  }),
];
