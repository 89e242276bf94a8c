/** Where Terraform's `http` backend finds the state, and how it proves who it is. */
export interface StateAddress {
  address: string;
  lockAddress: string;
  unlockAddress: string;
  username: string;
  password: string;
}

export interface EnvironmentOptions {
  /** Names that runs may inherit, each exact (`AWS_PROFILE`) or a beginning with a star (`AWS_*`). */
  runEnv: readonly string[];
  /** The environment to inherit from: usually `process.env`. */
  from: Readonly<Record<string, string | undefined>>;
  home: string;
  tmp: string;
  pluginCacheDir?: string;
  state?: StateAddress;
  /** Further variables, like the workspace's own. */
  extra?: Readonly<Record<string, string>>;
}

export interface TerraformEnvironment {
  /** The whole environment of one run. */
  environment: Record<string, string>;
  /** What must never be shown of it, longest first: replace each by `***` wherever it occurs. */
  masked: string[];
}

/** A name or pattern that runs must not have in their environment. */
export class RefusedVariableError extends Error {
  override name = 'RefusedVariableError';
}

/** Passed on as they are, because every program expects them. */
const COMMON = ['LANG', 'LC_ALL', 'LC_CTYPE', 'TZ', 'SSL_CERT_FILE', 'SSL_CERT_DIR'];
const PROXIES = ['HTTP_PROXY', 'HTTPS_PROXY', 'NO_PROXY', 'http_proxy', 'https_proxy', 'no_proxy'];

/** What of Terraform's own variables a user may set: everything else of `TF_*` changes what a command does. */
const TERRAFORM_ALLOWED = ['TF_VAR_*', 'TF_TOKEN_*', 'TF_REGISTRY_*', 'TF_APPEND_USER_AGENT'];

/** The App's own secrets. */
const SECRETS = [
  'APP_ID',
  'PRIVATE_KEY*',
  'WEBHOOK_SECRET',
  'GITHUB_CLIENT_SECRET',
  'DATABASE_URL',
  'REDIS_URL',
  'ENCRYPTION_KEY',
  'METRICS_TOKEN',
];

/** What changes how Terraform, git, the dynamic linker, Node or a shell behave, and what we set ourselves. */
const PROTECTED = [
  ...SECRETS,
  'TF_*',
  'GIT_*',
  'LD_*',
  'DYLD_*',
  'NODE_*',
  'SIGNALBOX_*',
  'BASH_ENV',
  'ENV',
  'IFS',
  'SHELLOPTS',
  'PATH',
  'HOME',
  'TMPDIR',
  'CHECKPOINT_DISABLE',
];

/** Values shorter than this would mask half of an ordinary text. In characters. */
const SHORTEST_MASKED = 6;

/** Variables that hold no secret although the same pattern lets them in: masking `eu-west-1` would hide too much. */
const HARMLESS = /(_|^)(REGION|LOCATION|ZONE|PROFILE|PROJECT|ENVIRONMENT|OUTPUT|PAGER|USE_MSI|USE_OIDC|USE_CLI)$/;

/**
 * Says why a pattern of `RUN_ENV` is not accepted.
 *
 * @returns one sentence, or `undefined` when the pattern is fine
 */
export function refusedPattern(pattern: string): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_]*\*?$|^\*$/.test(pattern)) {
    return `"${pattern}" is neither a variable's name nor the beginning of one followed by *.`;
  }
  if (TERRAFORM_ALLOWED.some((allowed) => covers(allowed, pattern))) return undefined;
  const hit = PROTECTED.find((name) => overlap(pattern, name));
  return hit === undefined ? undefined : `"${pattern}" would let in ${hit}, which runs must not have.`;
}

/**
 * Says why a single variable is not accepted in a run's environment.
 *
 * @returns one sentence, or `undefined` when it is fine
 */
