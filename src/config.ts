import { createPrivateKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { isAbsolute, normalize, resolve } from 'node:path';
import { z } from 'zod';
import { refusedPattern } from './terraform/environment.js';
import type { RunLimits } from './terraform/limits.js';
import { parseDuration, parseSize } from './units.js';

/**
 * Every environment variable that Signalbox reads, with its meaning (`describe`), its default and its error. Nothing
 * else reads the environment, but Terraform's own, which gets what RUN_ENV and PLAN_ENV name.
 */
const variables = z.object({
  APP_ID: number('the number of the GitHub App', { min: 1 }).optional(),
  PRIVATE_KEY: z
    .string()
    .optional()
    .describe('the private key of the App: PEM, also with \\n for its line ends, or base64 of it'),
  PRIVATE_KEY_PATH: z.string().optional().describe('a file that holds the private key'),
  WEBHOOK_SECRET: z.string().optional().describe('the secret that GitHub signs webhooks with'),
  GITHUB_CLIENT_ID: z
    .string()
    .regex(/^[\w.-]+$/, 'must be the client id of the App')
    .optional()
    .describe('client id of the App, with which people sign in to the pages'),
  GITHUB_CLIENT_SECRET: z
    .string()
    .regex(/^[\x21-\x7e]+$/, 'must be a client secret of the App, without blanks')
    .optional()
    .describe('client secret of the App'),
  GHE_HOST: z
    .string()
    .regex(/^[\w.-]+(:\d+)?$/, 'must be a host name, without https:// and path')
    .optional()
    .describe('host of GitHub Enterprise Server'),
  GHE_PROTOCOL: z.enum(['https', 'http']).default('https').describe('how GHE_HOST is spoken to'),
  GH_ORG: z
    .string()
    .regex(/^[\w-]+$/, 'must be the login of an organisation')
    .optional()
    .describe('organisation that the set-up page registers the App for; without it, your own account'),
  HOST: z
    .string()
    .optional()
    .describe('address to listen on: all of them by default, loopback only for the set-up page'),
  PORT: number('port to listen on', { min: 0, max: 65_535 }).default(3000),
  PUBLIC_URL: z
    .url({ protocol: /^https?$/, error: 'must be an http or https address' })
    .optional()
    .describe('address under which people reach Signalbox'),
  METRICS_TOKEN: z
    .string()
    .regex(/^[\x21-\x7e]{16,}$/, 'must be 16 characters or more, without blanks (openssl rand -hex 16)')
    .optional()
    .describe('bearer token that /metrics asks for; without it anybody who reaches the port may read them'),
  LOG_LEVEL: z
    .enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
    .default('info')
    .describe('least level that is logged'),
  LOG_FORMAT: z.enum(['pretty', 'json']).optional().describe('pretty on a terminal, json elsewhere'),
  DATA_DIR: z
    .string()
    .default('data')
    .describe('directory for the embedded PostgreSQL, mirrors, work directories and caches'),
  DATABASE_URL: z
    .url({ protocol: /^postgres(ql)?$/, error: 'must begin with postgres:// or postgresql://' })
    .optional()
    .describe('PostgreSQL for the record'),
  REDIS_URL: z
    .url({ protocol: /^rediss?$/, error: 'must begin with redis:// or rediss://' })
    .optional()
    .describe('Redis for the queues'),
  ENCRYPTION_KEY: z
    .string()
    .optional()
    .describe('32 bytes, as 64 hexadecimal digits or base64, that seal plans, state and tokens'),
  ROLES: list('web and worker, or one of them').default(['web', 'worker']),
  WORKER_SLOTS: number('how many runs this worker works on at once', { min: 1, max: 256 }).default(4),
  WORKER_NAME: z
    .string()
    .regex(/^[\w.-]{1,100}$/, 'must be letters, digits, . _ and -')
    .default(hostname())
    .describe('name of this worker, in reports'),
  WORKER_LOST_AFTER: duration('a worker that gives no sign of life for so long is lost', '90s', ['5s', '1h']),
  PLAN_TIMEOUT: duration('a plan that takes longer is canceled', '1h', ['1s', '20d']),
  APPLY_TIMEOUT: duration('an apply that takes longer is canceled', '24h', ['1s', '20d']),
  RUN_ENV: list('names and patterns of variables that Terraform inherits').default([]),
  PLAN_ENV: list('the same for speculative plans').default([]),
  SANDBOX: z
    .enum(['auto', 'required', 'off'], { error: 'must be auto, required or off' })
    .default('auto')
    .describe('whether Terraform runs in a sandbox'),
  SANDBOX_PATHS: list('paths that Terraform sees in its sandbox beside the system').default([]),
  RUN_PROCESSES: number('processes and threads that a run may have', { min: 16, max: 1_000_000 }).default(512),
  RUN_MEMORY: size('memory that a run may use', '2GiB', 1024 ** 2),
  RUN_DISK: size('disk space that a run may use', '4GiB', 1024 ** 2),
  RUN_OUTPUT: size("how much of a stage's output is kept", '64MiB', 1024 ** 2),
  TERRAFORM_RELEASES_URL: z
    .url({ protocol: /^https?$/, error: 'must be an http or https address' })
    .default('https://releases.hashicorp.com')
    .describe("where Terraform is downloaded from when it isn't on the PATH"),
  GIT_PATIENCE: duration('how long a run waits for a git host that is away before it fails; 0: not at all', '15m'),
  KEEP_OUTPUT_DAYS: number("how long Terraform's output is kept after its run has ended; 0: for ever", {
    max: 36_500,
  }).default(90),
  KEEP_PLAN_DAYS: number('the same for plan files', { max: 36_500 }).default(30),
  KEEP_STATE_VERSIONS: number('how many state versions of a workspace are kept at least; 0: all', {
    max: 1_000_000,
  }).default(100),
  KEEP_SNAPSHOT_DAYS: number('how long state that the record did not take is kept on disk; 0: for ever', {
    max: 36_500,
  }).default(90),
  MIRRORS_MAX_SIZE: size('how large the mirrors of repositories may become together; 0: any size', '10G'),
  PROVIDERS_MAX_SIZE: size('how large the cache of providers may become; 0: any size', '10G'),
  GITHUB_CONTENT_PER_MINUTE: number('check runs and comments written per minute and installation at most', {
    min: 1,
    max: 10_000,
  }).default(80),
  GITHUB_CONTENT_PER_HOUR: number('the same per hour', { min: 1, max: 15_000 }).default(500),
});

export type Role = 'web' | 'worker';

export interface AppCredentials {
  id: number;
  privateKey: string;
  webhookSecret: string;
}

/** The App's own OAuth client, by which people sign in. */
export interface ClientCredentials {
  id: string;
  secret: string;
}

export interface Config {
  /** Undefined: no credentials at all, so the set-up page is shown; or a worker, which needs none. */
  app: AppCredentials | undefined;
  /** Undefined: nobody can sign in, so the pages show nothing. */
  client: ClientCredentials | undefined;
  roles: Role[];
  /** Base address of GitHub's pages and of git, without a slash at its end. */
  githubUrl: string;
  /** Base address of GitHub's REST API, without a slash at its end. */
  githubApiUrl: string;
  host: string | undefined;
  port: number;
  publicUrl: string | undefined;
  metricsToken: string | undefined;
  logLevel: 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';
  logFormat: 'pretty' | 'json';
  /** Absolute. */
  dataDirectory: string;
  databaseUrl: string | undefined;
  redisUrl: string | undefined;
  encryptionKey: Buffer | undefined;
  workerSlots: number;
  workerName: string;
  /** In ms, as the next two. */
  workerLostAfter: number;
  planTimeout: number;
  applyTimeout: number;
  runEnv: string[];
  planEnv: string[];
  sandbox: 'auto' | 'required' | 'off';
  /** Absolute. */
  sandboxPaths: { path: string; writable: boolean }[];
  /** Where the App's key is, if it is in a file. Absolute. */
  privateKeyPath: string | undefined;
  limits: RunLimits;
  terraformReleasesUrl: string;
  /** In ms. */
  gitPatience: number;
  /** 0: for ever, and so for the ones below. */
  keepOutputDays: number;
  keepPlanDays: number;
  keepStateVersions: number;
  keepSnapshotDays: number;
  /** In bytes; 0: any size. */
  mirrorsMaxSize: number;
  providersMaxSize: number;
  githubContentPerMinute: number;
  githubContentPerHour: number;
}

/** What is wrong with the environment: one line a variable, fit for stderr. */
export class ConfigError extends Error {
  constructor(readonly lines: string[]) {
    super(lines.join('\n'));
    this.name = 'ConfigError';
  }
}

/** Reads the configuration from `env`. Empty variables count as not set. Throws ConfigError. */
export function readConfig(env: NodeJS.ProcessEnv): Config {
  const given = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''));
  const parsed = variables.safeParse(given);
  if (!parsed.success) {
    const lines = parsed.error.issues.map((issue) => `${String(issue.path[0])} ${issue.message}`);
    throw new ConfigError([...new Set(lines)]);
  }
  const v = parsed.data;
  const problems: string[] = [];
  const check = <T>(read: () => T): T | undefined => {
    try {
      return read();
    } catch (error) {
      problems.push(error instanceof Error ? error.message : String(error));
      return undefined;
    }
  };

  const roles = check(() => readRoles(v.ROLES)) ?? [];
  const app = roles.includes('web') ? check(() => readApp(v)) : undefined;
  const client = roles.includes('web') ? check(() => readClient(v)) : undefined;
  const sandboxPaths = check(() => v.SANDBOX_PATHS.map(readSandboxPath)) ?? [];
  const encryptionKey = check(() => readKey(v.ENCRYPTION_KEY));
  for (const [name, patterns] of [['RUN_ENV', v.RUN_ENV] as const, ['PLAN_ENV', v.PLAN_ENV] as const]) {
    for (const pattern of patterns) {
      const reason = refusedPattern(pattern);
      if (reason) problems.push(`${name} may not name ${pattern}: ${reason}`);
    }
  }
  if (roles.length === 1) {
    const [role, other] = roles[0] === 'web' ? ['web', 'workers'] : ['a worker', 'web'];
    if (!v.DATABASE_URL) {
      problems.push(`DATABASE_URL is not set: ${role} on its own needs a record that ${other} can use too`);
    }
    if (!v.ENCRYPTION_KEY) {
      problems.push(`ENCRYPTION_KEY is not set: ${role} on its own needs a key that ${other} can use too`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);

  const githubUrl = v.GHE_HOST ? `${v.GHE_PROTOCOL}://${v.GHE_HOST}` : 'https://github.com';
  return {
    app,
    client,
    roles,
    githubUrl,
    githubApiUrl: v.GHE_HOST ? `${githubUrl}/api/v3` : 'https://api.github.com',
    host: v.HOST,
    port: v.PORT,
    publicUrl: v.PUBLIC_URL?.replace(/\/+$/, ''),
    metricsToken: v.METRICS_TOKEN,
    logLevel: v.LOG_LEVEL,
    logFormat: v.LOG_FORMAT ?? (process.stdout.isTTY ? 'pretty' : 'json'),
    dataDirectory: resolve(v.DATA_DIR),
    databaseUrl: v.DATABASE_URL,
    redisUrl: v.REDIS_URL,
    encryptionKey,
    workerSlots: v.WORKER_SLOTS,
    workerName: v.WORKER_NAME,
    workerLostAfter: v.WORKER_LOST_AFTER,
    planTimeout: v.PLAN_TIMEOUT,
    applyTimeout: v.APPLY_TIMEOUT,
    runEnv: v.RUN_ENV,
    planEnv: v.PLAN_ENV,
    sandbox: v.SANDBOX,
    sandboxPaths,
    privateKeyPath: v.PRIVATE_KEY_PATH === undefined ? undefined : resolve(v.PRIVATE_KEY_PATH),
    limits: { processes: v.RUN_PROCESSES, memory: v.RUN_MEMORY, disk: v.RUN_DISK, output: v.RUN_OUTPUT },
    terraformReleasesUrl: v.TERRAFORM_RELEASES_URL.replace(/\/+$/, ''),
    gitPatience: v.GIT_PATIENCE,
    keepOutputDays: v.KEEP_OUTPUT_DAYS,
    keepPlanDays: v.KEEP_PLAN_DAYS,
    keepStateVersions: v.KEEP_STATE_VERSIONS,
    keepSnapshotDays: v.KEEP_SNAPSHOT_DAYS,
    mirrorsMaxSize: v.MIRRORS_MAX_SIZE,
    providersMaxSize: v.PROVIDERS_MAX_SIZE,
    githubContentPerMinute: v.GITHUB_CONTENT_PER_MINUTE,
    githubContentPerHour: v.GITHUB_CONTENT_PER_HOUR,
  };
}

/** Name and meaning of each variable, for the README's table and the test that compares the two. */
export function describeVariables(): { name: string; meaning: string }[] {
  return Object.entries(variables.shape).map(([name, schema]) => {
    const inner: { description?: string | undefined } = 'unwrap' in schema ? schema.unwrap() : schema;
    return { name, meaning: schema.description ?? inner.description ?? '' };
  });
}

function readApp(v: z.infer<typeof variables>): AppCredentials | undefined {
  if (v.APP_ID === undefined && v.PRIVATE_KEY === undefined && v.PRIVATE_KEY_PATH === undefined) return undefined;
  if (v.APP_ID === undefined) throw new Error('APP_ID is not set, though a private key is');
  if (v.WEBHOOK_SECRET === undefined) {
    throw new Error(
      'WEBHOOK_SECRET is not set: without it anyone could forge webhooks; set the secret that the App has on GitHub',
    );
  }
  return { id: v.APP_ID, privateKey: readPrivateKey(v), webhookSecret: v.WEBHOOK_SECRET };
}

function readClient({ GITHUB_CLIENT_ID: id, GITHUB_CLIENT_SECRET: secret }: z.infer<typeof variables>) {
  if (id === undefined && secret === undefined) return undefined;
  if (id === undefined) throw new Error('GITHUB_CLIENT_ID is not set, though GITHUB_CLIENT_SECRET is');
  if (secret === undefined) throw new Error('GITHUB_CLIENT_SECRET is not set, though GITHUB_CLIENT_ID is');
  return { id, secret };
}

function readPrivateKey(v: z.infer<typeof variables>): string {
  const name = v.PRIVATE_KEY === undefined ? 'PRIVATE_KEY_PATH' : 'PRIVATE_KEY';
  let key = v.PRIVATE_KEY?.replaceAll('\\n', '\n');
  if (key === undefined) {
    if (v.PRIVATE_KEY_PATH === undefined)
      throw new Error('PRIVATE_KEY is not set (nor PRIVATE_KEY_PATH), though APP_ID is');
    try {
      key = readFileSync(v.PRIVATE_KEY_PATH, 'utf8');
    } catch (error) {
      const { code = 'error' } = error as NodeJS.ErrnoException;
      throw new Error(`PRIVATE_KEY_PATH names ${v.PRIVATE_KEY_PATH}, which can't be read (${code})`);
    }
  }
  if (!key.includes('-----BEGIN')) key = Buffer.from(key, 'base64').toString('utf8');
  if (!isPrivateKey(key)) throw new Error(`${name} is not a private key in PEM`);
  return key;
}

/** Whether it can be signed with: a key that lost its line ends, or its second half, looks like one too. */
function isPrivateKey(pem: string): boolean {
  if (!/-----BEGIN (RSA )?PRIVATE KEY-----/.test(pem)) return false;
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    return false;
  }
}

