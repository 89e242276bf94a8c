import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Browser } from './browser.js';
import { SignInWorld } from './world.js';

let world: SignInWorld;
beforeAll(async () => {
  world = await SignInWorld.open();
});
beforeEach(() => world.github.signInAs('alice'));
afterAll(async () => {
  expect([world.github.violations, world.github.ownViolations]).toEqual([[], []]);
  await world.close();
});

const sessions = () => world.db.selectFrom('sessions').selectAll().execute();
const hash = (text: string) => createHash('sha256').update(text).digest('hex');

describe('Signing in', () => {
  test('leads to GitHub with state and a challenge, and back to where one was', async () => {
    const browser = world.browser();
    const login = await browser.go('/auth/login?return_to=/runs/run-x?a=b%23plan-L3');
    const asked = new URL(login.headers.get('location') ?? '');
    expect([login.status, asked.origin + asked.pathname]).toEqual([302, `${world.github.url}/login/oauth/authorize`]);
    expect(Object.fromEntries(asked.searchParams)).toEqual({
      client_id: world.github.app.clientId,
      redirect_uri: `${world.url}/auth/callback`,
      state: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge: expect.stringMatching(/^[\w-]{43}$/),
      code_challenge_method: 'S256',
    });
    const back = await browser.signIn('/runs/run-x?a=b#plan-L3');
    expect([back.status, back.headers.get('location')]).toEqual([303, '/runs/run-x?a=b#plan-L3']);
    expect(back.headers.get('cache-control')).toBe('no-store');
    expect(await world.signIn.sessionOf(browser.header)).toMatchObject({ login: 'alice' });
  });

  test('leaves one cookie for the session, and of itself none', async () => {
    const browser = world.browser();
    await browser.signIn();
    const [attempt, cleared, session] = browser.received;
    expect(attempt).toMatch(/^signalbox-sign-in-\w{12}=[^;]+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(cleared).toMatch(/^signalbox-sign-in-\w{12}=; Max-Age=0; Path=\/; HttpOnly; SameSite=Lax$/);
    expect(session).toMatch(/^signalbox=[\w-]{43}; Max-Age=2592000; Path=\/; HttpOnly; SameSite=Lax$/);
    expect([...browser.cookies.keys()]).toEqual(['signalbox']);
  });

  test.each([
    ['https://signalbox.acme.com', '__Host-signalbox', '; Secure;'],
    ['http://signalbox.acme.com', '__Host-signalbox', '; Secure;'],
    ['http://localhost:3000', 'signalbox', 'SameSite'],
    ['http://[::1]:3000', 'signalbox', 'SameSite'],
    ['http://127.0.0.1.evil.test', '__Host-signalbox', '; Secure;'],
  ])('at %s has cookies called %s…', async (publicUrl, name, attribute) => {
    const [cookie = ''] = (await world.process({ publicUrl }).begin('/')).cookie;
    expect(cookie.startsWith(`${name}-sign-in-`)).toBe(true);
    expect(cookie).toContain(attribute);
    expect(cookie.includes('Secure')).toBe(name.startsWith('__Host-'));
  });

  test('works in two tabs at once', async () => {
    const browser = world.browser();
    const [one, other] = [await browser.toGitHub('/one'), await browser.toGitHub('/other')];
    expect((await browser.go(one)).headers.get('location')).toBe('/one');
    expect((await browser.go(other)).headers.get('location')).toBe('/other');
    expect(await world.signIn.sessionOf(browser.header)).toMatchObject({ login: 'alice' });
  });

  test('does not fill the browser with cookies, however often another site has it begun', async () => {
    const browser = world.browser();
    for (let time = 0; time < 30; time += 1) await browser.toGitHub(`/${'x'.repeat(499)}`);
    expect(browser.cookies.size).toBeLessThanOrEqual(8);
    expect(browser.header.length).toBeLessThan(8_500);
    expect((await browser.signIn()).status).toBe(303);
  });

  test('keeps neither the cookie nor a token as it is in the record', async () => {
    const browser = world.browser();
    await browser.signIn();
    const cookie = browser.cookies.get('signalbox') ?? '';
    const row = (await sessions()).find(({ id }) => id === hash(cookie));
    expect(row?.login).toBe('alice');
    const { rows } = await sql<{ text: string }>`select sessions::text as text from sessions`.execute(world.db);
    const text = rows.map((each) => each.text).join('\n');
    for (const secret of ['ghu_', 'ghr_', ...['ghu_', 'ghr_'].map((each) => Buffer.from(each).toString('hex')), cookie])
      expect(text).not.toContain(secret);
  });
});

describe('Nobody is signed in', () => {
  const refusal = async (answer: Response) => {
    expect(answer.headers.getSetCookie().filter((line) => line.startsWith('signalbox='))).toEqual([]);
    return `${answer.status} ${await answer.text()}`;
  };
  const unknown = /^403 .*was not begun in this browser/;

  test('with an answer of GitHub that another browser asked for', async () => {
    const victim = world.browser();
    await victim.toGitHub();
    expect(await refusal(await victim.go(await world.browser().toGitHub()))).toMatch(unknown);
    expect(victim.cookies.has('signalbox')).toBe(false);
  });

  test('with another state, or none', async () => {
    const browser = world.browser();
    const back = new URL(await browser.toGitHub());
    back.searchParams.set('state', 'x'.repeat(43));
    expect(await refusal(await browser.go(back.href))).toMatch(unknown);
    back.searchParams.delete('state');
    expect(await refusal(await browser.go(back.href))).toMatch(unknown);
  });

  test('with an attempt that was changed, belongs to another state, or is ten minutes old', async () => {
    const browser = world.browser();
    const back = await browser.toGitHub();
    const [[name = '', value = ''] = []] = [...browser.cookies];
    const tampered = `${value.slice(0, -4)}${value.endsWith('AAAA') ? 'BBBB' : 'AAAA'}`;
    browser.cookies.set(name, tampered);
    expect(await refusal(await browser.go(back))).toMatch(unknown);
    const other = world.browser();
    await other.toGitHub();
    browser.cookies.set(name, [...other.cookies.values()][0] ?? '');
    expect(await refusal(await browser.go(back))).toMatch(unknown);
    browser.cookies.set(name, value);
    const now = Date.now;
    try {
      Date.now = () => now() + 601_000;
      expect(await refusal(await browser.go(back))).toMatch(unknown);
    } finally {
      Date.now = now;
    }
  });

  test('twice with one answer of GitHub, whoever has kept the cookie', async () => {
    const browser = world.browser();
    const back = await browser.toGitHub();
    const kept = new Map(browser.cookies);
    expect((await browser.go(back)).status).toBe(303);
    expect(await refusal(await browser.go(back))).toMatch(unknown);
    const thief = world.browser();
    for (const [name, value] of kept) thief.cookies.set(name, value);
    const exchanges = world.asked('POST /login/oauth/access_token');
    expect(await refusal(await thief.go(back))).toMatch(unknown);
    expect(world.asked('POST /login/oauth/access_token')).toBe(exchanges);
    // What another process doesn't know of, GitHub does.
    const there = await world
      .process()
      .finish(new URL(back).searchParams, [...kept].map((pair) => pair.join('=')).join(';'));
    expect(there).toMatchObject({ signedIn: false, problem: expect.stringContaining('was used before') });
  });

  test('twice with one state, though GitHub gave another code for it', async () => {
    const browser = world.browser();
    const { location, cookie } = await world.signIn.begin('/');
    const [attempt] = (cookie[0] ?? '').split(';');
    const processes = [world.process(), world.process()];
    for (const signedIn of [true, false]) {
      const github = await browser.go(location);
      const { searchParams } = new URL(github.headers.get('location') ?? '');
      expect(await processes[signedIn ? 0 : 1]?.finish(searchParams, attempt)).toMatchObject({ signedIn });
    }
    // The token that came with the second code is given back.
    await world.github.until('the token to be given back', () =>
      world.github.requests.some(({ route, status }) => route.startsWith('DELETE /applications') && status === 204),
    );
  });

  test('by asking GitHub again and again for one attempt, or for many at once', async () => {
    const slow = world.github.misbehave({ route: 'POST /login/oauth/access_token', how: { delay: 500 } });
    const browser = world.browser();
    const back = new URL(await browser.toGitHub());
    back.searchParams.set('code', 'made-up');
    const statuses = async (answers: Promise<Response>[]) => (await Promise.all(answers)).map(({ status }) => status);
    expect(await statuses(Array.from({ length: 10 }, () => browser.go(back.href)))).toEqual(Array(10).fill(403));
    expect(slow.met).toBe(1);

    const begun: { browser: Browser; back: string }[] = [];
    for (let n = 0; n < 25; n += 1) {
      const browser = world.browser();
      begun.push({ browser, back: await browser.toGitHub() });
    }
    const answers = begun.map(async (one) => ({ ...one, answer: await one.browser.go(one.back) }));
    const refused = (await Promise.all(answers)).filter(({ answer }) => answer.status !== 303);
    expect(refused).toHaveLength(7);
    for (const { browser, back, answer } of refused) {
      expect(`${answer.status} ${await answer.text()}`).toMatch(/^503 .*Too many people are signing in/);
      expect((await browser.go(back)).status).toBe(303);
    }
    slow.stop();
  });

  test('with a code that was asked for without our challenge', async () => {
    const browser = world.browser();
    const login = await browser.go('/auth/login');
    const asked = new URL(login.headers.get('location') ?? '');
    asked.searchParams.set('code_challenge', 'A'.repeat(43));
    const github = await browser.go(asked.href);
    expect(await refusal(await browser.go(github.headers.get('location') ?? ''))).toMatch(/^403 .*was used before/);
  });

  test('who says no on GitHub', async () => {
    const browser = world.browser();
    const login = new URL((await browser.go('/auth/login')).headers.get('location') ?? '');
    const answer = await browser.go(`${world.github.url}/login/oauth/authorize`, {
      method: 'POST',
      body: new URLSearchParams([...login.searchParams, ['answer', 'cancel']]),
    });
    const back = answer.headers.get('location') ?? '';
    expect(await refusal(await browser.go(back))).toMatch(/^403 .*GitHub was told not to/);
    expect([...browser.cookies.keys()]).toEqual([]);
  });

  test.each([
    ['is away', { status: 502 }, /^503 GitHub is away: GitHub answers 502\./],
    ['does not answer', 'hang', /^503 GitHub is away: GitHub does not answer\./],
  ] as const)('while GitHub %s', async (_, how, outcome) => {
    for (const route of ['POST /login/oauth/access_token', 'GET /user']) {
      const browser = world.browser();
      const back = await browser.toGitHub();
      const trouble = world.github.misbehave({ route, how });
      expect(await refusal(await browser.go(back))).toMatch(outcome);
      trouble.stop();
    }
  });

  test('with a wrong client secret, of which the log tells whoever runs Signalbox', async () => {
    const wrong = world.process({ client: { id: world.github.app.clientId, secret: 'wrong' } });
    const { location, cookie } = await wrong.begin('/');
    const github = await fetch(location, { redirect: 'manual' });
    const { searchParams } = new URL(github.headers.get('location') ?? '');
    const result = await wrong.finish(searchParams, cookie[0]?.split(';')[0]);
    expect(result).toMatchObject({ signedIn: false, problem: expect.stringContaining('client secret') });
    expect(world.said.join('\n')).toContain('GITHUB_CLIENT_SECRET');
  });
});

describe('A session that somebody planted', () => {
  test('is worth nothing when it was made up, and is replaced', async () => {
    const browser = world.browser();
    browser.cookies.set('signalbox', 'planted');
    expect(await world.signIn.sessionOf(browser.header)).toBeUndefined();
    await browser.signIn();
    expect(browser.cookies.get('signalbox')).not.toBe('planted');
    expect(await world.signIn.sessionOf('signalbox=planted')).toBeUndefined();
  });

  test("ends when it is somebody else's, and the new one has another id and another token", async () => {
    const { browser: attacker, session: theirs } = await world.signedIn('mallory');
    world.github.signInAs('alice');
    const victim = world.browser();
    for (const [name, value] of attacker.cookies) victim.cookies.set(name, value);
    await victim.signIn();
    const session = await world.signIn.sessionOf(victim.header);
    expect(session?.login).toBe('alice');
    expect(session?.id).not.toBe(theirs.id);
    expect(session?.csrf).not.toBe(theirs.csrf);
    expect(await world.signIn.sessionOf(attacker.header)).toBeUndefined();
  });
});

describe('Signing out', () => {
  const signOut = (browser: Awaited<ReturnType<typeof world.signedIn>>['browser'], csrf: string, headers = {}) =>
    browser.go('/auth/sign-out', { method: 'POST', body: new URLSearchParams({ csrf }), headers });

  test('ends the session and the token, and clears the cookie', async () => {
    const { browser, session } = await world.signedIn('alice');
    const { header } = browser;
    expect(await world.signIn.accessTo(session, world.known())).toBe('write');
    const answer = await signOut(browser, session.csrf, { origin: world.url, 'sec-fetch-site': 'same-origin' });
    expect([answer.status, answer.headers.get('location')]).toEqual([303, '/auth/signed-out']);
    expect(browser.cookies.size).toBe(0);
    expect(await world.signIn.sessionOf(header)).toBeUndefined();
    expect((await sessions()).some(({ id }) => id === session.id)).toBe(false);
    await expect(world.signIn.accessTo(session, world.known())).rejects.toThrow('The session has ended.');
    await world.github.until('the token to be revoked', () => {
      const last = world.github.requests.at(-1);
      return last?.route === 'DELETE /applications/{client_id}/token' && last.status === 204;
    });
    expect(await (await browser.go('/auth/signed-out')).text()).toContain('You are signed out');
  });

  test('is refused to other sites, to old pages and to pages of other sessions', async () => {
    const { browser, session } = await world.signedIn('alice');
    const { session: other } = await world.signedIn('alice');
    expect((await signOut(browser, '')).status).toBe(403);
    expect((await signOut(browser, other.csrf)).status).toBe(403);
    expect((await signOut(browser, session.csrf, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await signOut(browser, session.csrf, { 'sec-fetch-site': 'same-site' })).status).toBe(403);
    expect((await signOut(browser, session.csrf, { origin: 'https://evil.test' })).status).toBe(403);
    expect((await signOut(browser, session.csrf, { origin: 'null' })).status).toBe(403);
    const large = new URLSearchParams({ csrf: session.csrf, more: 'x'.repeat(70_000) });
    expect((await browser.go('/auth/sign-out', { method: 'POST', body: large })).status).toBe(413);
    const form = { method: 'POST', body: 'x', headers: { 'content-type': 'multipart/form-data; boundary=y' } };
    expect((await browser.go('/auth/sign-out', form)).status).toBe(403);
    expect(await world.signIn.sessionOf(browser.header)).toMatchObject({ id: session.id });
    expect((await signOut(browser, session.csrf)).status).toBe(303);
  });

  test('works while GitHub is away, and the log says so', async () => {
    const { browser, session } = await world.signedIn('alice');
    const trouble = world.github.misbehave({ route: /^DELETE .*\/applications/, how: { status: 502 } });
    expect((await signOut(browser, session.csrf)).status).toBe(303);
    await world.github.until('the log', () => world.said.some((line) => line.includes('could not be told')));
    trouble.stop();
  });
});

describe('A session ends', () => {
  const set = (id: string, columns: { created_at?: string; seen_at?: string; expires_at?: string }) =>
    sql`update sessions set ${sql.join(
      Object.entries(columns).map(([name, ago]) => sql`${sql.ref(name)} = now() - ${ago}::interval`),
    )} where id = ${id}`.execute(world.db);
  const daysLeft = async (id: string) => {
    const row = (await sessions()).find((each) => each.id === id);
    return Math.round(((row?.expires_at.getTime() ?? 0) - Date.now()) / 86_400_000);
  };

  test('when it was not used for seven days, and thirty after it began', async () => {
    const { browser, session } = await world.signedIn('alice');
    expect(await daysLeft(session.id)).toBe(7);
    await set(session.id, { created_at: '2 days', seen_at: '2 days', expires_at: '-5 days' });
    await world.signIn.sessionOf(browser.header);
    expect(await daysLeft(session.id)).toBe(7);
    await set(session.id, { created_at: '28 days', seen_at: '2 days', expires_at: '-2 days' });
    await world.signIn.sessionOf(browser.header);
    expect(await daysLeft(session.id)).toBe(2);
    await set(session.id, { expires_at: '1 second' });
    expect(await world.signIn.sessionOf(browser.header)).toBeUndefined();
    await expect(world.signIn.accessTo(session, world.known())).rejects.toThrow('The session has ended.');
  });
});

test('no token, code or secret is in the log or on a page', () => {
  const { app } = world.github;
  const said = world.said.join('\n');
  expect(said.length).toBeGreaterThan(100);
  expect(said).not.toMatch(/gh[ur]_/);
  expect(said).not.toContain(app.clientSecret);
});
