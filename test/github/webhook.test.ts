import { createHmac } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { sql } from 'kysely';
import { Probot } from 'probot';
import { createApp, webhookEvents } from '../../src/app.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import { answerWebhook } from '../../src/github/webhook.js';
import { createLog } from '../../src/log.js';
import { Complaints } from '../../src/queue/complaints.js';
import { createTestDatabase, type TestDatabase } from '../support/database.js';

const SECRET = 'it is a secret';
const log = createLog({ level: 'silent', format: 'json' });
const probot = new Probot({ appId: 1, privateKey: 'none', secret: SECRET, log });
let database: TestDatabase;
let db: Db;

beforeAll(async () => {
  database = await createTestDatabase();
  db = createDb(createPool({ connectionString: database.url, max: 2, onError: () => undefined }));
  await probot.load(createApp({ db, log, appId: 1, mirrors: undefined as never }), {
    cwd: '',
    addHandler: () => undefined,
  });
});
afterAll(async () => {
  await db.destroy();
  await database.drop();
});
beforeEach(() => sql`truncate deliveries`.execute(db));

const sign = (body: string | Uint8Array) => `sha256=${createHmac('sha256', SECRET).update(body).digest('hex')}`;

function send(body: string | Uint8Array, headers: Record<string, string | undefined> = {}, to: Db = db) {
  const all: Record<string, string | undefined> = {
    'x-hub-signature-256': sign(body),
    'x-github-delivery': '72d3162e-cc78-11e3-81ab-4c9367dc0958',
    'x-github-event': 'push',
    ...headers,
  };
  const verify = (text: string, signature: string) => probot.webhooks.verify(text, signature);
  const request = { header: (name: string) => all[name], body: Buffer.from(body) };
  return answerWebhook({ db: to, verify, events: webhookEvents, log, complaints: new Complaints(log) }, request);
}

const recorded = () => db.selectFrom('deliveries').selectAll().execute();
const body = JSON.stringify({ ref: 'refs/heads/ünïcode', repository: { id: 42 } });

test('a signed webhook is on record when it is answered, as it was sent', async () => {
  expect(await send(body)).toEqual({ status: 202, text: 'Recorded.' });
  expect(await recorded()).toMatchObject([
    {
      guid: '72d3162e-cc78-11e3-81ab-4c9367dc0958',
      event: 'push',
      repository_id: 42,
      body,
      done_at: null,
      attempts: 0,
    },
  ]);
});

test.each([
  ['no signature', { 'x-hub-signature-256': undefined }],
  ['an empty signature', { 'x-hub-signature-256': '' }],
  ['a wrong signature', { 'x-hub-signature-256': sign('something else') }],
  ['a signature of another kind', { 'x-hub-signature-256': sign(body).replace('sha256=', 'sha1=') }],
  ['no signature at all, in other words', { 'x-hub-signature-256': 'sha256=' }],
])('%s: 401, and nothing is recorded', async (_, headers) => {
  expect(await send(body, headers)).toMatchObject({ status: 401 });
  expect(await recorded()).toEqual([]);
});

test.each([
  ['no JSON', 'payload=%7B%7D', {}],
  ['no object', '[]', {}],
  ['no delivery id', body, { 'x-github-delivery': undefined }],
  ['a delivery id that is none', body, { 'x-github-delivery': "x'; drop table runs" }],
  ['no event', body, { 'x-github-event': undefined }],
])('%s: 400, and nothing is recorded', async (_, text, headers) => {
  expect(await send(text, headers)).toMatchObject({ status: 400 });
  expect(await recorded()).toEqual([]);
});

test('more than 25 MiB: 413', async () => {
  expect(await send(Buffer.alloc(25 * 1024 * 1024 + 1))).toMatchObject({ status: 413 });
});

test('an event, or an action, without a handler is acknowledged and not recorded', async () => {
  expect(await send(body, { 'x-github-event': 'star' })).toMatchObject({ status: 202 });
  const completed = JSON.stringify({ action: 'completed', repository: { id: 42 } });
  expect(await send(completed, { 'x-github-event': 'check_run' })).toMatchObject({ status: 202 });
  expect(await send('{"zen":"Keep it logically awesome."}', { 'x-github-event': 'ping' })).toMatchObject({
    status: 202,
  });
  expect(await recorded()).toEqual([]);
});

test('the record is away: 503 without its words, so that GitHub lists the delivery as failed', async () => {
  const away = createDb(
    createPool({ connectionString: 'postgres://nobody@127.0.0.1:1/none', max: 1, onError: () => undefined }),
  );
  const answer = await send(body, {}, away);
  expect(answer.status).toBe(503);
  expect(answer.text).not.toMatch(/ECONN|127\.0\.0\.1|postgres/);
  await away.destroy();
});