function readRoles(roles: string[]): Role[] {
  const unknown = roles.filter((role) => role !== 'web' && role !== 'worker');
  if (unknown.length > 0 || roles.length === 0) throw new Error('ROLES must be web, worker or web,worker');
  return [...new Set(roles)] as Role[];
}

function readKey(text: string | undefined): Buffer | undefined {
  if (text === undefined) return undefined;
  const key = Buffer.from(text, /^[0-9a-f]{64}$/i.test(text) ? 'hex' : 'base64');
  if (key.length !== 32)
    throw new Error('ENCRYPTION_KEY must be 32 bytes: 64 hexadecimal digits, or base64 (openssl rand -hex 32)');
  return key;
}

/** Read-only, unless `:rw` stands at its end. */
function readSandboxPath(text: string): { path: string; writable: boolean } {
  const writable = text.endsWith(':rw');
  const path = normalize(writable ? text.slice(0, -3) : text);
  if (!isAbsolute(path)) throw new Error(`SANDBOX_PATHS has ${text}, which is no absolute path`);
  if (/^\/((proc|sys|dev)(\/|$)|$)/.test(path)) {
    throw new Error(`SANDBOX_PATHS has ${text}, which would take the sandbox away`);
  }
  return { path, writable };
}

function number(meaning: string, { min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number }) {
  const error =
    max === Number.MAX_SAFE_INTEGER
      ? `must be a whole number from ${min}`
      : `must be a whole number from ${min} to ${max}`;
  return z.coerce.number({ error }).int({ error }).min(min, { error }).max(max, { error }).describe(meaning);
}

