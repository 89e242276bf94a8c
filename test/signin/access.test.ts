import { setTimeout as sleep } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Session } from '../../src/signin/session.js';
import { GitHubAway, SessionOver } from '../../src/signin/sign-in.js';
import { MEMORY, SignInWorld } from './world.js';

const REPOSITORY = 'GET /repos/{owner}/{repo}';
const INSTALLATIONS = 'GET /user/installations';
const REPOSITORIES = 'GET /user/installations/{installation_id}/repositories';
const TOKEN = 'POST /login/oauth/access_token';

let world: SignInWorld;
beforeAll(async () => {
  world = await SignInWorld.open();
});
afterEach(async () => {
  world.github.misbehaviours.stop();
  await world.repository.setPermission('alice', 'write');
});
afterAll(async () => {
  expect([world.github.violations, world.github.ownViolations]).toEqual([[], []]);
  expect(world.said.join('\n')).not.toMatch(/gh[ur]_/);
  await world.close();
});

const accessOf = async (login: string) => {
  const { session } = await world.signedIn(login);
  return world.signIn.accessTo(session, world.known());
};

describe('What a person may do on a repository', () => {
  test('is what GitHub says of them', async () => {
    expect(await accessOf('root')).toBe('admin');
    expect(await accessOf('alice')).toBe('write');
    expect(await accessOf('bob')).toBe('read');
    expect(await accessOf('mallory')).toBeUndefined();
    for (const [role, access] of [
      ['maintain', 'write'],
      ['triage', 'read'],
      ['admin', 'admin'],
    ] as const) {
      await world.repository.setPermission('alice', role);
      expect(await accessOf('alice')).toBe(access);
    }
  });

  test('is nothing where another repository has its name, and what it was after a new name', async () => {
    const { session } = await world.signedIn('alice');
    expect(await world.signIn.accessTo(session, { ...world.known(), id: 4711 })).toBeUndefined();
    const moved = await world.github.createRepository({ owner: 'acme', name: 'old-name', private: true });
    await moved.setPermission('alice', 'write');
    const known = world.known(moved);
    world.github.renameRepository(moved, 'new-name');
    expect(await world.signIn.accessTo(session, known)).toBe('write');
  });

  test('is nothing where the App is not, or is suspended', async () => {
    const { session } = await world.signedIn('root');
    const elsewhere = await world.github.createRepository({
      owner: 'acme',
      name: 'off',
      private: true,
      install: false,
    });
    expect(await world.signIn.accessTo(session, world.known(elsewhere))).toBeUndefined();
    world.github.suspend('acme');
    expect(await world.signIn.accessTo(session, world.known())).toBeUndefined();
    expect(await world.signIn.repositoriesOf(session)).toEqual(new Map());
    world.github.unsuspend('acme');
  });

  test('is theirs alone: what another person may is asked again', async () => {
    const [{ session: alice }, { session: mallory }] = [await world.signedIn('alice'), await world.signedIn('mallory')];
    expect(await world.signIn.accessTo(alice, world.known())).toBe('write');
    expect(await world.signIn.accessTo(mallory, world.known())).toBeUndefined();
    expect((await world.signIn.repositoriesOf(alice)).get(world.repository.id)).toBe('write');
    expect((await world.signIn.repositoriesOf(mallory)).size).toBe(0);
  });

  test('is asked once for many at once, and again when its time is over', async () => {
    const { session } = await world.signedIn('alice');
    const before = world.asked(REPOSITORY);
    const remembering = world.process({ memory: 60_000 });
    await Promise.all(Array.from({ length: 20 }, () => remembering.accessTo(session, world.known())));
    await remembering.accessTo(session, world.known());
    expect(world.asked(REPOSITORY) - before).toBe(1);
    await world.signIn.accessTo(session, world.known());
    await sleep(MEMORY);
    await world.signIn.accessTo(session, world.known());
    expect(world.asked(REPOSITORY) - before).toBe(3);
  });

  test('comes with when GitHub was asked, also where it is remembered', async () => {
    const { session } = await world.signedIn('alice');
    const remembering = world.process({ memory: 10_000 });
    const before = performance.now();
    const first = await remembering.knownAccess(session, world.known());
    const after = performance.now();
    expect(first).toEqual({ access: 'write', asked: expect.any(Number) });
    expect(first?.asked).toBeGreaterThanOrEqual(before);
    expect(first?.asked).toBeLessThan(after);
    expect(await remembering.knownAccess(session, world.known())).toEqual(first);
  });

  test('ends in that time when it is taken away', async () => {
    const { session } = await world.signedIn('alice');
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
    expect((await world.signIn.repositoriesOf(session)).size).toBeGreaterThan(0);
    await world.repository.setPermission('alice', 'none');
    const taken = performance.now();
    await world.github.until('the end of it', async () => {
      const list = await world.signIn.repositoriesOf(session);
      return !list.has(world.repository.id) && !(await world.signIn.accessTo(session, world.known()));
    });
    expect(performance.now() - taken).toBeLessThan(MEMORY + 2_000);
  });

  test('is not known while GitHub is away, though it was known before, and the session stays', async () => {
    const { session, browser } = await world.signedIn('alice');
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
    await sleep(MEMORY);
    for (const how of [
      { status: 500 },
      { status: 503 },
      'lose-answer',
      'lose-answer-502',
      'hang',
      'primary-rate-limit',
      'secondary-rate-limit',
      { status: 429 },
    ] as const) {
      const trouble = [REPOSITORY, INSTALLATIONS].map((route) => world.github.misbehave({ route, how }));
      const failures = await Promise.all([
        world.signIn.accessTo(session, world.known()).catch((error: unknown) => error),
        world.signIn.repositoriesOf(session).catch((error: unknown) => error),
      ]);
      for (const { stop } of trouble) stop();
      expect(failures).toEqual([expect.any(GitHubAway), expect.any(GitHubAway)]);
    }
    expect(await world.signIn.sessionOf(browser.header)).toMatchObject({ id: session.id });
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
  });
});

