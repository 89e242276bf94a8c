import { generateKeyPairSync } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseEnv } from 'node:util';
import { ConfigError, describeVariables, readConfig } from '../src/config.js';

const pem = (format: 'pkcs1' | 'pkcs8') =>
  generateKeyPairSync('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: format, format: 'pem' },
  }).privateKey;
const PRIVATE_KEY = pem('pkcs1');
const app = { APP_ID: '7', PRIVATE_KEY, WEBHOOK_SECRET: 'hush' };

let directory: string;
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'signalbox-config-'));
});
afterAll(() => rmSync(directory, { recursive: true, force: true }));

/** What is said on stderr, line by line; nothing where the configuration is fine. */
function complaints(env: NodeJS.ProcessEnv): string[] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (error instanceof ConfigError) return error.lines;
    throw error;
  }
}

describe('a variable that is wrong gets one line, which names it', () => {
  test.each([
    ['APP_ID', 'seven'],
    ['APP_ID', '0'],
    ['APP_ID', '-1.5'],
    ['GITHUB_CLIENT_ID', 'Iv1:abc'],
    ['GITHUB_CLIENT_SECRET', 'with blanks in it'],
    ['GHE_HOST', 'https://github.acme.com'],
    ['GHE_HOST', 'github.acme.com/api'],
    ['GHE_PROTOCOL', 'ftp'],
    ['PORT', '65536'],
    ['PORT', '-1.5'],
    ['PORT', 'http'],
    ['PUBLIC_URL', 'signalbox.acme.com'],
    ['PUBLIC_URL', 'ftp://signalbox.acme.com'],
    ['METRICS_TOKEN', 'too short'],
    ['METRICS_TOKEN', 'long enough, but with blanks'],
    ['LOG_LEVEL', 'loud'],
    ['LOG_FORMAT', 'xml'],
    ['DATABASE_URL', 'mysql://localhost/signalbox'],
    ['DATABASE_URL', 'localhost'],
    ['REDIS_URL', 'http://localhost:6379'],
    ['ENCRYPTION_KEY', 'short'],
    ['ENCRYPTION_KEY', 'ab'.repeat(31)],
    ['ROLES', 'web,wroker'],
    ['ROLES', ','],
    ['WORKER_SLOTS', '0'],
    ['WORKER_SLOTS', '2.5'],
    ['WORKER_SLOTS', '257'],
    ['WORKER_NAME', 'a name'],
    ['RUN_ENV', 'AWS-*'],
    ['PLAN_ENV', 'AWS_*_KEY'],
    ['SANDBOX', 'on'],
    ['SANDBOX_PATHS', 'tools'],
    ['SANDBOX_PATHS', '/opt/tools,/'],
    ['SANDBOX_PATHS', '/opt/../proc:rw'],
    ['RUN_PROCESSES', '0'],
    ['RUN_MEMORY', 'plenty'],
    ['RUN_DISK', '4 bananas'],
    ['RUN_OUTPUT', '12'],
    ['TERRAFORM_RELEASES_URL', 'releases.hashicorp.com'],
    ['GIT_PATIENCE', '-5m'],
    ['GIT_PATIENCE', 'a while'],
    ['KEEP_OUTPUT_DAYS', '-1'],
    ['KEEP_PLAN_DAYS', 'month'],
    ['KEEP_STATE_VERSIONS', '1.5'],
    ['MIRRORS_MAX_SIZE', '-10G'],
    ['PROVIDERS_MAX_SIZE', 'huge'],
    ['GITHUB_CONTENT_PER_MINUTE', '0'],
    ['GITHUB_CONTENT_PER_HOUR', '15001'],
  ])('%s=%s', (name, value) => {
    const lines = complaints({ ...app, [name]: value });
    expect(lines).toEqual([expect.stringMatching(new RegExp(`^${name} [^\\n]+$`))]);
  });

  test('and several wrong variables get a line each', () => {
    const lines = complaints({ ...app, PORT: 'x', WORKER_SLOTS: 'x', REDIS_URL: 'x' });
    expect(lines.map((line) => line.split(' ')[0]).sort()).toEqual(['PORT', 'REDIS_URL', 'WORKER_SLOTS']);
  });

  test('but what it was set to is never repeated where it may hold a secret', () => {
    const secret = 'hunter2hunter2';
    const lines = [
      ...complaints({ ...app, DATABASE_URL: `mysql://u:${secret}@host/db` }),
      ...complaints({ ...app, REDIS_URL: `http://:${secret}@host` }),
      ...complaints({ ...app, ENCRYPTION_KEY: secret }),
      ...complaints({ ...app, PRIVATE_KEY: secret }),
    ];
    expect(lines).toHaveLength(4);
    expect(lines.join('\n')).not.toContain(secret);
  });
});

