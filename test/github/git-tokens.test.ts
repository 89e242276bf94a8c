import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { Notifications } from '../../src/db/notifications.js';
import type { Db } from '../../src/db/pool.js';
import { GitUnavailable, TokenRefused } from '../../src/git/git-error.js';
import { createMint, createTokenSource, type GitToken, serveTokens } from '../../src/github/git-tokens.js';
import { Encryption } from '../../src/variables/encryption.js';
import { World } from './world.js';

let world: World;
let db: Db;
const encryption = new Encryption(Buffer.alloc(32, 7));
const stops: (() => Promise<void>)[] = [];
let notifications: Notifications;

beforeAll(async () => {
  world = await World.start();
  db = world.db;
  notifications = new Notifications(world.databaseUrl, () => undefined);
  await notifications.start();
});
afterAll(async () => {
  await notifications.close();
  await world.close();
});
beforeEach(() => db.deleteFrom('git_tokens').execute());
afterEach(async () => {
  await Promise.all(stops.splice(0).map((stop) => stop()));
});

const inAnHour = () => new Date(Date.now() + 3_600_000);

/** Mints `token-1`, `token-2`… */
function counting(expiresAt: () => Date = inAnHour) {
  const mint = Object.assign(
    async (): Promise<GitToken> => ({ token: `token-${++mint.count}`, expiresAt: expiresAt() }),
    { count: 0 },
  );
  return mint;
}

const sourceWith = (mint?: () => Promise<GitToken>) => createTokenSource({ db, encryption, notifications, mint });
const serve = (mint: () => Promise<GitToken>) =>
  stops.push(serveTokens({ db, encryption, notifications, mint, log: world.services.log }));

test("the App's key mints a token that reads one repository, and nothing else", async () => {
  const other = await world.github.createRepository({ owner: 'acme', name: 'other', private: true });
  const mint = createMint(db, await world.services.octokitFor(0));
  const { token, expiresAt } = await mint(world.repo.id);
  expect(expiresAt.getTime()).toBeGreaterThan(Date.now() + 50 * 60_000);
  const issued = world.github.tokens.get(token);
  expect(issued?.permissions).toEqual({ contents: 'read', metadata: 'read' });
  expect(issued?.covers(world.repo)).toBe(true);
  expect(issued?.covers(other)).toBe(false);
});

test("a repository that the App may not read: refused, in words for the run's report", async () => {
  await db
    .insertInto('repositories')
    .values({ id: 9, installation_id: 12345, owner: 'gone', name: 'away', default_branch: 'main' })
    .execute();
  const mint = createMint(db, await world.services.octokitFor(0));
  await expect(mint(9)).rejects.toThrow(/GitHub grants no access to gone\/away/);
  await expect(mint(9)).rejects.toThrow(TokenRefused);
});

test('while GitHub is away a token is worth waiting for', async () => {
  const mint = createMint(db, await world.services.octokitFor(0));
  const outage = world.github.misbehave({ route: /access_tokens/, how: { status: 503 } });
  await expect(mint(world.repo.id)).rejects.toThrow(GitUnavailable);
  outage.stop();
  expect((await mint(world.repo.id)).token).not.toBe('');
});

test('a token is used until ten minutes before its end, and many who ask at once share one', async () => {
  let left = 60;
  const mint = counting(() => new Date(Date.now() + left * 60_000));
  const source = sourceWith(mint);
  expect(await Promise.all([1, 2, 3].map(() => source.tokenFor(world.repo.id)))).toEqual(Array(3).fill('token-1'));
  expect(await source.tokenFor(world.repo.id)).toBe('token-1');
  await source.forget(world.repo.id);
  left = 9;
  expect(await source.tokenFor(world.repo.id)).toBe('token-2');
  expect(await source.tokenFor(world.repo.id)).toBe('token-3');
});

test('a token ends with its installation', async () => {
  const mint = counting();
  const source = sourceWith(mint);
  expect(await source.tokenFor(world.repo.id)).toBe('token-1');
  const { installation_id } = await db
    .selectFrom('repositories')
    .selectAll()
    .where('id', '=', world.repo.id)
    .executeTakeFirstOrThrow();
  const move = (id: number) => db.updateTable('repositories').set({ installation_id: id }).execute();
  await move(installation_id + 1);
  expect(await source.tokenFor(world.repo.id)).toBe('token-2');
  await move(installation_id);
});

test("a failure isn't kept", async () => {
  let fail = true;
  const source = sourceWith(async () => {
    if (fail) throw new Error('away');
    return { token: 'token', expiresAt: inAnHour() };
  });
  await expect(source.tokenFor(world.repo.id)).rejects.toThrow('away');
  fail = false;
  expect(await source.tokenFor(world.repo.id)).toBe('token');
});

test('a worker without the key gets its token from web, through the record, where it is sealed', async () => {
  const mint = counting();
  serve(mint);
  expect(await sourceWith().tokenFor(world.repo.id)).toBe('token-1');
  const { token } = await db.selectFrom('git_tokens').selectAll().executeTakeFirstOrThrow();
  expect(token?.toString('latin1')).not.toContain('token-1');
  expect(await sourceWith().tokenFor(world.repo.id)).toBe('token-1');
  expect(mint.count).toBe(1);
});

test('a token that git refused is replaced', async () => {
  serve(counting());
  const source = sourceWith();
  expect(await source.tokenFor(world.repo.id)).toBe('token-1');
  await source.forget(world.repo.id);
  expect(await source.tokenFor(world.repo.id)).toBe('token-2');
});

test('a refusal reaches the worker, and what was refused may be granted later', async () => {
  let refused = true;
  serve(async () => {
    if (refused) throw new TokenRefused('GitHub grants no access to acme/infra (404).');
    return { token: 'granted', expiresAt: inAnHour() };
  });
  await expect(sourceWith().tokenFor(world.repo.id)).rejects.toThrow('GitHub grants no access to acme/infra (404).');
  refused = false;
  expect(await sourceWith().tokenFor(world.repo.id)).toBe('granted');
});

test('web that starts later answers what was asked meanwhile', async () => {
  const asked = sourceWith().tokenFor(world.repo.id);
  await new Promise((resolve) => setTimeout(resolve, 300));
  serve(counting());
  expect(await asked).toBe('token-1');
});
