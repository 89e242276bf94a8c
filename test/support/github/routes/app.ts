import { type App, type Installation, InstallationToken, type Permissions } from '../app.js';
import { type Call, HttpError, type Json, notFound, type Reply, type Route, route } from '../http.js';
import { installationJson } from '../installations.js';
import { convertManifest } from '../pages.js';
import { repositoryJson } from '../repository.js';
import type { Delivery } from '../webhooks.js';

const asApp = { as: 'app' } as const;

export const appRoutes: readonly Route[] = [
  route('GET /app', asApp, (call) => {
    const app = appOf(call);
    const installations_count = installationsOf(call).length;
    return { status: 200, body: { ...call.github.appJson(app), installations_count } };
  }),
  route('GET /app/installations', asApp, (call) =>
    call.page(installationsOf(call), (shown) => shown.map((each) => installationJson(call.github, each))),
  ),
  route('GET /app/installations/{installation_id}', asApp, (call) => showInstallation(call, installation(call))),
  route('POST /app/installations/{installation_id}/access_tokens', asApp, createToken),
  route('GET /repos/{owner}/{repo}/installation', asApp, (call) => {
    const found = installationsOf(call).find((each) => call.github.installationsOf(call.repo).includes(each));
    return showInstallation(call, found);
  }),
  route('GET /orgs/{org}/installation', asApp, (call) =>
    showInstallation(call, installationOn(call, call.param('org'))),
  ),
  route('GET /users/{username}/installation', asApp, (call) =>
    showInstallation(call, installationOn(call, call.param('username'))),
  ),
  route('GET /installation/repositories', { as: 'installation' }, (call) => {
    const { actor } = call;
    if (actor.kind !== 'installation') throw notFound();
    const repositories = [...call.github.repositories.values()].filter((each) => actor.token.covers(each));
    return call.page(repositories, (shown) => ({
      total_count: repositories.length,
      repository_selection: actor.installation.repositories === 'all' ? 'all' : 'selected',
      repositories: shown.map((each) => repositoryJson(each)),
    }));
  }),
  route('DELETE /installation/token', { as: 'installation' }, ({ actor }) => {
    if (actor.kind === 'installation') actor.token.revoked = true;
    return { status: 204 };
  }),
  route('GET /app/hook/config', asApp, (call) => {
    const app = appOf(call);
    return {
      status: 200,
      body: { content_type: 'json', insecure_ssl: '0', secret: '********', url: app.webhookUrl ?? '' },
    };
  }),
  route('GET /app/hook/deliveries', asApp, listDeliveries),
  route('GET /app/hook/deliveries/{delivery_id}', asApp, (call) => {
    const found = delivery(call);
    const request = { headers: found.requestHeaders, payload: found.payload };
    const response = { headers: found.responseHeaders, payload: found.responseBody };
    return { status: 200, body: { ...deliveryJson(found), url: found.url, request, response } };
  }),
  route('POST /app/hook/deliveries/{delivery_id}/attempts', asApp, (call) => {
    call.github.webhooks.redeliver(delivery(call));
    return { status: 202, body: {} };
  }),
  route('POST /app-manifests/{code}/conversions', { as: 'anyone' }, (call) => ({
    status: 201,
    body: convertManifest(call.github, call.param('code')),
  })),
];

function appOf(call: Call): App {
  if (call.actor.kind !== 'app') throw notFound();
  return call.actor.app;
}

function installationsOf(call: Call): Installation[] {
  const app = appOf(call);
  return [...call.github.installations.values()].filter((each) => each.app === app);
}

function installation(call: Call): Installation {
  const found = call.github.installations.get(call.number('installation_id'));
  if (!found || found.app !== appOf(call)) throw notFound();
  return found;
}

function installationOn(call: Call, login: string): Installation | undefined {
  return installationsOf(call).find((each) => each.account.login.toLowerCase() === login.toLowerCase());
}

function showInstallation(call: Call, found: Installation | undefined): Reply {
  if (!found) throw notFound();
  return { status: 200, body: installationJson(call.github, found) };
}