describe('the App', () => {
  test('without any credentials there is none: the set-up page is shown', () => {
    expect(readConfig({}).app).toBeUndefined();
    expect(readConfig({ APP_ID: '', PRIVATE_KEY: '' }).app).toBeUndefined();
  });

  test('without a webhook secret there is no start', () => {
    const expected = [expect.stringMatching(/^WEBHOOK_SECRET is not set: without it anyone could forge webhooks/)];
    expect(complaints({ APP_ID: '7', PRIVATE_KEY })).toEqual(expected);
    expect(complaints({ APP_ID: '7', PRIVATE_KEY, WEBHOOK_SECRET: '' })).toEqual(expected);
  });

  test('has both halves of its client, or none', () => {
    expect(readConfig(app).client).toBeUndefined();
    const [id, secret] = [{ GITHUB_CLIENT_ID: 'Iv1.abc' }, { GITHUB_CLIENT_SECRET: 'hush' }];
    expect(readConfig({ ...app, ...id, ...secret }).client).toEqual({ id: 'Iv1.abc', secret: 'hush' });
    expect(complaints({ ...app, ...id })).toEqual([expect.stringMatching(/^GITHUB_CLIENT_SECRET is not set, though/)]);
    expect(complaints({ ...app, ...secret })).toEqual([expect.stringMatching(/^GITHUB_CLIENT_ID is not set, though/)]);
  });

  test('needs a key where it has a number, and a number where it has a key', () => {
    expect(complaints({ APP_ID: '7', WEBHOOK_SECRET: 'hush' })).toEqual([expect.stringMatching(/^PRIVATE_KEY is/)]);
    expect(complaints({ PRIVATE_KEY, WEBHOOK_SECRET: 'hush' })).toEqual([expect.stringMatching(/^APP_ID is not set/)]);
  });

  test('its key may be PEM of either kind, have \\n for its line ends, or be base64', () => {
    const forms = [
      PRIVATE_KEY,
      pem('pkcs8'),
      PRIVATE_KEY.replaceAll('\n', '\\n'),
      PRIVATE_KEY.replaceAll('\n', '\r\n'),
    ];
    for (const form of forms) expect(complaints({ ...app, PRIVATE_KEY: form })).toEqual([]);
    const encoded = Buffer.from(PRIVATE_KEY).toString('base64');
    expect(readConfig({ ...app, PRIVATE_KEY: encoded }).app?.privateKey).toBe(PRIVATE_KEY);
    expect(readConfig({ ...app, PRIVATE_KEY: PRIVATE_KEY.replaceAll('\n', '\\n') }).app?.privateKey).toBe(PRIVATE_KEY);
  });

  test('its key may be quoted in a .env file, on one line or on many', () => {
    for (const text of [`PRIVATE_KEY="${PRIVATE_KEY.replaceAll('\n', '\\n')}"`, `PRIVATE_KEY="${PRIVATE_KEY}"`]) {
      expect(readConfig({ ...app, ...parseEnv(text) }).app?.privateKey).toBe(PRIVATE_KEY);
    }
  });

  test('its key may be in a file', () => {
    const path = join(directory, 'key.pem');
    writeFileSync(path, PRIVATE_KEY);
    const { PRIVATE_KEY: _, ...rest } = app;
    expect(readConfig({ ...rest, PRIVATE_KEY_PATH: path }).app?.privateKey).toBe(PRIVATE_KEY);
    writeFileSync(path, 'no key');
    expect(complaints({ ...rest, PRIVATE_KEY_PATH: path })).toEqual(['PRIVATE_KEY_PATH is not a private key in PEM']);
    expect(complaints({ ...rest, PRIVATE_KEY_PATH: join(directory, 'gone') })).toEqual([
      `PRIVATE_KEY_PATH names ${join(directory, 'gone')}, which can't be read (ENOENT)`,
    ]);
  });

  test.each([
    ['half a key', PRIVATE_KEY.slice(0, 800)],
    ['a key that lost its line ends', PRIVATE_KEY.replaceAll('\n', ' ')],
    ['something else in base64', Buffer.from('hello').toString('base64')],
    [
      'a key of another kind',
      generateKeyPairSync('ed25519').privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    ],
  ])('%s is refused', (_, key) => {
    expect(complaints({ ...app, PRIVATE_KEY: key })).toEqual(['PRIVATE_KEY is not a private key in PEM']);
  });
});

