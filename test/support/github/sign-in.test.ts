import { createHash } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import type { Octokit } from '@octokit/rest';
import { client, type Fixture, startFixture } from './fixture.js';

const CALLBACK = 'https://signalbox.test/auth/callback';
const VERIFIER = 'v'.repeat(43);

let fixture: Fixture;
beforeAll(async () => {
  fixture = await startFixture({ callbackUrls: [CALLBACK] });
});
afterEach(() => fixture.github.signInAs(undefined));
afterAll(async () => {
  expect([fixture.github.violations, fixture.github.ownViolations]).toEqual([[], []]);
  await fixture.close();
});

function authorizeUrl(more: Record<string, string> = {}): string {
  const { github } = fixture;
  const query = {
    client_id: github.app.clientId,
    redirect_uri: CALLBACK,
    state: 'xyz',
    code_challenge: createHash('sha256').update(VERIFIER).digest('base64url'),
    code_challenge_method: 'S256',
    ...more,
  };
  return `${github.url}/login/oauth/authorize?${new URLSearchParams(query)}`;
}

async function codeFor(login: string): Promise<string> {
  fixture.github.signInAs(login);
  const answer = await fetch(authorizeUrl(), { redirect: 'manual' });
  return new URL(answer.headers.get('location') ?? '').searchParams.get('code') ?? '';
}

async function token(fields: Record<string, string>): Promise<Record<string, string>> {
  const { github } = fixture;
  const body = { client_id: github.app.clientId, client_secret: github.app.clientSecret, ...fields };
  const answer = await fetch(`${github.url}/login/oauth/access_token`, {
    method: 'POST',
    headers: { accept: 'application/json' },
    body: new URLSearchParams(body),
  });
  expect(answer.status).toBe(200);
  return answer.json() as Promise<Record<string, string>>;
}

async function signIn(login: string): Promise<Record<string, string>> {
  return token({ code: await codeFor(login), code_verifier: VERIFIER });
}

const as = (tokens: Record<string, string>) => client(fixture.github, tokens.access_token ?? '');
const infra = { owner: 'acme', repo: 'infra' };

test('a person says who they are on a page, and comes back with a code or a refusal', async () => {
  const page = await (await fetch(authorizeUrl())).text();
  expect(page).toContain('Authorize signalbox');
  const send = async (fields: Record<string, string>) => {
    const kept = [...page.matchAll(/type="hidden" name="(\w+)" value="([^"]*)"/g)].map(([, name, value]) => [
      name,
      value,
    ]);
    const answer = await fetch(`${fixture.github.url}/login/oauth/authorize`, {
      method: 'POST',
      redirect: 'manual',
      body: new URLSearchParams({ ...Object.fromEntries(kept), ...fields }),
    });
    return answer.headers.get('location') ?? answer.text();
  };
  expect(await send({ login: 'alice', answer: 'authorize' })).toMatch(`${CALLBACK}?code=`);
  expect(await send({ login: 'nobody<', answer: 'authorize' })).toContain('There is no person nobody&#60;.');
  expect(await send({ login: 'alice', answer: 'cancel' })).toMatch(/error=access_denied.*&state=xyz$/);
});

test('an unknown App, and a callback that is not its own, lead nowhere', async () => {
  fixture.github.signInAs('alice');
  expect((await fetch(authorizeUrl({ client_id: 'x' }))).status).toBe(404);
  const answer = await fetch(authorizeUrl({ redirect_uri: 'https://evil.test/' }), { redirect: 'manual' });
  expect([answer.status, await answer.text()]).toEqual([200, expect.stringContaining('Be careful!')]);
});

