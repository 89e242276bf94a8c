import { generateKeyPairSync } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import nock from 'nock';
import { type Config, readConfig } from '../../src/config.js';
import type { OpenRecord } from '../../src/db/record.js';
import { createLog } from '../../src/log.js';
import { Authorization } from '../../src/signin/authorization.js';
import { type SignedInApp, signIn } from '../../src/web-role.js';

/*
 * The local GitHub is an Enterprise Server, whose addresses all begin with one host. Here is what goes where on github.com.
 */

const API = 'https://api.github.com';
const client = { id: 'Iv23liOurs', secret: 'of-our-client' };
let config: Config;
let github: SignedInApp;

beforeAll(async () => {
  nock.disableNetConnect();
  const { privateKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
    publicKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const credentials = { id: 42, privateKey, webhookSecret: 'a secret' };
  config = readConfig({ APP_ID: '42', PRIVATE_KEY: privateKey, WEBHOOK_SECRET: 'a secret' });
  // Signing in reads nothing of the record.
  const record = {} as OpenRecord;
  github = await signIn(config, credentials, record, createLog({ level: 'silent', format: 'json' }));
});
afterEach(() => expect(nock.pendingMocks()).toEqual([]));
afterAll(() => {
  nock.enableNetConnect();
  nock.restore();
});

/** GitHub gives an installation's token to whoever has the App's key, once. */
function granting(token: string): void {
  const expires_at = new Date(Date.now() + 3_600_000).toISOString();
  nock(API)
    .post('/app/installations/7/access_tokens')
    .matchHeader('authorization', /^bearer ey/i)
    .reply(201, { token, expires_at, permissions: {}, repository_selection: 'all' });
}

test('an installation is asked at api.github.com, by REST and GraphQL, with its own token', async () => {
  granting('ghs_first');
  nock(API, { reqheaders: { authorization: 'token ghs_first' } })
    .get('/repos/acme/infra')
    .reply(200, { id: 1, full_name: 'acme/infra' })
    .post('/graphql')
    .reply(200, { data: { viewer: { login: 'signalbox[bot]' } } });
  const octokit = await github.octokitFor(7);
  const { data } = await octokit.rest.repos.get({ owner: 'acme', repo: 'infra' });
  expect(data.full_name).toBe('acme/infra');
  expect(await octokit.graphql('{ viewer { login } }')).toEqual({ viewer: { login: 'signalbox[bot]' } });
});

test('a token that GitHub forgot is replaced there too', async () => {
  granting('ghs_second');
  nock(API, { reqheaders: { authorization: 'token ghs_second' } })
    .get('/repos/acme/infra')
    .reply(200, { id: 1, full_name: 'acme/infra' });
  const octokit = await github.octokitFor(7, { fresh: true });
  expect((await octokit.rest.repos.get({ owner: 'acme', repo: 'infra' })).status).toBe(200);
});

test('the App itself is asked for with its key', async () => {
  nock(API, { reqheaders: { authorization: /^bearer ey/i } })
    .get('/app')
    .reply(200, { slug: 'signalbox-of-acme' });
  expect(await github.botLogin()).toBe('signalbox-of-acme[bot]');
});

test('people sign in at github.com, and their tokens end at api.github.com', async () => {
  const { githubUrl, githubApiUrl } = config;
  const callbackUrl = 'https://signalbox.example/auth/callback';
  const authorization = new Authorization({ client, githubUrl, githubApiUrl, callbackUrl, patience: 5_000 });
  expect(authorization.page({ state: 's', challenge: 'c' })).toMatch(
    /^https:\/\/github\.com\/login\/oauth\/authorize\?/,
  );
  nock('https://github.com')
    .post('/login/oauth/access_token', {
      client_id: client.id,
      client_secret: client.secret,
      code: 'a code',
      code_verifier: 'a verifier',
      redirect_uri: callbackUrl,
    })
    .reply(200, { access_token: 'ghu_alice', expires_in: 28_800, refresh_token: 'ghr_alice' });
  const tokens = await authorization.exchange({ code: 'a code', verifier: 'a verifier' });
  expect(tokens).toMatchObject({ access: 'ghu_alice', refresh: 'ghr_alice' });
  nock(API)
    .delete(`/applications/${client.id}/token`, { access_token: 'ghu_alice' })
    .matchHeader('authorization', `basic ${Buffer.from(`${client.id}:${client.secret}`).toString('base64')}`)
    .reply(204);
  await authorization.revoke('ghu_alice');
});
