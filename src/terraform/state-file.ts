import { z } from 'zod';

/** What is known of a state snapshot without reading its values. */
export interface StateSummary {
  serial: number;
  lineage: string;
  terraformVersion: string;
  /** Managed resource instances: `count = 3` is three, data sources are none. */
  resources: number;
}

/** This is no state that Terraform could have written. */
export class StateFileError extends Error {
  override name = 'StateFileError';
}

const snapshot = z.object({
  version: z.literal(4),
  serial: z.number().int().nonnegative(),
  lineage: z.string(),
  terraform_version: z.string().default(''),
  resources: z.array(z.object({ mode: z.string(), instances: z.array(z.unknown()).nullish() })).nullish(),
});

/**
 * Reads a state snapshot (version 4, which Terraform has written since 0.12).
 *
 * @throws StateFileError
 */
export function readStateSummary(bytes: Buffer | string): StateSummary {
  let json: unknown;
  try {
    json = JSON.parse(bytes.toString());
  } catch {
    throw new StateFileError('The state is not JSON.');
  }
  const parsed = snapshot.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new StateFileError(`The state is not of version 4: ${issue?.path.join('.')}: ${issue?.message}`);
  }
  const { serial, lineage, terraform_version: terraformVersion, resources } = parsed.data;
  const managed = (resources ?? []).filter(({ mode }) => mode === 'managed');
  const count = managed.reduce((sum, { instances }) => sum + (instances?.length ?? 0), 0);
  return { serial, lineage, terraformVersion, resources: count };
}

/** What a state holds, by name alone: values stay where they are. */
export interface StateContents {
  terraformVersion: string;
  /** Resources, data sources among them, in the order of their addresses. */
  resources: StateResource[];
  /** In the order of their names. */
  outputs: { name: string; type: string; sensitive: boolean }[];
}

export interface StateResource {
  /** Without the index of an instance: `module.m["a"].aws_subnet.private`. */
  address: string;
  type: string;
  mode: 'managed' | 'data';
  /** How many there are: `count` and `for_each` make more or less than one. */
  instances: number;
}

/** Reads what a state holds, without its values. @throws StateFileError */
export function readStateContents(bytes: Buffer | string): StateContents {
  const { terraformVersion } = readStateSummary(bytes);
  const parsed = contents.safeParse(JSON.parse(bytes.toString()));
  if (!parsed.success) throw new StateFileError(`The state can't be read: ${parsed.error.issues[0]?.path.join('.')}`);
  const { resources, outputs } = parsed.data;
  return {
    terraformVersion,
    resources: (resources ?? [])
      .map(({ mode, module, type, name, instances }) => ({
        address: `${module ? `${module}.` : ''}${mode === 'data' ? 'data.' : ''}${type}.${name}`,
        type,
        mode,
        instances: instances?.length ?? 0,
      }))
      .sort((a, b) => (a.address < b.address ? -1 : 1)),
    outputs: Object.entries(outputs ?? {})
      .map(([name, { type, sensitive }]) => ({ name, type: typeName(type), sensitive: sensitive ?? false }))
      .sort((a, b) => (a.name < b.name ? -1 : 1)),
  };
}

/** Addresses of the managed resource instances in a state, as Terraform writes them. @throws StateFileError */
export function resourceAddresses(bytes: Buffer | string): Set<string> {
  readStateSummary(bytes);
  const { resources } = z.object({ resources: z.array(instances).nullish() }).parse(JSON.parse(bytes.toString()));
  return new Set(
    (resources ?? [])
      .filter(({ mode }) => mode === 'managed')
      .flatMap(({ module, type, name, instances }) =>
        (instances ?? []).map(
          ({ index_key }) => `${module ? `${module}.` : ''}${type}.${name}${index_key == null ? '' : index(index_key)}`,
        ),
      ),
  );
}

const instances = z.object({
  mode: z.string(),
  module: z.string().optional(),
  type: z.string(),
  name: z.string(),
  instances: z.array(z.object({ index_key: z.union([z.string(), z.number()]).nullish() })).nullish(),
});

const contents = z.object({
  resources: z
    .array(
      z.object({
        mode: z.enum(['managed', 'data']),
        module: z.string().optional(),
        type: z.string(),
        name: z.string(),
        instances: z.array(z.unknown()).nullish(),
      }),
    )
    .nullish(),
  outputs: z.record(z.string(), z.object({ type: z.unknown().optional(), sensitive: z.boolean().nullish() })).nullish(),
});

/** A state has `"string"`, `["list","string"]`, `["object",{…}]`: the word in front says enough. */
function typeName(type: unknown): string {
  const [word] = Array.isArray(type) ? type : [type];
  return typeof word === 'string' ? word : 'dynamic';
}

/** `[0]`, or a key in the quotes of HCL. */
function index(key: string | number): string {
  return typeof key === 'number' ? `[${key}]` : `[${JSON.stringify(key).replaceAll(/([$%])\{/g, '$1$1{')}]`;
}
