import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseEnv } from 'node:util';
import { credentialsFile } from '../../src/web/setup.js';
import { LocalGitHub } from '../support/github/index.js';
import { freePort } from '../support/signalbox.js';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
/** By its address: the program may be started from another directory. */
const TSX = new URL('../../node_modules/tsx/dist/loader.mjs', import.meta.url).href;

let directory: string;
let data: string;
let github: LocalGitHub;
let port: number;
let url: string;
let log: string;
let running: ChildProcess[];
beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-setup-'));
  data = join(directory, 'data');
  github = await LocalGitHub.start({ directory: join(directory, 'github') });
  port = await freePort();
  url = `http://localhost:${port}`;
  log = '';
  running = [];
  // Probot would fetch a client for smee.io with these.
  mkdirSync(join(directory, 'bin'));
  for (const name of ['npx', 'npm'])
    writeFileSync(join(directory, 'bin', name), `#!/bin/sh\ntouch ${join(directory, 'smee')}\n`, { mode: 0o755 });
});
afterEach(async () => {
  for (const child of running) await stop(child);
  await github.close();
  rmSync(directory, { recursive: true, force: true });
});

/** The program itself, with no credentials but what it finds in its data directory. */
async function start(env: Record<string, string> = {}, cwd = ROOT): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--import', TSX, join(ROOT, 'src/index.ts')], {
    cwd,
    env: {
      PATH: [join(directory, 'bin'), process.env.PATH].join(delimiter),
      GHE_HOST: github.host,
      GHE_PROTOCOL: 'http',
      DATA_DIR: data,
      PORT: String(port),
      LOG_FORMAT: 'json',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  running.push(child);
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (text) => (log += text));
  return child;
}

async function stop(child: ChildProcess): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit');
    child.kill('SIGTERM');
    await exited;
  }
  return child.exitCode;
}

function answering(path: string): Promise<Response> {
  return github.until(
    `${path} of Signalbox:\n${log}`,
    async () => {
      const answer = await fetch(url + path, { redirect: 'manual' }).catch(() => undefined);
      return answer !== undefined && answer.status < 500 && answer;
    },
    30_000,
  );
}

const go = (to: string, init: RequestInit = {}) => fetch(to, { redirect: 'manual', ...init });

/** What a browser does with the form on the page: where it goes, and with what. */
function formOn(page: string): { action: string; manifest: string } {
  const decoded = (text: string) =>
    text
      .replaceAll('&quot;', '"')
      .replaceAll('&#39;', "'")
      .replaceAll('&lt;', '<')
      .replaceAll('&gt;', '>')
      .replaceAll('&amp;', '&');
  const action = /<form[^>]* action="([^"]+)"/.exec(page)?.[1] ?? '';
  const value = /name="manifest"[^>]* value=(?:'([^']*)'|"([^"]*)")/.exec(page);
  return { action: decoded(action), manifest: decoded(value?.[1] ?? value?.[2] ?? '') };
}

/** Follows the form and every redirect, as a browser would, and yields the last page. */
async function register(): Promise<{ manifest: Record<string, unknown>; last: Response }> {
  const first = await answering('/');
  const page = await go(new URL(first.headers.get('location') ?? '', url).href);
  const { action, manifest } = formOn(await page.text());
  let answer = await go(action, { method: 'POST', body: new URLSearchParams({ manifest }) });
  for (let hop = 0; answer.status === 302 && hop < 5; hop++) answer = await go(answer.headers.get('location') ?? '');
  return { manifest: JSON.parse(manifest), last: answer };
}