test('a code is good once, for ten minutes, with its verifier and the secret', async () => {
  const bad = { error: 'bad_verification_code' };
  const code = await codeFor('alice');
  expect(await token({ code, code_verifier: VERIFIER })).toMatchObject({ token_type: 'bearer', expires_in: 28_800 });
  expect(await token({ code, code_verifier: VERIFIER })).toMatchObject(bad);
  expect(await token({ code: await codeFor('alice') })).toMatchObject(bad);
  expect(await token({ code: await codeFor('alice'), code_verifier: 'w'.repeat(43) })).toMatchObject(bad);
  const late = await codeFor('alice');
  fixture.github.userTokens.expireCodes();
  expect(await token({ code: late, code_verifier: VERIFIER })).toMatchObject(bad);
  const secret = { code: await codeFor('alice'), code_verifier: VERIFIER, client_secret: 'x' };
  expect(await token(secret)).toMatchObject({ error: 'incorrect_client_credentials' });
});

test('a refresh makes a new pair of tokens, and ends the old one', async () => {
  const first = await signIn('alice');
  const refresh = { grant_type: 'refresh_token', refresh_token: first.refresh_token ?? '' };
  const second = await token(refresh);
  expect((await as(second).rest.users.getAuthenticated()).data.login).toBe('alice');
  await expect(as(first).rest.users.getAuthenticated()).rejects.toMatchObject({ status: 401 });
  expect(await token(refresh)).toMatchObject({ error: 'bad_refresh_token' });
  fixture.github.userTokens.expire();
  await expect(as(second).rest.users.getAuthenticated()).rejects.toMatchObject({ status: 401 });
});

test('with a token one sees what both the person and the App see, and what the person may do there', async () => {
  const { github } = fixture;
  await github.createRepository({ owner: 'acme', name: 'not-installed', private: true, install: false });
  await github.createRepository({ owner: 'acme', name: 'open' });
  const people = new Map<string, Octokit>();
  for (const login of ['root', 'alice', 'bob', 'mallory']) people.set(login, as(await signIn(login)));
  const person = (login: string) => people.get(login) as Octokit;
  const permissions = async (login: string) => (await person(login).rest.repos.get(infra)).data.permissions;
  expect(await permissions('root')).toMatchObject({ admin: true });
  expect(await permissions('alice')).toMatchObject({ admin: false, push: true });
  expect(await permissions('bob')).toMatchObject({ push: false, pull: true });
  await expect(permissions('mallory')).rejects.toMatchObject({ status: 404 });
  const notInstalled = { owner: 'acme', repo: 'not-installed' };
  await expect(person('root').rest.repos.get(notInstalled)).rejects.toMatchObject({ status: 404 });

  const listed = async (login: string) => {
    const { apps } = person(login).rest;
    const names: string[] = [];
    for (const { id } of (await apps.listInstallationsForAuthenticatedUser()).data.installations) {
      const answer = await apps.listInstallationReposForAuthenticatedUser({ installation_id: id });
      names.push(...answer.data.repositories.map((each) => `${each.name} ${each.permissions?.push}`));
    }
    return names;
  };
  expect(await listed('root')).toEqual(['infra true', 'open true']);
  expect(await listed('bob')).toEqual(['infra false']);
  expect(await listed('mallory')).toEqual([]);
  await expect(
    client(github, github.token('alice')).rest.apps.listInstallationsForAuthenticatedUser(),
  ).rejects.toMatchObject({ status: 403 });
});

test('a token is revoked by the App, with its secret, and all of them by the person', async () => {
  const { github } = fixture;
  const [first, second] = [await signIn('alice'), await signIn('alice')];
  const revoke = async (secret: string) => {
    const answer = await fetch(`${github.api}/applications/${github.app.clientId}/token`, {
      method: 'DELETE',
      headers: { authorization: `basic ${btoa(`${github.app.clientId}:${secret}`)}` },
      body: JSON.stringify({ access_token: first.access_token }),
    });
    return answer.status;
  };
  expect(await revoke('wrong')).toBe(401);
  expect(await revoke(github.app.clientSecret)).toBe(204);
  expect(await revoke(github.app.clientSecret)).toBe(422);
  await expect(as(first).rest.users.getAuthenticated()).rejects.toMatchObject({ status: 401 });
  await as(second).rest.users.getAuthenticated();
  github.revokeAuthorization('alice');
  await expect(as(second).rest.users.getAuthenticated()).rejects.toMatchObject({ status: 401 });
});