export function refusedVariable(name: string): string | undefined {
  if (!/^[A-Za-z_][A-Za-z0-9_]*$/.test(name)) return `"${name}" is not a variable's name.`;
  if (TERRAFORM_ALLOWED.some((allowed) => covers(allowed, name))) return undefined;
  const hit = PROTECTED.find((pattern) => covers(pattern, name));
  return hit === undefined ? undefined : `"${name}" can't be set for runs: it is reserved.`;
}

/**
 * Builds a run's environment from nothing: what Terraform needs, what the operator lets in, what the caller adds. `GOGC=400`
 * saves a quarter of a small run's time (measured); eight retries of the state backend bridge two minutes.
 *
 * @throws RefusedVariableError for a pattern or a variable that is refused
 */
export function terraformEnvironment(options: EnvironmentOptions): TerraformEnvironment {
  const { runEnv, from, home, tmp, pluginCacheDir, state, extra = {} } = options;
  for (const problem of [...runEnv.map(refusedPattern), ...Object.keys(extra).map(refusedVariable)]) {
    if (problem !== undefined) throw new RefusedVariableError(problem);
  }
  const inherited = pick(from, [...COMMON, ...PROXIES]);
  const letIn = pick(from, runEnv);
  const environment: Record<string, string> = {
    ...inherited,
    GOGC: '400',
    ...letIn,
    ...extra,
    PATH: from.PATH ?? '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
    HOME: home,
    TMPDIR: tmp,
    CHECKPOINT_DISABLE: '1',
    TF_IN_AUTOMATION: '1',
    TF_INPUT: '0',
    ...(pluginCacheDir !== undefined && { TF_PLUGIN_CACHE_DIR: pluginCacheDir }),
    ...(state && {
      TF_HTTP_ADDRESS: state.address,
      TF_HTTP_LOCK_ADDRESS: state.lockAddress,
      TF_HTTP_UNLOCK_ADDRESS: state.unlockAddress,
      TF_HTTP_USERNAME: state.username,
      TF_HTTP_PASSWORD: state.password,
      TF_HTTP_RETRY_MAX: '8',
    }),
  };
  const masked = [
    ...Object.entries(letIn).flatMap(([name, value]) => secretsIn(name, value)),
    ...PROXIES.flatMap((name) => passwordIn(inherited[name] ?? '')),
    ...(state ? spellings(state.password) : []),
  ];
  return { environment, masked: [...new Set(masked)].sort((a, b) => b.length - a.length) };
}

function pick(from: Readonly<Record<string, string | undefined>>, patterns: readonly string[]): Record<string, string> {
  const picked: Record<string, string> = {};
  for (const [name, value] of Object.entries(from)) {
    const wanted = patterns.some((pattern) => covers(pattern, name));
    if (value !== undefined && wanted && refusedVariable(name) === undefined) picked[name] = value;
  }
  return picked;
}

/** A value that a pattern let in, as it may turn up in a text. Paths are not secrets: what the file holds is. */
function secretsIn(name: string, value: string): string[] {
  if (HARMLESS.test(name) || value.startsWith('/') || value.length < SHORTEST_MASKED) return passwordIn(value);
  return [...spellings(value), ...passwordIn(value)];
}

/** A value as it is, line by line, and as it looks inside quotes. */
function spellings(value: string): string[] {
  const lines = value.includes('\n') ? value.split(/\r?\n/) : [];
  const all = [value, value.trim(), JSON.stringify(value).slice(1, -1), ...lines.map((line) => line.trim())];
  return all.filter((text, at) => text.length >= SHORTEST_MASKED && all.indexOf(text) === at);
}

function passwordIn(url: string): string[] {
  if (!URL.canParse(url)) return [];
  const { password } = new URL(url);
  return password === '' ? [] : [password, decodeURIComponent(password)].filter((text) => text.length >= 3);
}

/** Whether `pattern` lets in everything that `name` (a name or a pattern) stands for. */
function covers(pattern: string, name: string): boolean {
  return pattern.endsWith('*') ? name.startsWith(pattern.slice(0, -1)) : pattern === name;
}

function overlap(a: string, b: string): boolean {
  return covers(a, b) || covers(b, a);
}
