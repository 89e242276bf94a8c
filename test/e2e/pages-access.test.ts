import { mkdtemp, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { Gate } from '../queue/support.js';
import { browserAvailable, startBrowser } from '../support/browser.js';
import type { Repository } from '../support/github/index.js';
import { type Answer, HttpVisitor, type OpenStream } from './http-visitor.js';
import { Visitor } from './visitor.js';
import { command, onPostgres, resource, SETTINGS, World, workspace } from './world.js';

/** In every commit's message and every plan: it stands wherever something of a run is shown. */
const SECRET = 'only-for-those-who-may-see-it';
const inBrowser = browserAvailable ? test : test.skip;

const RUN_POSTS = ['confirm', 'discard', 'cancel', 'force-cancel', 'comment'];
const WORKSPACE_POSTS = ['queue-plan', 'lock', 'unlock'];

function settings(...names: string[]): string {
  const entry = (name: string) => `  - name: ${name}\n    directory: ${name}\n    auto-apply: ${name !== 'waiting'}\n`;
  return `workspaces:\n${names.map(entry).join('')}`;
}

describe('Who may see and do what on the pages', () => {
  let world: World;
  let browser: Browser | undefined;
  let repo: Repository;
  let go: string;
  let alice: HttpVisitor;
  let bob: HttpVisitor;
  let mallory: HttpVisitor;
  let root: HttpVisitor;
  /** By workspace. */
  const runs = new Map<string, string>();
  let version: number;
  let foreign: { run: string; path: string };
  let lost: { visitor: HttpVisitor; stream: OpenStream; after: Promise<number> };
  let demoted: Visitor | undefined;

  const run = (name: string) => `/runs/${runs.get(name)}`;
  const place = (name: string) => `/${repo.fullName}/workspaces/${name}`;
  const reading = () => [
    ...[place('done'), `${place('done')}/state-versions`, `${place('done')}/state-versions/${version}`],
    ...[run('done'), `${run('done')}/plan.txt`, `${run('done')}/apply.txt`, place('waiting'), run('waiting')],
  ];
  const writing = () => [
    ...RUN_POSTS.map((post) => `${run('waiting')}/${post}`),
    ...WORKSPACE_POSTS.map((post) => `${place('waiting')}/${post}`),
  ];

  /** All that a control could have changed. */
  const record = async () =>
    world.query(`select (select json_agg(json_build_array(id, state, confirmed_by, cancel_requested_at) order by id) from runs) runs,
      (select count(*) from run_events) events,
      (select json_agg(json_build_array(id, locked_at, locked_by, lock_reason) order by id) from workspaces) workspaces`);

  const newestRun = async (name: string): Promise<string> => {
    const [row] = await world.query<{ id: string }>(
      'select r.id from runs r join workspaces w on w.id = workspace_id where w.name = $1 order by r.sequence desc limit 1',
      [name],
    );
    return row?.id ?? '';
  };

  const reach = (id: string, state: string) =>
    world.until(repo, `${id} to be ${state}`, async () => {
      const [row] = await world.query<{ state: string }>('select state from runs where id = $1', [id]);
      return row?.state === state;
    });

  beforeAll(async () => {
    world = await World.start(onPostgres, { env: {} });
    const { github } = world;
    for (const login of ['dana', 'erin']) await github.createUser(login);
    repo = await world.repository();
    await repo.setPermission('dana', 'write');
    await repo.setPermission('erin', 'write');
    go = join(await mkdtemp(join(world.directory, 'go-')), 'go');
    const files = {
      [SETTINGS]: settings('done', 'waiting', 'gone', 'slow'),
      'done/main.tf': resource('a', SECRET),
      'waiting/main.tf': resource('a', SECRET),
      'gone/main.tf': resource('a', SECRET),
      'slow/main.tf': command('a', `while [ ! -e ${go} ]; do sleep 0.2; done`),
    };
    const sha = await world.alice.push(repo, { message: SECRET, files });
    for (const name of ['done', 'gone']) {
      await world.check(repo, { name: `signalbox/${name}`, sha, conclusion: 'success' });
    }
    await world.check(repo, { name: 'signalbox/waiting', sha, conclusion: 'action_required' });
    for (const name of ['done', 'waiting', 'gone', 'slow']) runs.set(name, await newestRun(name));
    await reach(runs.get('slow') ?? '', 'applying');
    const change = { [SETTINGS]: settings('done', 'waiting', 'slow'), 'slow/more.tf': resource('b', SECRET) };
    await world.alice.push(repo, { message: SECRET, files: change });
    await world.until(repo, 'a pending run', async () => (await newestRun('slow')) !== runs.get('slow'));
    runs.set('pending', await newestRun('slow'));
    const [row] = await world.query<{ id: string }>(
      "select v.id from state_versions v join workspaces w on w.id = workspace_id where w.name = 'done'",
    );
    version = Number(row?.id);

    await github.createOrganization('umbrella', { owners: ['carol'] });
    const other = await github.createRepository({ owner: 'umbrella', name: 'elsewhere', private: true });
    const theirs = { [SETTINGS]: workspace('hidden'), 'hidden/main.tf': resource('a', SECRET) };
    await world.carol.push(other, { message: SECRET, files: theirs });
    await world.until(other, 'a run elsewhere', async () => (await newestRun('hidden')) !== '');
    foreign = { run: await newestRun('hidden'), path: '/umbrella/elsewhere/workspaces/hidden' };

    if (browserAvailable) {
      browser = await startBrowser();
      demoted = await Visitor.signIn(world, browser, 'erin');
      await demoted.goto(run('slow'));
      await repo.setPermission('erin', 'read');
    }
    const dana = await HttpVisitor.signIn(world, 'dana');
    const stream = await dana.stream(`${run('slow')}/events`);
    await repo.setPermission('dana', 'none');
    const since = Date.now();
    // Goes on beside the other tests: it takes the best part of a minute.
    lost = { visitor: dana, stream, after: stream.ended.then(() => Date.now() - since) };
    alice = await HttpVisitor.signIn(world, 'alice');
    bob = await HttpVisitor.signIn(world, 'bob');
    mallory = await HttpVisitor.signIn(world, 'mallory');
    root = await HttpVisitor.signIn(world, 'root');
  });
  afterAll(async () => {
    await browser?.close();
    if (go) await writeFile(go, '');
    await world?.end();
  });

  test('a reader sees everything and has no controls', async () => {
    for (const path of [...reading(), '/', run('slow'), run('pending'), place('slow')]) {
      const { status, text } = await bob.get(path);
      expect([path, status]).toEqual([path, 200]);
      const forms = [...text.matchAll(/<form method="post" action="([^"]*)"/g)].map(([, action]) => action);
      expect([path, forms]).toEqual([path, path.endsWith('.txt') ? [] : ['/auth/sign-out']]);
      expect(text).not.toMatch(/>\s*(Confirm|Discard|Cancel|Force|Lock|Unlock|Queue Plan|Add comment)[^<]*<\/button>/);
    }
    const stream = await bob.stream(`${run('done')}/events`);
    await stream.ended;
    expect(stream.text()).toContain('event: end');
    expect(stream.text()).toContain(SECRET);
    expect(stream.text()).not.toContain('<form');
  });

  test('a reader who posts by hand is refused, and nothing is changed', async () => {
    const before = await record();
    for (const path of writing()) {
      const answer = await bob.post(path, { comment: 'x', reason: 'x', message: 'x' });
      expect([path, answer.status]).toEqual([path, 403]);
      expect(answer.text).toMatch(/Nothing was done: only/);
    }
    expect(await record()).toEqual(before);
  });

  test('for an outsider there is nothing: no page, no text, no events, no control, and no trace in the list', async () => {
    const before = await record();
    const events = `${run('waiting')}/events`;
    for (const [visitor, paths] of [
      [mallory, [...reading(), events]],
      [bob, [`/runs/${foreign.run}`, `/runs/${foreign.run}/events`, `/runs/${foreign.run}/plan.txt`, foreign.path]],
      [alice, [`/runs/${foreign.run}`, `/runs/${foreign.run}/events`, foreign.path, `${foreign.path}/state-versions`]],
    ] as const) {
      for (const path of paths) {
        const answer = await visitor.get(path);
        expect([path, answer.status]).toEqual([path, 404]);
        expect(answer.text).not.toContain(SECRET);
        // Nothing tells it from what was never there.
        const unknown = await visitor.get(path.replace(/run-\w+/, 'run-none').replace('/acme/', '/acne/'));
        expect(answer.text).toBe(unknown.text);
      }
    }
    const posts = [
      ...writing(),
      ...RUN_POSTS.map((post) => `/runs/${foreign.run}/${post}`),
      ...WORKSPACE_POSTS.map((post) => `${foreign.path}/${post}`),
    ];
    for (const path of posts) {
      for (const fields of [{}, { csrf: 'forged' }]) {
        const { status, text } = await mallory.post(path, fields);
        expect([path, status, text.includes(SECRET)]).toEqual([path, 404, false]);
      }
    }
    for (const query of ['', '?q=waiting', `?repository=${repo.fullName}`, '?state=needs_confirmation']) {
      const { status, text } = await mallory.get(`/${query}`);
      expect([status, text.includes(SECRET), text.includes('/workspaces/')]).toEqual([200, false, false]);
    }
    const install = /<a class="btn btn-primary" href="([^"]*)">\s*Install on GitHub/;
    const { url, app } = world.github;
    expect(install.exec((await mallory.get('/')).text)?.[1]).toBe(`${url}/apps/${app.slug}/installations/new`);
    expect((await alice.get('/')).text).not.toMatch(install);
    expect((await alice.get('/')).text).not.toContain('umbrella');
    expect(await record()).toEqual(before);
  });

  test('whoever is not signed in is asked to, wherever they are', async () => {
    const nobody = new HttpVisitor(world);
    const all = [
      ...reading(),
      ...writing(),
      '/',
      `${run('waiting')}/events`,
      '/nothing',
      '/runs/nothing',
      '/auth/nothing',
    ];
    for (const path of all) {
      const answer = await nobody.get(path);
      expect([path, answer.status]).toEqual([path, 401]);
      expect(answer.text).toContain('Sign in with GitHub');
      expect(answer.text).not.toContain(SECRET);
      const asked = new RegExp(`href="/auth/login\\?return_to=${encodeURIComponent(path)}"`);
      expect(answer.text).toMatch(asked);
    }
    for (const path of writing()) {
      const { status, text } = await nobody.post(path, { csrf: '' });
      expect([status, text.includes('Sign in with GitHub')]).toEqual([401, true]);
    }
    for (const value of ['', 'x', 'a'.repeat(4_000), '%00', "' or 1=1"]) {
      expect((await nobody.get('/', { cookie: `signalbox=${value}` })).status).toBe(401);
    }
  });

  test('forged requests are refused', async () => {
    const before = await record();
    const { csrf } = alice;
    const body = new URLSearchParams({ csrf, comment: 'x' }).toString();
    const form = 'application/x-www-form-urlencoded';
    const json = JSON.stringify({ csrf, comment: 'x' });
    const attempts: [string, string, Record<string, string>, string?][] = [
      ['no token', 'comment=x', { 'content-type': form }],
      ['an empty token', 'csrf=&comment=x', { 'content-type': form }],
      ["another session's token", `csrf=${bob.csrf}&comment=x`, { 'content-type': form }],
      ['a token in the query', 'comment=x', { 'content-type': form }, `?csrf=${csrf}`],
      ['a token in a list', `csrf[]=${csrf}&comment=x`, { 'content-type': form }],
      ['two tokens', `csrf=${csrf}&csrf=x&comment=x`, { 'content-type': form }],
      ['text', body, { 'content-type': 'text/plain' }],
      ['no type', body, {}],
      ['JSON', json, { 'content-type': 'application/json' }],
      ['another origin', body, { 'content-type': form, origin: 'https://evil.example' }],
      ['no origin', body, { 'content-type': form, origin: 'null' }],
      ['another port', body, { 'content-type': form, origin: 'http://127.0.0.1:1' }],
      ['another site', body, { 'content-type': form, 'sec-fetch-site': 'cross-site' }],
      ['a neighbour', body, { 'content-type': form, 'sec-fetch-site': 'same-site' }],
      ['a broken multipart form', 'x', { 'content-type': 'multipart/form-data; boundary=y' }],
      [
        'a file',
        `--y\r\nContent-Disposition: form-data; name="csrf"; filename="a"\r\n\r\n${csrf}\r\n--y--\r\n`,
        {
          'content-type': 'multipart/form-data; boundary=y',
        },
      ],
    ];
    for (const path of writing()) {
      for (const [what, sent, headers, query = ''] of attempts) {
        const answer = await alice.send(path + query, { method: 'POST', body: sent, headers });
        expect([path, what, answer.status]).toEqual([path, what, 403]);
      }
    }
    expect((await alice.post('/auth/sign-out', { csrf: 'x' })).status).toBe(403);
    expect((await alice.post('/auth/sign-out', {}, { 'sec-fetch-site': 'cross-site' })).status).toBe(403);
    expect((await alice.get('/')).status).toBe(200);
    expect(await record()).toEqual(before);
  });

  test('a wrong method is refused, and the right one named', async () => {
    const auth = ['/auth/login', '/auth/callback', '/auth/signed-out'];
    for (const path of ['/', ...reading(), `${run('done')}/events`, ...auth]) {
      for (const method of ['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'PROPFIND']) {
        const { status, headers } = await alice.send(path, { method, headers: { 'content-length': '0' } });
        expect([path, method, status, headers.allow]).toEqual([path, method, 405, 'GET, HEAD']);
      }
    }
    for (const path of [...writing(), '/auth/sign-out']) {
      for (const method of ['GET', 'HEAD', 'PUT', 'DELETE']) {
        const { status, headers } = await alice.send(path, { method });
        expect([path, method, status, headers.allow]).toEqual([path, method, 405, 'POST']);
      }
    }
    for (const path of reading()) expect((await alice.send(path, { method: 'HEAD' })).status).toBe(200);
  });

  test('asking whether there are events opens no stream', async () => {
    for (let n = 0; n < 25; n++) {
      expect((await alice.send(`${run('slow')}/events`, { method: 'HEAD' })).status).toBe(200);
    }
    const stream = await alice.stream(`${run('slow')}/events`);
    expect(stream.status).toBe(200);
    stream.close();
  });

  test('addresses that make no sense get a page that says so and leads back', async () => {
    const id = runs.get('waiting');
    const paths: [string, number[]][] = [
      ['/runs/run-nothing', [404]],
      ['/runs/%00', [404]],
      [`/runs/${id}%00x`, [404]],
      [`/runs/${id}%00`, [404]],
      ['/runs/%', [404]],
      ['/runs/%E0%A4%A', [404]],
      ['/runs/%ff%fe', [404]],
      [`/runs/${'a'.repeat(10_000)}`, [404]],
      [`/runs/${id}/`, [404]],
      [`/runs/${id}/plan.txt/`, [404]],
      [`/runs/..%2f..%2fetc%2fpasswd`, [404]],
      [`/runs/../../../etc/passwd`, [404]],
      [`/runs/${id}/events?from=nonsense`, [400]],
      ['/acme', [404]],
      [`/acme/%00/workspaces/x`, [404]],
      [`/${repo.fullName}/workspaces/nothing`, [404]],
      [`/${repo.fullName}/workspaces/%00`, [404]],
      [`/${repo.fullName}/workspaces/%`, [404]],
      [`/${repo.fullName}/workspaces/${'%F0%9F%92%A9'.repeat(900)}`, [404]],
      [`/${repo.fullName}/workspaces/%3Cscript%3Ealert(1)%3C%2Fscript%3E`, [404]],
      [`/${repo.fullName}/workspaces/waiting%2f..%2fdone`, [404]],
      [`${place('done')}/state-versions/0`, [404]],
      [`${place('done')}/state-versions/-1`, [404]],
      [`${place('done')}/state-versions/1e3`, [404]],
      [`${place('done')}/state-versions/99999999999999999999999`, [404]],
      [`${place('done')}/state-versions/9007199254740991`, [404]],
      [`${place('waiting')}/state-versions/${version}`, [404]],
      [`${place('done')}/state-versions?before=nonsense`, [400]],
      [`${place('done')}?after=nonsense`, [400]],
      [`${place('done')}?before=%00`, [400]],
      ['/?before=nonsense', [400]],
      ['/?after=MQ', [400]],
      ['/?before=a&after=b', [400]],
      [`/?before=${Buffer.from('workspaces 9999999999999999999 1 1').toString('base64url')}`, [400]],
      ['/?q=%00', [200]],
      ['/?q=%', [200]],
      ['/?q=%25_%5C', [200]],
      [`/?q=${'x'.repeat(10_000)}`, [200]],
      ['/?q=a&q=b&state=x&state=y&repository=1&repository=2', [400]],
      ['/?q[]=a&state[x]=y', [200]],
      ['/?state=__proto__&did=__proto__', [400]],
      ['/?state=constructor', [400]],
      ['/?state=Needs+Confirmation&did=constructor', [200]],
      ['/?repository=%00/%00', [200]],
      ['/?repository=a/b/c', [200]],
      [`/runs/${id}?did=%3Cscript%3E&ask=%00`, [200]],
      [`${place('done')}?q=%00&state=nonsense`, [400]],
      ['/assets/nothing', [404]],
      ['/assets/../package.json', [404]],
      ['//evil.example/', [404]],
      ['/.well-known/nothing', [404]],
      ['/favicon.ico', [404]],
    ];
    for (const [path, expected] of paths) {
      const { status, text, headers } = await alice.get(path);
      const shown = path.length > 200 ? `${path.slice(0, 60)}…` : path;
      expect([shown, expected.includes(status), status]).toEqual([shown, true, status]);
      if (path.includes('/events')) continue;
      expect([shown, headers['content-type']]).toEqual([shown, 'text/html; charset=UTF-8']);
      expect(text).toContain('<main id="main"');
      expect(text).not.toContain('<script>');
      if (status !== 200) expect(text).toMatch(/<a class="btn" href="\/"/);
    }
  });

  test('what is no proper HTTP is not answered with anything of ours, and nothing breaks', async () => {
    const raw = (text: string) =>
      new Promise<string>((resolve, reject) => {
        let answer = '';
        const socket = connect(world.port, '127.0.0.1', () => socket.write(text));
        socket.on('data', (data) => {
          answer += String(data);
        });
        socket.on('close', () => resolve(answer.split('\r\n')[0] ?? ''));
        socket.on('error', reject);
      });
    const cookie = [...alice.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
    const asks = (line: string, host = `127.0.0.1:${world.port}`) =>
      raw(`${line} HTTP/1.1\r\nHost: ${host}\r\nCookie: ${cookie}\r\nConnection: close\r\n\r\n`);
    expect(await asks('GET http://evil.example/runs/x')).toMatch(/ (400|404) /);
    expect(await asks('GET /runs/\x00')).toMatch(/ 400 /);
    expect(await asks('GET *')).toMatch(/ (400|404) /);
    expect(await asks('GET /', 'evil.example/x?y')).toMatch(/ 400 /);
    expect(await asks('GET /', '')).toMatch(/ 400 /);
    expect(await asks('TRACE /')).toMatch(/ (400|405|501) /);
    expect(await asks(`GET /${'a'.repeat(20_000)}`)).toMatch(/ 431 /);
    expect(await asks('GET /', 'evil.example')).toMatch(/ 200 /);
  });

  test('forms that make no sense are refused, and change nothing', async () => {
    const before = await record();
    const comment = `${run('waiting')}/comment`;
    const long = await alice.post(comment, { comment: 'x'.repeat(5_001) });
    expect(long.status).toBe(400);
    expect(long.text).toContain('5,000 characters at most');
    expect(long.text).toContain('<h1>That is too long</h1>');
    expect(long.text).toContain(`<a class="btn" href="${run('waiting')}">`);
    const lock = await alice.post(`${place('waiting')}/lock`, { reason: 'x'.repeat(301) });
    expect([lock.status, lock.text.includes('300 characters at most')]).toEqual([400, true]);
    const message = await alice.post(`${place('waiting')}/queue-plan`, { message: 'x'.repeat(1_001) });
    expect([message.status, message.text.includes('1,000 characters at most')]).toEqual([400, true]);
    const huge = await alice.post(comment, { comment: 'x'.repeat(100_000) });
    expect([huge.status, huge.headers['content-type']]).toEqual([413, 'text/html; charset=UTF-8']);
    expect(huge.text).toContain('<main id="main"');
    const { csrf } = alice;
    const empty = await alice.post(comment, { comment: ' \u0000\r\n ' });
    expect(empty.status).toBe(303);
    expect((await alice.post(comment, `csrf=${csrf}`)).status).toBe(303);
    expect((await alice.post(comment, `csrf=${csrf}&comment[]=a&__proto__=b&constructor=c`)).status).toBe(303);
    expect(await record()).toEqual(before);
    expect((await alice.post(comment, `csrf=${csrf}&comment=one&comment=two%00%ff%E0%A4%A`)).status).toBe(303);
    expect((await bob.get(run('waiting'))).text).toContain('two');
  });

  test('who comes too late is told what became of it', async () => {
    const late = async (visitor: HttpVisitor, path: string, pattern: RegExp, title = 'Too late') => {
      const { status, text } = await visitor.post(path);
      expect([path, status]).toEqual([path, 409]);
      expect(text).toMatch(pattern);
      expect(text).toContain(`<h1>${title}</h1>`);
    };
    const done = async (visitor: HttpVisitor, path: string, fields: Record<string, string> = {}) => {
      const answer = await visitor.post(path, fields);
      expect([path, answer.status]).toEqual([path, 303]);
      return answer;
    };
    const carol = await HttpVisitor.signIn(world, 'carol');
    const waiting = place('waiting');
    await late(alice, `${waiting}/unlock`, /isn(’|'|&#39;)t locked/, 'Nothing was changed');
    await done(alice, `${waiting}/lock`, { reason: 'a look' });
    await late(carol, `${waiting}/lock`, /alice has locked it already/, 'Nothing was changed');
    expect((await carol.get(waiting)).text).not.toMatch(/>\s*Unlock\s*</);
    expect((await carol.post(`${waiting}/unlock`)).status).toBe(403);
    expect((await bob.post(`${waiting}/unlock`)).status).toBe(403);
    await done(alice, `${waiting}/unlock`);
    await done(alice, `${waiting}/lock`);
    await done(root, `${waiting}/unlock`);

    await late(alice, `${place('gone')}/queue-plan`, /There is no workspace gone any more/, 'No plan was queued');
    await late(alice, `${place('gone')}/lock`, /There is no workspace gone any more/, 'Nothing was changed');

    await done(alice, `${run('waiting')}/confirm`);
    await reach(runs.get('waiting') ?? '', 'applied');
    for (const move of ['confirm', 'discard', 'cancel']) {
      await late(carol, `${run('waiting')}/${move}`, /Nothing was done: the run is in state Applied/);
    }
    await late(root, `${run('waiting')}/force-cancel`, /Nothing was done/);
    await done(alice, `${run('waiting')}/comment`, { comment: 'Never too late.' });
    await late(alice, `${run('done')}/confirm`, /Nothing was done/);
    await done(alice, `${run('pending')}/discard`);
    await late(alice, `${run('pending')}/discard`, /Nothing was done: the run is in state Discarded \(by alice\)/);
    await late(alice, `${run('pending')}/confirm`, /Nothing was done: the run is in state Discarded \(by alice\)/);
  });

  test('only an administrator forces a cancel, ten seconds after it was asked for', async () => {
    const path = run('slow');
    expect((await alice.post(`${path}/force-cancel`)).status).toBe(403);
    const early = await root.post(`${path}/force-cancel`);
    expect(early.status).toBe(409);
    expect((await alice.get(path)).text).toMatch(/>\s*Cancel Run\s*</);
    expect((await alice.get(path)).text).not.toContain('Force Cancel');
    expect((await root.get(path)).text).not.toContain('Force Cancel');
  });

  test('headers of every answer', async () => {
    const nobody = new HttpVisitor(world);
    const pages: [string, Answer][] = [];
    const see = async (what: string, asked: Promise<Answer>) => pages.push([what, await asked]);
    for (const path of ['/', ...reading(), '/nothing', '/?before=x']) await see(path, alice.get(path));
    await see('not signed in', nobody.get('/'));
    await see('signing in', nobody.get('/auth/login'));
    await see('signed out', nobody.get('/auth/signed-out'));
    await see('a callback without a state', nobody.get('/auth/callback?code=x'));
    await see('forged', alice.post(`${run('done')}/confirm`, { csrf: '' }));
    await see('too late', alice.post(`${run('done')}/confirm`));
    await see('a wrong method', alice.get(`${run('done')}/confirm`));
    await see('too large', alice.post(`${run('done')}/comment`, { comment: 'x'.repeat(100_000) }));
    await see('done', alice.post(`${run('done')}/comment`));
    await see('no events', alice.get('/runs/run-nothing/events'));
    for (const [what, { headers }] of pages) {
      const policy = String(headers['content-security-policy']);
      expect([what, policy]).toEqual([what, expect.stringContaining("default-src 'none'")]);
      expect(policy).toContain("frame-ancestors 'none'");
      expect(policy).not.toMatch(/unsafe|\*/);
      expect([what, headers['cache-control']]).toEqual([what, 'no-store']);
      expect(headers['x-content-type-options']).toBe('nosniff');
      expect(headers['x-frame-options']).toBe('DENY');
      expect([what, headers['referrer-policy']]).toEqual([what, expect.stringMatching(/^(same-origin|no-referrer)$/)]);
    }
    const [, asset = ''] = /href="(\/assets\/[^"]+\.css)"/.exec((await nobody.get('/')).text) ?? [];
    const { status, headers } = await nobody.get(asset);
    expect([status, headers['cache-control']]).toEqual([200, 'public, max-age=31536000, immutable']);
    expect(headers['x-content-type-options']).toBe('nosniff');
    const text = await alice.get(`${run('done')}/plan.txt`);
    expect(text.headers['content-type']).toMatch(/^text\/plain; charset=utf-8$/i);
  });

  test('a sign-in leads to a path of ours, and to nothing else', async () => {
    const visitor = new HttpVisitor(world);
    const elsewhere = [
      ...['https://evil.example/', '//evil.example', '///evil.example', '/\\evil.example', '\\\\evil.example'],
      ...['/\t/evil.example', '/\n/evil.example', '/%09/evil.example/..//x', '/.//evil.example', '/x/..//evil.example'],
      ...[
        'javascript:alert(1)',
        'data:text/html,x',
        'http:evil.example',
        '/auth/login',
        '/%61uth/sign-out',
        '@evil.example',
      ],
      ...['', ' /x', '/x\r\nSet-Cookie: a=b', '/\u2028/evil.example', '/@evil.example', `/${'x'.repeat(5_000)}`],
    ];
    for (const wanted of elsewhere) {
      const { status, headers } = await visitor.signIn('alice', wanted);
      expect([wanted, status]).toEqual([wanted, 303]);
      const to = new URL(headers.location ?? '', world.url);
      expect([wanted, to.origin, to.pathname.startsWith('//')]).toEqual([wanted, world.url, false]);
      expect(to.pathname).not.toMatch(/^\/auth/);
    }
    const { headers } = await visitor.signIn('alice', `${run('done')}?ask=apply#plan-L3`);
    expect(headers.location).toBe(`${run('done')}?ask=apply#plan-L3`);
    await visitor.post('/auth/sign-out');
  });

  test('a session that somebody planted is not taken over by signing in', async () => {
    const attacker = await HttpVisitor.signIn(world, 'mallory');
    const victim = new HttpVisitor(world);
    for (const [name, value] of attacker.cookies) victim.cookies.set(name, value);
    await victim.signIn('alice');
    expect(victim.cookies.get('signalbox')).not.toBe(attacker.cookies.get('signalbox'));
    expect((await attacker.get('/')).status).toBe(401);
    expect((await attacker.get(run('done'))).status).toBe(401);

    const invented = new HttpVisitor(world);
    invented.cookies.set('signalbox', 'a'.repeat(43));
    await invented.signIn('alice');
    expect(invented.cookies.get('signalbox')).not.toBe('a'.repeat(43));

    // Nor is a sign-in that another browser began, or one that was finished already.
    const begun = await attacker.callback('mallory');
    const other = new HttpVisitor(world);
    expect((await other.get(begun)).status).toBe(403);
    expect(other.cookies.size).toBe(0);
    expect((await attacker.get(begun)).status).toBe(303);
    expect((await attacker.get(begun)).status).toBe(403);
    for (const query of ['', '?code=x', '?state=x', '?error=access_denied', '?code=%00&state=%00', '?state=%']) {
      const { status, text } = await other.get(`/auth/callback${query}`);
      expect([query, status, text.includes('You are not signed in')]).toEqual([query, 403, true]);
    }
    await victim.post('/auth/sign-out');
  });

  test('signing out ends everything of that session', async () => {
    const visitor = await HttpVisitor.signIn(world, 'carol');
    const stream = await visitor.stream(`${run('slow')}/events`);
    expect(stream.status).toBe(200);
    const cookies = new Map(visitor.cookies);
    const out = await visitor.post('/auth/sign-out');
    expect([out.status, out.headers.location, visitor.cookies.size]).toEqual([303, '/auth/signed-out', 0]);
    await stream.ended;
    for (const [name, value] of cookies) visitor.cookies.set(name, value);
    expect((await visitor.get(run('slow'))).status).toBe(401);
    expect((await visitor.post(`${run('slow')}/cancel`)).status).toBe(401);
  });

  test('who takes back the authorisation on GitHub is signed out', async () => {
    const visitor = await HttpVisitor.signIn(world, 'carol');
    world.github.revokeAuthorization('carol');
    expect((await visitor.get(run('done'))).status).toBe(401);
    expect((await visitor.get('/')).status).toBe(401);
  });

  inBrowser('pages are in no frame, and take no form of another site', async () => {
    const visitor = await Visitor.signIn(world, browser as Browser, 'alice');
    const { page } = visitor;
    await visitor.goto(run('done'));
    const csrf = await page.locator('input[name=csrf]').first().inputValue();
    const before = await record();
    const evil = await serve(`<!doctype html><iframe src="${world.url}${run('done')}"></iframe>
      <form method="post" action="${world.url}${run('done')}/comment">
        <input name="csrf" value="${csrf}"><input name="comment" value="forged"><button>Win a prize</button>
      </form>`);
    try {
      for (const host of ['127.0.0.1', 'localhost']) {
        await page.goto(`http://${host}:${evil.port}/`);
        await page.waitForFunction(() => document.readyState === 'complete');
        const frame = page.frames()[1];
        expect(await frame?.locator('body').innerText()).not.toContain('Signalbox');
        await page.getByRole('button', { name: 'Win a prize' }).click();
        // Of another site not even the cookie came along.
        const heading = host === 'localhost' ? 'Sign in to Signalbox' : 'You may not do that';
        await page.getByRole('heading', { name: heading }).waitFor();
      }
    } finally {
      await evil.close();
    }
    expect(await record()).toEqual(before);
    await visitor.close();
  });

  inBrowser('signing out in one tab ends the others', async () => {
    const visitor = await Visitor.signIn(world, browser as Browser, 'carol');
    await visitor.goto(run('slow'));
    const other = await visitor.context.newPage();
    await other.goto(world.url);
    await other.getByRole('button', { name: 'Sign out' }).click();
    await other.getByRole('heading', { name: 'You are signed out' }).waitFor();
    await visitor.page.getByText('You are signed out').waitFor({ timeout: 40_000 });
    await visitor.press('Cancel Run');
    await visitor.page.getByRole('heading', { name: 'Sign in to Signalbox' }).waitFor();
    await visitor.close();
  });

  inBrowser('whoever opens the pages under the machine’s other name is signed in under the right one', async () => {
    const context = await (browser as Browser).newContext();
    const page = await context.newPage();
    await page.goto(`${world.url.replace('127.0.0.1', 'localhost')}${run('done')}`);
    await page.getByRole('link', { name: 'Sign in with GitHub' }).click();
    await page.getByLabel('Username').fill('alice');
    await page.getByRole('button', { name: /^Authorize/ }).click();
    await page.getByRole('status').filter({ hasText: 'Applied' }).waitFor();
    expect(page.url()).toBe(`${world.url}${run('done')}`);
    await context.close();
  });

  test('while GitHub is away nothing is shown on trust, nothing is done, and everybody stays signed in', async () => {
    const { github } = world;
    const began = new HttpVisitor(world);
    const back = await began.callback('alice');
    const fresh = new HttpVisitor(world);
    await fresh.get(await fresh.callback('alice'));
    // Knows what alice may do in here, as a page that is open does.
    const known = await HttpVisitor.signIn(world, 'alice');
    expect((await known.get(place('waiting'))).status).toBe(200);
    const before = await record();
    for (const how of [{ status: 502 }, 'lose-answer-502', 'secondary-rate-limit'] as const) {
      const trouble = github.misbehave({ how });
      for (const path of ['/', ...reading()]) {
        const { status, text, headers } = await fresh.get(path);
        expect([path, status]).toEqual([path, 503]);
        expect(text).toContain('GitHub doesn’t answer');
        expect(text).not.toContain(SECRET);
        expect(headers['set-cookie']).toBeUndefined();
      }
      expect((await fresh.get(`${run('done')}/events`)).status).toBe(503);
      for (const path of writing()) expect((await fresh.post(path, { csrf: known.csrf })).status).toBe(503);
      trouble.stop();
    }
    const trouble = github.misbehave({ how: { status: 502 } });
    const { status, text, headers } = await began.get(back);
    expect([status, headers['set-cookie']]).toEqual([503, undefined]);
    expect(text).toContain('GitHub answers 502.');
    const queued = await known.post(`${place('waiting')}/queue-plan`, { message: 'by hand' });
    expect(queued.status).toBe(503);
    expect(await record()).toEqual(before);
    trouble.stop();
    expect((await began.get(back)).status).toBe(303);
    expect((await fresh.get(run('done'))).status).toBe(200);
    expect((await fresh.get('/')).status).toBe(200);
    expect((await known.post(`${place('waiting')}/queue-plan`, { message: 'by hand' })).status).toBe(303);
  });

  test('while the App is suspended, a control says so', async () => {
    const { github } = world;
    const carol = await HttpVisitor.signIn(world, 'carol');
    expect((await carol.get(foreign.path)).status).toBe(200);
    const lost = github.loseDeliveries(({ event }) => event === 'installation');
    github.suspend('umbrella');
    const { status, text } = await carol.post(`${foreign.path}/queue-plan`);
    expect(status).toBe(409);
    expect(text).toContain('<h1>Nothing was changed</h1>');
    expect(text).toContain('its GitHub App is suspended there.');
    expect(text).toContain(`<a class="btn" href="${foreign.path}">`);
    github.unsuspend('umbrella');
    lost.stop();
  });

  test('a pull request’s run is not confirmed while GitHub can’t be asked', async () => {
    const { github } = world;
    const other = await world.appliedRepository(
      { 'network/main.tf': resource('a', SECRET) },
      { settings: workspace('network', 'auto-apply: true', 'apply-requirements: []') },
    );
    const pr = await world.pullRequest(other, { 'network/more.tf': resource('more', SECRET) });
    await world.check(other, { name: 'signalbox/network (plan)', sha: pr.headSha, status: 'completed' });
    // What the pull request doesn't have would be destroyed by it: another plan than the one that was seen.
    const sha = await world.alice.push(other, { files: { 'network/other.tf': resource('other', SECRET) } });
    await world.check(other, { sha, conclusion: 'success' });
    await world.command(other, pr, 'apply');
    const [waiting] = await world.until(other, 'a run of the pull request that waits', async () => {
      const rows = await world.query<{ id: string }>(
        "select id from runs where pull_request is not null and state = 'needs_confirmation'",
      );
      return rows.length > 0 && rows;
    });
    const path = `/runs/${waiting?.id}`;
    expect((await alice.get(path)).status).toBe(200);
    const before = await record();
    const trouble = github.misbehave({ how: { status: 502 } });
    const answer = await alice.post(`${path}/confirm`);
    expect(answer.status).toBe(503);
    expect(await record()).toEqual(before);
    trouble.stop();
    expect((await alice.post(`${path}/confirm`)).status).toBe(303);
    await reach(waiting?.id ?? '', 'applied');
  });

  test('a right that was taken away is gone within a minute, from open pages too', async () => {
    const { visitor, stream, after } = lost;
    expect(stream.status).toBe(200);
    expect(await after).toBeLessThan(60_000);
    for (const path of [run('slow'), `${run('slow')}/events`, `${run('done')}/plan.txt`, place('done')]) {
      expect((await visitor.get(path)).status).toBe(404);
    }
    expect((await visitor.post(`${run('slow')}/cancel`)).status).toBe(404);
    expect((await visitor.get('/')).text).not.toContain(repo.fullName);
  });

  inBrowser('who may no longer write loses the controls of an open page', async () => {
    const { page, complaints } = demoted as Visitor;
    for (const name of ['Cancel Run', 'Add comment']) {
      await page.getByRole('button', { name }).waitFor({ state: 'detached', timeout: 70_000 });
    }
    expect(await page.getByRole('status').first().innerText()).toContain('Applying');
    expect(await page.getByText('Canceling this run takes write access').count()).toBe(1);
    expect(complaints).toEqual([]);
  });

  test('while the database is away the pages say so, and come back with it', async () => {
    await writeFile(go, '');
    await world.quiet();
    const gate = await Gate.start(world.database.url);
    Object.assign(world.options.env ?? {}, { DATABASE_URL: gate.url(world.database.url) });
    await world.kill('all');
    await world.startProcesses();
    expect((await alice.get(run('done'))).status).toBe(200);
    const stream = await alice.stream(`${run('done')}/events`);
    await gate.goAway();
    for (const path of ['/', run('done'), `${run('done')}/plan.txt`, place('done'), `${run('done')}/events`]) {
      const { status, text } = await alice.get(path);
      expect([path, status, text.includes(SECRET)]).toEqual([path, 503, false]);
      expect(text).toContain('<h1>Not now</h1>');
    }
    expect((await alice.post(`${run('done')}/comment`, { comment: 'x' })).status).toBe(503);
    expect((await alice.get('/auth/login')).status).toBe(302);
    await gate.comeBack();
    await world.until(repo, 'the pages to come back', async () => (await alice.get(run('done'))).status === 200);
    stream.close();
    Object.assign(world.options.env ?? {}, { DATABASE_URL: world.database.url });
    await world.kill('all');
    await gate.goAway();
  });

  test('without a client id the pages say what to set, and show nothing else', async () => {
    Object.assign(world.options.env ?? {}, { GITHUB_CLIENT_ID: '', GITHUB_CLIENT_SECRET: '' });
    await world.startProcesses();
    for (const path of [
      '/',
      ...reading(),
      ...writing(),
      `${run('done')}/events`,
      '/nothing',
      '/auth/login',
      '/auth/callback',
    ]) {
      for (const answer of [await alice.get(path), await alice.post(path)]) {
        expect([path, answer.status]).toEqual([path, 503]);
        expect(answer.text).toContain('GITHUB_CLIENT_ID');
        expect(answer.text).not.toContain(SECRET);
      }
    }
  });
});

async function serve(html: string): Promise<{ port: number; close(): Promise<void> }> {
  const server: Server = createServer((_, response) => response.setHeader('content-type', 'text/html').end(html));
  await new Promise<void>((resolve) => server.listen(0, resolve));
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}
