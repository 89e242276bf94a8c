import { compare } from './canonical.js';
import type { ConfigurationPart, PlanParts, ResourcePart } from './plan-parts.js';

/** One thing in which a fresh plan differs from the reviewed one, in the terms of who reviewed it. */
export interface Difference {
  kind: 'resource' | 'output' | 'configuration' | 'variable' | 'lock-file' | 'module';
  /** As Terraform writes it; a module's directory; '' where the whole is meant. */
  address: string;
  /** The action then and now, where there is one. */
  was?: string;
  now?: string;
  /** The rest of a sentence that begins with the address. */
  detail: string;
}

/**
 * What differs, resources first, each kind by address. Empty exactly if the two have the same digest under one key;
 * under different keys everything seems to differ.
 */
export function differences(reviewed: PlanParts, fresh: PlanParts): Difference[] {
  if (reviewed.version !== fresh.version) {
    const detail = 'was reviewed in another version of Signalbox and cannot be compared';
    return [{ kind: 'configuration', address: '', detail }];
  }
  return [
    ...complete(reviewed, fresh, 'resources', 'resource', pairs(reviewed.resources, fresh.resources, resource)),
    ...complete(reviewed, fresh, 'outputs', 'output', pairs(reviewed.outputs, fresh.outputs, output)),
    ...complete(
      reviewed,
      fresh,
      'configuration',
      'configuration',
      pairs(reviewed.configuration, fresh.configuration, configuration),
    ),
    ...complete(
      reviewed,
      fresh,
      'inputs',
      'variable',
      pairs(reviewed.inputs, fresh.inputs, hashed('variable', 'var.')),
    ),
    ...pairs(reviewed.variables, fresh.variables, hashed('variable', '')),
    ...lockFile(reviewed.lockFile, fresh.lockFile),
    ...pairs(reviewed.modules, fresh.modules, module),
  ];
}

type Compare<T> = (address: string, was: T | undefined, now: T | undefined) => Difference;

function pairs<T>(reviewed: Record<string, T>, fresh: Record<string, T>, describe: Compare<T>): Difference[] {
  // A record from JSON may have a key such as `constructor`, or lack it and inherit it.
  const was = new Map(Object.entries(reviewed));
  const now = new Map(Object.entries(fresh));
  return [...new Set([...was.keys(), ...now.keys()])]
    .sort(compare)
    .filter((address) => !same(was.get(address), now.get(address)))
    .map((address) => describe(address, was.get(address), now.get(address)));
}

/** Hashes are what parts consist of, so that few levels are enough. */
function same(a: unknown, b: unknown): boolean {
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null) return a === b;
  const keys = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...keys].every((key) => same(member(a, key), member(b, key)));
}

function member(value: object, key: string): unknown {
  return Object.hasOwn(value, key) ? (value as Record<string, unknown>)[key] : undefined;
}

/** A section may differ in something that none of its parts shows, such as a shape that no Terraform writes today. */
function complete(
  reviewed: PlanParts,
  fresh: PlanParts,
  section: keyof PlanParts['sections'],
  kind: Difference['kind'],
  found: Difference[],
): Difference[] {
  if (found.length > 0 || reviewed.sections[section] === fresh.sections[section]) return found;
  return [{ kind, address: '', detail: `differs in the plan's ${section}` }];
}

function resource(address: string, was?: ResourcePart, now?: ResourcePart): Difference {
  const difference = { kind: 'resource', address, ...actions(was, now) } as const;
  if (!was) return { ...difference, detail: `is new in the plan, to ${verb(now)}` };
  if (!now) return { ...difference, detail: `was to ${verb(was)}, is no longer in the plan` };
  if (was.action !== now.action) return { ...difference, detail: `was to ${verb(was)}, is now to ${verb(now)}` };
  const names = pairs(was.attributes ?? {}, now.attributes ?? {}, hashed('resource', '')).map(({ address }) => address);
  return { ...difference, detail: names.length > 0 ? `has other values: ${few(names)}` : 'has other values' };
}

function output(name: string, was?: { action: string }, now?: { action: string }): Difference {
  const difference = { kind: 'output', address: `output.${name}`, ...actions(was, now) } as const;
  if (!was) return { ...difference, detail: `is new in the plan, to ${verb(now)}` };
  if (!now) return { ...difference, detail: `was to ${verb(was)}, is no longer in the plan` };
  if (was.action !== now.action) return { ...difference, detail: `was to ${verb(was)}, is now to ${verb(now)}` };
  return { ...difference, detail: 'has another value' };
}

function verb(part: { action: string } | undefined): string {
  return part === undefined || part.action === 'no-op' ? 'stay as it is' : part.action;
}

function actions(was?: { action: string }, now?: { action: string }): Pick<Difference, 'was' | 'now'> {
  return { ...(was && { was: was.action }), ...(now && { now: now.action }) };
}

function configuration(address: string, was?: ConfigurationPart, now?: ConfigurationPart): Difference {
  const difference = { kind: 'configuration', address } as const;
  if (!was) return { ...difference, detail: 'was added to the configuration' };
  if (!now) return { ...difference, detail: 'was removed from the configuration' };
  if (was.arguments === now.arguments)
    return { ...difference, detail: 'has other provisioners; its arguments are the same' };
  if (was.provisioners === now.provisioners) return { ...difference, detail: 'is configured otherwise' };
  return { ...difference, detail: 'is configured otherwise, and has other provisioners' };
}

function hashed(kind: Difference['kind'], prefix: string): Compare<string> {
  return (name, was, now) => {
    const detail = was === undefined ? 'is new' : now === undefined ? 'is gone' : 'has another value';
    return { kind, address: `${prefix}${name}`, detail };
  };
}

function lockFile(was: string | null, now: string | null): Difference[] {
  if (was === now) return [];
  const detail = was === null ? 'is new' : now === null ? 'is gone' : 'selects other providers or versions';
  return [{ kind: 'lock-file', address: '.terraform.lock.hcl', detail }];
}

function module(directory: string, was?: string, now?: string): Difference {
  const detail = was === undefined ? 'is a new module' : now === undefined ? 'is no longer used' : 'has other files';
  return { kind: 'module', address: directory, detail };
}

function few(names: string[]): string {
  return names.length <= 5 ? names.join(', ') : `${names.slice(0, 5).join(', ')} and ${names.length - 5} more`;
}
