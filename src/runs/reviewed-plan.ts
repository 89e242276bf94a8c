import { createHmac } from 'node:crypto';
import { type Canonical, canonicalForm, compare } from './canonical.js';
import type { ConfigurationPart, Hash, Hashes, PlanParts, ResourcePart } from './plan-parts.js';

export { type Difference, differences } from './plan-differences.js';
export type { ConfigurationPart, PlanParts, ResourcePart } from './plan-parts.js';

export interface PlanFacts {
  /** What `terraform show -json` says of the plan; any shape is taken. */
  plan: unknown;
  /**
   * Directory, from the root module's → hash of all files in it, for every resolved module. The root module `.` is not optional: the plan's
   * JSON has neither locals nor the text of an interpolated expression, only what it refers to, so a provisioner's
   * `echo ${var.x}` can become anything that refers to `var.x` without another trace.
   */
  moduleHashes: { '.': string; [directory: string]: string };
  lockFileHash: string | undefined;
  /** Name → fingerprint of each workspace variable of the run. */
  variables: Readonly<Record<string, string>>;
  /** The absolute path where this plan was made. */
  workingDirectory: string;
  /** Keys the hashes (16 bytes at least): a secret of few possible values could be guessed from a plain hash. */
  key: Buffer;
}

export interface ReviewedPlan {
  /** Binds an approval: equal for two plans exactly if `differences` finds none. */
  digest: string;
  /** May be stored as JSON, in clear: addresses, actions and keyed hashes, no values. */
  parts: PlanParts;
}

/**
 * Takes apart what was reviewed: resource and output changes, the whole configuration (where provisioners are), input
 * values, variables, lock file and module contents. Two plans of the same thing get the same digest wherever and
 * whenever they were made: order that means nothing, the working directory and the plan's own time (which
 * `plantimestamp()` puts into values) don't count.
 *
 * @throws RangeError if the key is shorter than 16 bytes
 */
export function reviewedPlan(facts: PlanFacts): ReviewedPlan {
  if (facts.key.length < 16) throw new RangeError('the key must have at least 16 bytes');
  const plan = record(facts.plan);
  const canonical = canonicalForm(incidental(facts.workingDirectory, plan.timestamp));
  // The label keeps equal values at two places from having equal hashes.
  const hash = (label: string, value: unknown): Hash => hmac(facts.key, `${label}\0${canonical(value)}`);
  const hashes = (label: string, values: object): Hashes =>
    fromEntries(Object.entries(values).map(([name, value]) => [name, hash(`${label} ${name}`, value)]));

  const changes = sorted(plan.resource_changes, canonical, (change) => withSorted(change, 'replace_paths', canonical));
  const configuration = sortedConfiguration(plan.configuration, canonical);
  const parts: PlanParts = {
    version: 1,
    sections: {
      resources: hash('resources', changes),
      outputs: hash('outputs', plan.output_changes),
      configuration: hash('configuration', configuration),
      inputs: hash('inputs', plan.variables),
    },
    resources: resourceParts(changes, hash, hashes),
    outputs: fromEntries(
      Object.entries(record(plan.output_changes)).map(([name, change]) => [
        name,
        { action: actionOf(record(change).actions), hash: hash(`output ${name}`, change) },
      ]),
    ),
    configuration: configurationParts(configuration, hash),
    inputs: hashes('input', record(plan.variables)),
    variables: hashes('variable', facts.variables),
    lockFile: facts.lockFileHash === undefined ? null : hash('lock file', facts.lockFileHash),
    modules: hashes('module', facts.moduleHashes),
  };
  return { digest: hmac(facts.key, canonicalForm([])(parts)), parts };
}

type Hasher = (label: string, value: unknown) => Hash;

/** What a plan says of where and when it was made. NUL can't stand in a path or a time. */
function incidental(workingDirectory: string, timestamp: unknown): { pattern: string; by: string }[] {
  const directory = workingDirectory.replace(/\/+$/, '');
  const replacements = directory === '' ? [] : [{ pattern: directory, by: '\0working directory\0' }];
  if (typeof timestamp === 'string' && timestamp !== '') replacements.push({ pattern: timestamp, by: '\0plan time\0' });
  return replacements;
}

