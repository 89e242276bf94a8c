import type { App, Installation, Permissions } from './app.js';
import type { Json } from './http.js';
import { nodeId, timestamp } from './ids.js';
import type { LocalGitHub } from './local-github.js';
import type { Repository } from './repository.js';

/** Gives an App a repository: `installation.created` for an owner's first, `installation_repositories.added` after. */
export function createInstallation(
  github: LocalGitHub,
  repository: Repository,
  app: App,
  permissions: Permissions = app.permissions,
): Installation {
  const existing = [...github.installations.values()].find(
    (each) => each.app === app && each.account === repository.owner,
  );
  if (existing) {
    addRepository(github, existing, repository);
    return existing;
  }
  const installation: Installation = {
    id: github.ids.next(),
    app,
    account: repository.owner,
    permissions,
    events: app.events,
    createdAt: timestamp(),
    suspendedAt: null,
    repositories: new Set([repository.id]),
  };
  github.installations.set(installation.id, installation);
  emit(github, installation, 'installation', 'created', {
    repositories: [shortRepositoryJson(repository)],
    requester: null,
  });
  return installation;
}

function addRepository(github: LocalGitHub, installation: Installation, repository: Repository): void {
  if (installation.repositories !== 'all') installation.repositories.add(repository.id);
  emit(github, installation, 'installation_repositories', 'added', {
    repository_selection: selection(installation),
    repositories_added: [shortRepositoryJson(repository)],
    repositories_removed: [],
    requester: null,
  });
}

/** Its tokens end with it. */
export function removeInstallation(github: LocalGitHub, installation: Installation): void {
  emit(github, installation, 'installation', 'deleted', { repositories: [] });
  github.installations.delete(installation.id);
  for (const token of github.tokens.values()) if (token.installation === installation) token.revoked = true;
}

/** Takes one repository from it, as its owner does in its settings. */
export function removeRepository(github: LocalGitHub, installation: Installation, repository: Repository): void {
  if (installation.repositories !== 'all') installation.repositories.delete(repository.id);
  emit(github, installation, 'installation_repositories', 'removed', {
    repository_selection: selection(installation),
    repositories_added: [],
    repositories_removed: [shortRepositoryJson(repository)],
    requester: null,
  });
}

/** GitHub tells the App of it, and of nothing after it. */
export function suspendInstallation(github: LocalGitHub, installation: Installation): void {
  installation.suspendedAt = timestamp();
  emit(github, installation, 'installation', 'suspend', {});
}

export function unsuspendInstallation(github: LocalGitHub, installation: Installation): void {
  installation.suspendedAt = null;
  emit(github, installation, 'installation', 'unsuspend', {});
}

function emit(github: LocalGitHub, installation: Installation, event: string, action: string, more: Json): void {
  const payload = { installation: installationJson(github, installation), ...more };
  const { account } = installation;
  const [owner] = [...account.members].find(([, role]) => role === 'admin') ?? [];
  const sender = owner ? github.accounts.get(owner) : account;
  github.webhooks.emit({ event, action, sender, payload, installation });
}

function selection(installation: Installation): 'all' | 'selected' {
  return installation.repositories === 'all' ? 'all' : 'selected';
}

export function installationJson(github: LocalGitHub, installation: Installation): Json {
  const { app, account } = installation;
  return {
    id: installation.id,
    client_id: app.clientId,
    account: github.accounts.json(account),
    repository_selection: selection(installation),
    access_tokens_url: `${github.api}/app/installations/${installation.id}/access_tokens`,
    repositories_url: `${github.api}/installation/repositories`,
    html_url: `${github.url}/organizations/${account.login}/settings/installations/${installation.id}`,
    app_id: app.id,
    app_slug: app.slug,
    target_id: account.id,
    target_type: account.type,
    permissions: installation.permissions,
    events: installation.events,
    created_at: installation.createdAt,
    updated_at: installation.createdAt,
    single_file_name: null,
    has_multiple_single_files: false,
    single_file_paths: [],
    suspended_by: installation.suspendedAt ? github.accounts.json(account) : null,
    suspended_at: installation.suspendedAt,
    node_id: nodeId('Integration', installation.id),
  };
}

function shortRepositoryJson(repository: Repository): Json {
  return {
    id: repository.id,
    node_id: nodeId('Repository', repository.id),
    name: repository.name,
    full_name: repository.fullName,
    private: repository.private,
  };
}
