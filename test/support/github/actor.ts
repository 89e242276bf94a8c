import type { Account } from './accounts.js';
import { type App, type Installation, type InstallationToken, issuerOf, permits } from './app.js';
import type { Access } from './http.js';
import { HttpError, notFound } from './http.js';
import type { LocalGitHub } from './local-github.js';
import type { Repository, Role } from './repository.js';
import { atLeast } from './repository.js';

/** Who makes a request. */
export type Actor =
  | { kind: 'anonymous' }
  /** With `app`, through a user access token: it sees what both the person and the App see. */
  | { kind: 'user'; account: Account; app?: App }
  | { kind: 'app'; app: App }
  /** With the App's client id and secret. */
  | { kind: 'client'; app: App }
  | { kind: 'installation'; app: App; installation: Installation; token: InstallationToken; account: Account };

/** For the log of requests: `user:alice`, `app:signalbox`, `client:signalbox`, `installation:42`, `anonymous`. */
export function describeActor(actor: Actor): string {
  if (actor.kind === 'user') return `user:${actor.account.login}`;
  if (actor.kind === 'app' || actor.kind === 'client') return `${actor.kind}:${actor.app.slug}`;
  if (actor.kind === 'installation') return `installation:${actor.installation.id}`;
  return 'anonymous';
}

/** Whether an App asks, be it in the name of a person. */
export function isByApp(actor: Actor): boolean {
  return actor.kind === 'user' ? actor.app !== undefined : actor.kind !== 'anonymous';
}

/** Who sent a request. Throws GitHub's 401 for credentials that are wrong. */
export function authenticate(github: LocalGitHub, header: string | undefined): Actor {
  const [scheme = '', value = ''] = (header ?? '').split(' ');
  if (!value) return { kind: 'anonymous' };
  if (scheme.toLowerCase() !== 'basic') return identify(github, value);
  const [user = '', password = ''] = Buffer.from(value, 'base64').toString().split(':');
  const client = [...github.apps.values()].find((each) => each.clientId === user && each.clientSecret === password);
  if (client) return { kind: 'client', app: client };
  try {
    return identify(github, password === '' || password === 'x-oauth-basic' ? user : password);
  } catch (error) {
    if (error instanceof HttpError) error.headers['www-authenticate'] = 'Basic realm="GitHub"';
    throw error;
  }
}

function identify(github: LocalGitHub, token: string): Actor {
  const account = github.accounts.byToken(token);
  if (account) return { kind: 'user', account };
  const allowed = github.userTokens.find(token);
  if (allowed) return { kind: 'user', account: allowed.account, app: allowed.app };
  const issued = github.tokens.get(token);
  if (issued?.usable) {
    const { installation } = issued;
    return { kind: 'installation', app: installation.app, installation, token: issued, account: installation.app.bot };
  }
  if (!token.includes('.')) throw new HttpError(401, 'Bad credentials');
  const issuer = issuerOf(token);
  const app = [...github.apps.values()].find((each) => String(each.id) === issuer || each.clientId === issuer);
  if (!app) throw new HttpError(404, 'Integration not found');
  app.verify(token);
  return { kind: 'app', app };
}

export function canSee(actor: Actor, repository: Repository): boolean {
  if (!repository.private) return true;
  if (actor.kind === 'user') {
    const reads = atLeast(repository.roleOf(actor.account.login), 'read');
    return reads && (actor.app === undefined || installationFor(actor.app, repository) !== undefined);
  }
  return actor.kind === 'installation' && actor.token.covers(repository);
}

function installationFor(app: App, repository: Repository): Installation | undefined {
  const all = repository.github.installationsOf(repository);
  return all.find((each) => each.app === app && each.suspendedAt === null);
}

/** Throws what GitHub answers when the actor may not call a route. */
export function authorize(actor: Actor, access: Access, repository: Repository | undefined): void {
  if (access.as === 'app') {
    if (actor.kind !== 'app') throw new HttpError(401, 'A JSON web token could not be decoded');
    return;
  }
  if (access.as === 'client') {
    if (actor.kind !== 'client') throw new HttpError(401, 'Bad credentials');
    return;
  }
  if (access.as === 'installation') {
    if (actor.kind === 'anonymous') throw new HttpError(401, 'Requires authentication');
    if (actor.kind !== 'installation')
      throw new HttpError(403, 'You must authenticate with an installation access token');
    return;
  }
  if (actor.kind === 'app' || actor.kind === 'client')
    throw new HttpError(401, 'A JSON web token is accepted for the App itself only: use an installation token');
  if (repository && !canSee(actor, repository)) throw notFound();
  if (actor.kind === 'installation') {
    authorizeInstallation(actor.token, access, repository);
  } else {
    authorizePerson(actor, access, repository);
    if (actor.kind === 'user' && actor.app) authorizeInName(actor.app, access, repository);
  }
}

function authorizeInstallation(token: InstallationToken, access: Access, repository: Repository | undefined): void {
  const needs = access.needs ?? [];
  if (needs.length === 0) return;
  const covered = !repository || token.covers(repository);
  const reads = needs.some((need) => need.endsWith(':read'));
  if (!covered && reads) return; // anyone may read a public repository
  if (covered && needs.some((need) => token.permits(need))) return;
  throw new HttpError(
    403,
    'Resource not accessible by integration',
    {},
    {
      'x-accepted-github-permissions': needs.map((need) => need.replace(':', '=')).join('; '),
    },
  );
}

/** An App in the name of a person may do no more than its installation. */
function authorizeInName(app: App, access: Access, repository: Repository | undefined): void {
  const needs = access.needs ?? [];
  if (!repository || needs.length === 0) return;
  const granted = installationFor(app, repository)?.permissions;
  if (needs.some((need) => (granted ? permits(granted, need) : need.endsWith(':read')))) return;
  throw new HttpError(403, 'Resource not accessible by integration');
}

function authorizePerson(actor: Actor, access: Access, repository: Repository | undefined): void {
  const role: Role = access.role ?? 'read';
  if (actor.kind === 'anonymous') {
    const writes = access.needs?.every((need) => need.endsWith(':write')) ?? false;
    if (access.as !== 'anyone' && (!repository || writes || role !== 'read'))
      throw new HttpError(401, 'Requires authentication');
    return;
  }
  if (!repository || actor.kind !== 'user' || role === 'read') return;
  if (!atLeast(repository.roleOf(actor.account.login), role)) {
    const word = role === 'write' ? 'push' : role;
    throw new HttpError(403, `Must have ${word} access to view or change this.`);
  }
}