/** An installation's token, narrowed to repositories and permissions where the request says so. */
function createToken(call: Call): Reply {
  const { github, body } = call;
  const on = installation(call);
  if (on.suspendedAt !== null) throw new HttpError(403, 'This installation has been suspended');
  const permissions = narrowed(on, body.permissions as Permissions | undefined);
  const names = body.repositories as string[] | undefined;
  const ids = body.repository_ids as number[] | undefined;
  const accessible = [...github.repositories.values()].filter((each) => github.installationsOf(each).includes(on));
  const wanted = [
    ...(names ?? []).map((name) => accessible.find((each) => each.name.toLowerCase() === name.toLowerCase())),
    ...(ids ?? []).map((id) => accessible.find((each) => each.id === id)),
  ];
  if (wanted.includes(undefined)) {
    const message =
      'There is at least one repository that does not exist or is not accessible to the parent installation.';
    throw new HttpError(422, message);
  }
  const selected = names || ids ? wanted.flatMap((each) => each ?? []) : undefined;
  const token = new InstallationToken(on, permissions, selected && new Set(selected.map((each) => each.id)));
  github.tokens.set(token.value, token);
  const expires_at = new Date(token.expiresAt).toISOString().replace(/\.\d+Z/, 'Z');
  const repository_selection = selected || on.repositories !== 'all' ? 'selected' : 'all';
  const repositories = selected ? { repositories: selected.map((each) => repositoryJson(each)) } : {};
  return { status: 201, body: { token: token.value, expires_at, permissions, repository_selection, ...repositories } };
}

function narrowed(on: Installation, asked: Permissions | undefined): Permissions {
  if (!asked) return on.permissions;
  for (const [name, level] of Object.entries(asked)) {
    const granted = on.permissions[name];
    if (!granted || (level === 'write' && granted === 'read')) {
      throw new HttpError(422, 'The permissions requested are not granted to this installation.');
    }
  }
  return { metadata: 'read', ...asked };
}

/** Newest first. The cursor is opaque on GitHub; here it is the id of the last delivery shown. */
function listDeliveries(call: Call): Reply {
  const app = appOf(call);
  const perPage = Math.min(Number(call.query.get('per_page') ?? 30) || 30, 100);
  const status = call.query.get('status');
  const cursor = call.query.get('cursor');
  const failed = (each: Delivery) => each.statusCode >= 400 && each.statusCode <= 599;
  const all = call.github.deliveries
    .filter((each) => each.app === app && each.status !== 'pending')
    .filter((each) => status === null || (status === 'failure' ? failed(each) : !failed(each)))
    .filter((each) => cursor === null || each.id < decodeCursor(cursor))
    .sort((one, other) => (one.id < other.id ? 1 : -1));
  const shown = all.slice(0, perPage);
  const last = shown.at(-1);
  const query = new URLSearchParams(call.query);
  if (last) query.set('cursor', `v1_${last.id}`);
  const link = `<${call.github.api}/app/hook/deliveries?${query}>; rel="next"`;
  return { status: 200, body: shown.map(deliveryJson), ...(all.length > perPage ? { headers: { link } } : {}) };
}

function decodeCursor(cursor: string): bigint {
  const digits = /^v1_(\d+)$/.exec(cursor)?.[1];
  if (!digits) throw new HttpError(422, 'Invalid cursor');
  return BigInt(digits);
}

function delivery(call: Call): Delivery {
  const id = call.param('delivery_id');
  const found = call.github.deliveries.find((each) => each.app === appOf(call) && String(each.id) === id);
  if (!found) throw notFound();
  return found;
}

function deliveryJson(each: Delivery): Json {
  return {
    id: each.id,
    guid: each.guid,
    delivered_at: each.deliveredAt,
    redelivery: each.redelivery,
    duration: each.duration,
    status: each.status,
    status_code: each.statusCode,
    event: each.event,
    action: each.action ?? null,
    installation_id: each.installationId ?? null,
    repository_id: each.repository?.id ?? null,
    throttled_at: null,
  };
}