function resourceParts(changes: unknown, hash: Hasher, hashes: (label: string, values: object) => Hashes) {
  return fromEntries(
    list(changes).map((entry) => {
      const resource = record(entry);
      const deposed = resource.deposed === undefined ? '' : ` (deposed ${text(resource.deposed)})`;
      const address = `${text(resource.address)}${deposed}`;
      const change = record(resource.change);
      const action = actionOf(change.actions);
      const part: ResourcePart = { action, hash: hash(`resource ${address}`, entry) };
      if (action !== 'no-op') part.attributes = hashes(`attribute ${address}`, attributesOf(change));
      return [address, part];
    }),
  );
}

/** Attribute → everything that the change says of it. */
function attributesOf(change: Record<string, unknown>): object {
  const sides = ['before', 'after', 'after_unknown', 'before_sensitive', 'after_sensitive'].map((s) =>
    record(change[s]),
  );
  const names = new Set(sides.flatMap((side) => Object.keys(side)));
  return fromEntries([...names].map((name) => [name, sides.map((side) => own(side, name))]));
}

/** Terraform's action in the word that its output has for it. */
function actionOf(actions: unknown): string {
  const names = list(actions).map(text);
  const both = names.includes('create') && names.includes('delete');
  return both ? 'replace' : names.join(' and ') || 'unknown';
}

/** Each resource, module call, output, variable and provider of the configuration by its address. */
function configurationParts(configuration: unknown, hash: Hasher): Record<string, ConfigurationPart> {
  const parts: [string, ConfigurationPart][] = [];
  const add = (address: string, value: unknown, provisioners?: unknown) => {
    const part: ConfigurationPart = { arguments: hash(`configuration ${address}`, value) };
    if (provisioners !== undefined) part.provisioners = hash(`provisioners ${address}`, provisioners);
    parts.push([address, part]);
  };
  const addModule = (prefix: string, module: Record<string, unknown>) => {
    for (const resource of list(module.resources).map(record)) {
      const { provisioners, ...rest } = resource;
      add(`${prefix}${text(resource.address)}`, rest, provisioners);
    }
    for (const [name, value] of Object.entries(record(module.outputs))) add(`${prefix}output.${name}`, value);
    for (const [name, value] of Object.entries(record(module.variables))) add(`${prefix}var.${name}`, value);
    for (const [name, value] of Object.entries(record(module.module_calls))) {
      const { module: called, ...call } = record(value);
      add(`${prefix}module.${name}`, call);
      addModule(`${prefix}module.${name}.`, record(called));
    }
  };
  const { provider_config, root_module } = record(configuration);
  for (const [name, value] of Object.entries(record(provider_config))) add(`provider.${name}`, value);
  addModule('', record(root_module));
  return fromEntries(parts);
}

/** The resources of a module stand in the order in which their files were read. */
function sortedConfiguration(configuration: unknown, canonical: Canonical): unknown {
  const sortModule = (module: unknown): unknown => {
    if (!isRecord(module)) return module;
    const copy = { ...module };
    if (Array.isArray(copy.resources)) copy.resources = sorted(copy.resources, canonical);
    if (isRecord(copy.module_calls)) {
      copy.module_calls = fromEntries(
        Object.entries(copy.module_calls).map(([name, call]) =>
          isRecord(call) && 'module' in call ? [name, { ...call, module: sortModule(call.module) }] : [name, call],
        ),
      );
    }
    return copy;
  };
  if (!isRecord(configuration) || !('root_module' in configuration)) return configuration;
  return { ...configuration, root_module: sortModule(configuration.root_module) };
}

function withSorted(entry: unknown, key: string, canonical: Canonical): unknown {
  if (!isRecord(entry) || !isRecord(entry.change) || !Array.isArray(entry.change[key])) return entry;
  return { ...entry, change: { ...entry.change, [key]: sorted(entry.change[key], canonical) } };
}

function sorted(value: unknown, canonical: Canonical, prepare: (item: unknown) => unknown = (item) => item): unknown {
  if (!Array.isArray(value)) return value;
  const items = value.map(prepare).map((item) => ({ item, text: canonical(item) }));
  return items.sort((a, b) => compare(a.text, b.text)).map(({ item }) => item);
}

function hmac(key: Buffer, text: string): Hash {
  return createHmac('sha256', key).update(text).digest('base64url');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function record(value: unknown): Record<string, unknown> {
  return isRecord(value) ? value : {};
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

/** Of a string itself: an object from JSON may have a `toString` that is no function. */
function text(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

function own(value: Record<string, unknown>, key: string): unknown {
  return Object.hasOwn(value, key) ? value[key] : null;
}

function fromEntries<T>(entries: (readonly [string, T])[]): Record<string, T> {
  return Object.fromEntries([...entries].sort(([a], [b]) => compare(a, b)));
}