describe('roles', () => {
  test('one process is both unless told otherwise', () => {
    expect(readConfig(app).roles).toEqual(['web', 'worker']);
    expect(readConfig({ ...app, ROLES: ' worker , web,worker ' }).roles).toEqual(['worker', 'web']);
  });

  test('a worker on its own needs no App, but the record and the key that web uses', () => {
    const worker = { ROLES: 'worker', DATABASE_URL: 'postgres://db/signalbox', ENCRYPTION_KEY: 'ab'.repeat(32) };
    expect(readConfig(worker).app).toBeUndefined();
    expect(complaints({ ROLES: 'worker' }).map((line) => line.split(' ')[0])).toEqual([
      'DATABASE_URL',
      'ENCRYPTION_KEY',
    ]);
    expect(complaints({ ...worker, APP_ID: '7' })).toEqual([]);
    const { ROLES: _, ...shared } = worker;
    expect(readConfig({ ...app, ...shared, ROLES: 'web' }).roles).toEqual(['web']);
  });
});

describe('what runs may inherit', () => {
  test.each([
    '*',
    'PRIVATE_KEY',
    'PRIVATE_KEY_PATH',
    'P*',
    'WEBHOOK_SECRET',
    'DATABASE_URL',
    'REDIS*',
    'ENCRYPTION_KEY',
  ])('%s is refused: it would let in a secret of the App', (pattern) => {
    for (const name of ['RUN_ENV', 'PLAN_ENV']) {
      expect(complaints({ ...app, [name]: `AWS_*,${pattern}` })).toEqual([
        expect.stringMatching(new RegExp(`^${name} may not name ${pattern.replaceAll('*', '\\*')}: `)),
      ]);
    }
  });

  test('names and patterns are separated by commas or blanks', () => {
    expect(readConfig({ ...app, RUN_ENV: 'AWS_*, ARM_CLIENT_ID  TF_VAR_region' }).runEnv).toEqual([
      'AWS_*',
      'ARM_CLIENT_ID',
      'TF_VAR_region',
    ]);
  });
});

test('GitHub is github.com, or the Enterprise Server that GHE_HOST names', () => {
  expect(readConfig(app)).toMatchObject({ githubUrl: 'https://github.com', githubApiUrl: 'https://api.github.com' });
  expect(readConfig({ ...app, GHE_HOST: 'git.acme.com:8443' })).toMatchObject({
    githubUrl: 'https://git.acme.com:8443',
    githubApiUrl: 'https://git.acme.com:8443/api/v3',
  });
});

test('an encryption key is hexadecimal or base64', () => {
  const key = Buffer.alloc(32, 0xab);
  for (const text of [key.toString('hex'), key.toString('hex').toUpperCase(), key.toString('base64')]) {
    expect(readConfig({ ...app, ENCRYPTION_KEY: text }).encryptionKey).toEqual(key);
  }
});

test('every variable has a meaning', () => {
  for (const { name, meaning } of describeVariables())
    expect([name, meaning]).toEqual([name, expect.stringMatching(/\w/)]);
});

describe('what runs may use', () => {
  test('has defaults, and sizes may have units', () => {
    expect(readConfig({}).limits).toEqual({ processes: 512, memory: 2 ** 31, disk: 2 ** 32, output: 2 ** 26 });
    const given = { RUN_PROCESSES: '64', RUN_MEMORY: '512MiB', RUN_DISK: '1.5 GiB', RUN_OUTPUT: '1048576' };
    expect(readConfig(given).limits).toEqual({ processes: 64, memory: 2 ** 29, disk: 1.5 * 2 ** 30, output: 2 ** 20 });
    expect(readConfig({ RUN_MEMORY: '2g' }).limits.memory).toBe(2 ** 31);
  });

  test('of the file system is named, and is read-only unless it says otherwise', () => {
    expect(readConfig({ SANDBOX_PATHS: '/opt/tools, /srv/journal:rw' }).sandboxPaths).toEqual([
      { path: '/opt/tools', writable: false },
      { path: '/srv/journal', writable: true },
    ]);
  });
});