test('without an App the page registers one, and Signalbox starts with it', async () => {
  const setup = await start();
  const { manifest, last } = await register();
  expect(manifest).toMatchObject({
    name: 'Signalbox',
    public: false,
    hook_attributes: { url: `${url}/api/github/webhooks` },
    redirect_url: `${url}/probot/setup`,
    callback_urls: [`${url}/auth/callback`],
    request_oauth_on_install: false,
    default_permissions: { checks: 'write' },
  });
  expect([last.status, await last.text()]).toEqual([200, expect.stringMatching(/is installed on all repositories/)]);

  const file = await github.until('the credentials', () => existsSync(credentialsFile(data)) && credentialsFile(data));
  expect(statSync(file).mode & 0o777).toBe(0o600);
  expect(statSync(data).mode & 0o777).toBe(0o700);
  const app = [...github.apps.values()].at(-1);
  const credentials = parseEnv(readFileSync(file, 'utf8'));
  expect(credentials).toMatchObject({
    APP_ID: String(app?.id),
    PRIVATE_KEY: app?.privateKey,
    WEBHOOK_SECRET: app?.webhookSecret,
    GITHUB_CLIENT_ID: app?.clientId,
    GITHUB_CLIENT_SECRET: app?.clientSecret,
  });
  expect(app?.webhookUrl).toBe(`${url}/api/github/webhooks`);

  expect(existsSync(join(directory, 'smee'))).toBe(false);
  expect(readdirSync(data)).toEqual(expect.not.arrayContaining([expect.stringMatching(/\.new$/)]));
  expect(existsSync(join(ROOT, '.env'))).toBe(false);
  for (const secret of [
    credentials.PRIVATE_KEY?.slice(40, 100),
    credentials.WEBHOOK_SECRET,
    credentials.GITHUB_CLIENT_SECRET,
  ])
    expect(log).not.toContain(secret);
  expect(log).toContain('No App yet');
  expect(await stop(setup)).toBe(0);

  const signalbox = await start();
  const ready = await answering('/readyz');
  expect(await ready.json()).toMatchObject({ ready: true });
  const refused = await go(`${url}/api/github/webhooks`, { method: 'POST', body: '{}' });
  expect(refused.status).toBe(401);
  expect(await stop(signalbox)).toBe(0);
});

test('PUBLIC_URL is where GitHub sends webhooks, and people back to', async () => {
  await start({ PUBLIC_URL: 'https://signalbox.acme.com/' });
  const page = await (await go(new URL((await answering('/')).headers.get('location') ?? '', url).href)).text();
  const { action, manifest } = formOn(page);
  expect(action).toBe(`${github.url}/settings/apps/new`);
  expect(JSON.parse(manifest).hook_attributes).toEqual({ url: 'https://signalbox.acme.com/api/github/webhooks' });
  expect(JSON.parse(manifest).callback_urls).toEqual(['https://signalbox.acme.com/auth/callback']);
});

test('a .env file and NODE_ENV of somewhere else change nothing', async () => {
  const elsewhere = join(directory, 'elsewhere');
  mkdirSync(elsewhere);
  writeFileSync(join(elsewhere, '.env'), 'WEBHOOK_PROXY_URL=https://smee.io/x\nGHE_HOST=evil.example\nGH_ORG=evil\n');
  await start({ NODE_ENV: 'production' }, elsewhere);
  await answering('/');
  const { action, manifest } = formOn(await (await go(`${url}/probot`)).text());
  expect(action).toBe(`${github.url}/settings/apps/new`);
  expect(JSON.parse(manifest)).toMatchObject({
    hook_attributes: { url: `${url}/api/github/webhooks` },
    default_permissions: { checks: 'write' },
  });
});

test('the page is for this machine only, unless HOST says otherwise', async () => {
  await start();
  await answering('/');
  const listening = readFileSync('/proc/net/tcp', 'utf8') + readFileSync('/proc/net/tcp6', 'utf8');
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const addresses = [...listening.matchAll(/^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F:]+ 0A/gm)]
    .filter(([, , at]) => at === hex)
    .map(([, address]) => address);
  expect(addresses.length).toBeGreaterThan(0);
  for (const address of addresses) expect(['0100007F', '00000000000000000000000001000000']).toContain(address);
});

test('a code that GitHub does not know registers nothing', async () => {
  await start();
  await answering('/');
  const answer = await go(`${url}/probot/setup?code=made-up`);
  expect(answer.status).toBeGreaterThanOrEqual(400);
  expect(existsSync(credentialsFile(data))).toBe(false);
});

test('credentials that the page has left are added to the environment, where what is set already wins', async () => {
  mkdirSync(data);
  writeFileSync(credentialsFile(data), 'ONE="from\\nthe file"\nTWO="from the file"\n');
  const script = `
    import { loadCredentials } from './src/web/setup.ts';
    loadCredentials(process.argv[1]);
    loadCredentials(process.argv[1] + '/nowhere');
    process.stdout.write(JSON.stringify([process.env.ONE, process.env.TWO]));`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', script, data], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, TWO: 'set' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [said] = await once(child.stdout, 'data');
  expect(JSON.parse(String(said))).toEqual(['from\nthe file', 'set']);
});