function list(meaning: string) {
  return z
    .string()
    .transform((text) => text.split(/[\s,]+/).filter((item) => item !== ''))
    .describe(meaning);
}

/** In ms. */
function duration(meaning: string, byDefault: string, [least, most]: [string, string] = ['0s', '365d']) {
  const parse = (text: string) => {
    const ms = parseDuration(text);
    const [min = 0, max = 0] = [least, most].map(parseDuration);
    return ms === undefined || ms < min || ms > max ? undefined : ms;
  };
  return measure(meaning, byDefault, parse, `must be a time from ${least} to ${most}, such as 90s, 15m or 2h`);
}

/** In bytes. */
function size(meaning: string, byDefault: string, least = 0) {
  const parse = (text: string) => {
    const bytes = parseSize(text);
    return bytes === undefined || bytes < least ? undefined : bytes;
  };
  const error = `must be a size${least > 0 ? ' of 1MiB or more' : ''}, such as 2GiB, 512MiB or a number of bytes`;
  return measure(meaning, byDefault, parse, error);
}

function measure(meaning: string, byDefault: string, parse: (text: string) => number | undefined, error: string) {
  return z
    .string()
    .default(byDefault)
    .transform((text, context) => {
      const value = parse(text);
      if (value === undefined) context.addIssue({ code: 'custom', message: error });
      return value ?? z.NEVER;
    })
    .describe(meaning);
}