describe('The list of repositories', () => {
  test('has what the person was given and the App is installed on, over all installations and pages', async () => {
    const { github } = world;
    await github.createOrganization('globex', { owners: ['root'] });
    const expected = new Map<number, string>();
    for (const [owner, count] of [
      ['acme', 105],
      ['globex', 3],
    ] as const) {
      for (let number = 0; number < count; number += 1) {
        const repository = await github.createRepository({ owner, name: `many-${number}`, private: true });
        const role = number % 2 === 0 ? 'write' : 'read';
        await repository.setPermission('bob', role);
        expected.set(repository.id, role);
      }
    }
    await github.createRepository({ owner: 'globex', name: 'not-for-bob', private: true });
    const { session } = await world.signedIn('bob');
    const list = await world.signIn.repositoriesOf(session);
    expect(Object.fromEntries(list)).toEqual({ ...Object.fromEntries(expected), [world.repository.id]: 'read' });
  });

  test('leaves out an installation that GitHub shows nothing of', async () => {
    const { session } = await world.signedIn('bob');
    const trouble = world.github.misbehave({
      route: REPOSITORIES,
      how: { status: 403, message: 'Suspended' },
      times: 1,
    });
    const list = await world.signIn.repositoriesOf(session);
    trouble.stop();
    expect(list.size).toBeGreaterThan(0);
  });
});

