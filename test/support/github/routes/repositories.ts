import { commitJson, readCommit } from '../commits.js';
import { type Call, type Json, notFound, type Route, route } from '../http.js';
import { atLeast, type Role, repositoryJson } from '../repository.js';
import { referenceJson } from './contents.js';

const contents = { needs: ['contents:read'] } as const;
const metadata = { needs: ['metadata:read'] } as const;

export const repositoryRoutes: readonly Route[] = [
  route('GET /repos/{owner}/{repo}', { ...metadata, as: 'anyone' }, (call) => {
    const { actor } = call;
    const shown = actor.kind === 'user' ? { permissions: flags(call.repo.roleOf(actor.account.login)) } : {};
    return { status: 200, body: { ...repositoryJson(call.repo, true), ...shown } };
  }),
  route('GET /repos/{owner}/{repo}/branches', contents, async (call) => {
    const refs = [...(await call.repo.refs())].filter(([name]) => name.startsWith('refs/heads/'));
    const wanted = call.query.get('protected');
    const branches = refs
      .map(([name, sha]) => branchJson(call, name.slice('refs/heads/'.length), sha))
      .filter((branch) => wanted === null || String(branch.protected) === wanted);
    return call.page(branches, (shown) => shown);
  }),
  route('GET /repos/{owner}/{repo}/branches/{branch}', contents, async (call) => {
    const name = call.param('branch');
    const sha = await call.repo.head(name);
    if (!sha) throw notFound();
    const api = `${call.github.api}/repos/${call.repo.fullName}/branches/${name}`;
    const body = {
      ...branchJson(call, name, sha),
      commit: commitJson(call.repo, await readCommit(call.repo, sha)),
      _links: { self: api, html: `${call.github.url}/${call.repo.fullName}/tree/${name}` },
    };
    return { status: 200, body };
  }),
  route('GET /repos/{owner}/{repo}/git/ref/{ref}', contents, async (call) => {
    const ref = `refs/${call.param('ref')}`;
    const sha = (await call.repo.refs()).get(ref);
    if (!sha) throw notFound();
    return { status: 200, body: referenceJson(call, ref, sha) };
  }),
  route('GET /repos/{owner}/{repo}/git/matching-refs/{ref}', contents, async (call) => {
    const prefix = `refs/${call.param('ref')}`;
    const found = [...(await call.repo.refs())].filter(([ref]) => ref.startsWith(prefix));
    return call.page(found, (shown) => shown.map(([ref, sha]) => referenceJson(call, ref, sha)));
  }),
  route('GET /repos/{owner}/{repo}/collaborators', { ...metadata, role: 'write' }, (call) => {
    const { accounts } = call.github;
    const logins = new Set([...call.repo.owner.members.keys(), ...call.repo.roles.keys()]);
    const people = [...logins].filter((login) => atLeast(call.repo.roleOf(login), 'read'));
    return call.page(people, (shown) =>
      shown.map((login) => {
        const role = call.repo.roleOf(login);
        return { ...accounts.json(accounts.get(login)), permissions: flags(role), role_name: role };
      }),
    );
  }),
  route('GET /repos/{owner}/{repo}/collaborators/{username}', metadata, (call) => {
    const login = call.param('username').toLowerCase();
    const known =
      call.repo.roles.has(login) || call.repo.owner.members.has(login) || call.repo.owner.login.toLowerCase() === login;
    if (!known || !atLeast(call.repo.roleOf(login), 'read')) throw notFound();
    return { status: 204 };
  }),
  route('GET /repos/{owner}/{repo}/collaborators/{username}/permission', metadata, (call) => {
    const { accounts } = call.github;
    const account = accounts.find(call.param('username'));
    if (!account) throw notFound();
    const role = call.repo.roleOf(account.login);
    const user = { ...accounts.json(account), permissions: flags(role), role_name: role };
    return { status: 200, body: { permission: legacy(role), role_name: role, user } };
  }),
];

/** The `permission` of old: maintain shows as write, triage as read. */
function legacy(role: Role): string {
  if (role === 'maintain') return 'write';
  return role === 'triage' ? 'read' : role;
}

/** What a role is made of. */
export function flags(role: Role): Json {
  const may = (wanted: Role) => atLeast(role, wanted);
  return {
    pull: may('read'),
    triage: may('triage'),
    push: may('write'),
    maintain: may('maintain'),
    admin: may('admin'),
  };
}

function branchJson(call: Call, name: string, sha: string): Json {
  const { repo, github } = call;
  const api = `${github.api}/repos/${repo.fullName}`;
  const protection = repo.protections.get(name);
  const checks = protection?.checks ?? [];
  return {
    name,
    commit: { sha, url: `${api}/commits/${sha}` },
    protected: protection !== undefined,
    protection: {
      enabled: protection !== undefined,
      required_status_checks: {
        enforcement_level: checks.length > 0 ? 'non_admins' : 'off',
        contexts: checks.map((check) => check.name),
        checks: checks.map((check) => ({ context: check.name, app_id: check.appId ?? null })),
      },
    },
    protection_url: `${api}/branches/${name}/protection`,
  };
}