describe('Tokens', () => {
  const runOut = (session: Session) =>
    sql`update sessions set access_expires_at = now() + interval '4 minutes' where id = ${session.id}`.execute(
      world.db,
    );
  const rowOf = (session: Session) =>
    world.db.selectFrom('sessions').selectAll().where('id', '=', session.id).executeTakeFirst();

  test('are refreshed before they run out', async () => {
    const { session } = await world.signedIn('alice');
    await runOut(session);
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
    const left = ((await rowOf(session))?.access_expires_at?.getTime() ?? 0) - Date.now();
    expect(left).toBeGreaterThan(7.9 * 3_600_000);
  });

  test('are refreshed once, by many requests of many processes at once', async () => {
    const { session } = await world.signedIn('alice');
    await runOut(session);
    world.github.misbehave({ route: TOKEN, how: { delay: 100 } });
    const before = world.asked(TOKEN);
    const processes = [world.process(), world.process(), world.process()];
    const asked = processes.flatMap((process) => [
      process.accessTo(session, world.known()),
      process.accessTo(session, world.known()),
      process.repositoriesOf(session),
    ]);
    for (const answer of await Promise.all(asked)) expect(answer).toBeTruthy();
    expect(world.asked(TOKEN) - before).toBe(1);
  });

  test('that GitHub takes no more are refreshed too', async () => {
    const { session } = await world.signedIn('alice');
    world.github.userTokens.expire();
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
  });

  test('that the person revoked end the session', async () => {
    const { session, browser } = await world.signedIn('alice');
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
    world.github.revokeAuthorization('alice');
    await sleep(MEMORY);
    await expect(world.signIn.accessTo(session, world.known())).rejects.toThrow(SessionOver);
    expect(await world.signIn.sessionOf(browser.header)).toBeUndefined();
    await expect(world.signIn.repositoriesOf(session)).rejects.toThrow(SessionOver);
  });

  test('whose refresh is refused end the session, not the process', async () => {
    const { session, browser } = await world.signedIn('alice');
    await runOut(session);
    world.github.revokeAuthorization('alice');
    const answers = await Promise.allSettled([
      world.signIn.accessTo(session, world.known()),
      world.process().repositoriesOf(session),
    ]);
    expect(answers.map((each) => each.status === 'rejected' && each.reason)).toEqual([
      expect.any(SessionOver),
      expect.any(SessionOver),
    ]);
    expect(await world.signIn.sessionOf(browser.header)).toBeUndefined();
  });

  test('whose refresh lost its answer end the session at the next look', async () => {
    const { session, browser } = await world.signedIn('alice');
    await runOut(session);
    world.github.misbehave({ route: TOKEN, how: 'lose-answer', times: 1 });
    await expect(world.signIn.accessTo(session, world.known())).rejects.toThrow(GitHubAway);
    expect(await world.signIn.sessionOf(browser.header)).toMatchObject({ id: session.id });
    await expect(world.signIn.accessTo(session, world.known())).rejects.toThrow(SessionOver);
    expect(await world.signIn.sessionOf(browser.header)).toBeUndefined();
    await browser.signIn();
    expect(await world.signIn.sessionOf(browser.header)).toMatchObject({ login: 'alice' });
  });

  test('are refreshed later when GitHub is away', async () => {
    const { session } = await world.signedIn('alice');
    await runOut(session);
    for (const how of [{ status: 502 }, 'hang', 'secondary-rate-limit'] as const) {
      const trouble = world.github.misbehave({ route: TOKEN, how });
      await expect(world.signIn.accessTo(session, world.known())).rejects.toThrow(GitHubAway);
      trouble.stop();
    }
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
  });

  test('stay when it is our own secret that GitHub does not take', async () => {
    const { session } = await world.signedIn('alice');
    await runOut(session);
    const wrong = world.process({ client: { id: world.github.app.clientId, secret: 'wrong' } });
    await expect(wrong.accessTo(session, world.known())).rejects.toThrow(GitHubAway);
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
  });

  test('that never run out are used as they are, and end the session when they are revoked', async () => {
    const { session } = await world.signedIn('alice');
    await sql`update sessions set access_expires_at = null, refresh_token = null where id = ${session.id}`.execute(
      world.db,
    );
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
    world.github.revokeAuthorization('alice');
    await sleep(MEMORY);
    await expect(world.signIn.accessTo(session, world.known())).rejects.toThrow(SessionOver);
  });

  test('of one session do not open in the row of another', async () => {
    const [{ session: alice }, { session: mallory }] = [await world.signedIn('alice'), await world.signedIn('mallory')];
    await sql`update sessions set access_token = (select access_token from sessions where id = ${alice.id})
      where id = ${mallory.id}`.execute(world.db);
    await expect(world.signIn.accessTo(mallory, world.known())).rejects.toThrow(/can't be opened/);
  });
});
