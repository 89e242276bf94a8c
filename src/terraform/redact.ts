/** What stands for a sensitive value. */
export const REDACTED = '(sensitive value)';

type Json = Record<string, unknown>;

/**
 * A plan's or state's `show -json` without its sensitive values: Terraform itself leaves them in. Covers sensitive variables and
 * their defaults, outputs, and what `*_sensitive` and `sensitive_values` mark in resources, drift and deferred changes.
 *
 * What a configuration writes out literally, and what a provider derives from a sensitive value without saying so, stays.
 *
 * @param shown the parsed JSON; not changed
 */
export function redact<T>(shown: T): T {
  if (!isObject(shown)) return shown;
  const copy: Json = { ...shown };
  const root = isObject(copy.configuration) ? copy.configuration.root_module : undefined;
  if (isObject(copy.variables)) {
    const declared = isObject(root) && isObject(root.variables) ? root.variables : {};
    copy.variables = mapValues(copy.variables, (variable, name) =>
      hideIf(isSensitive(declared[name]), variable, 'value'),
    );
  }
  for (const list of ['resource_changes', 'resource_drift']) {
    if (Array.isArray(copy[list])) copy[list] = copy[list].map(redactResourceChange);
  }
  if (Array.isArray(copy.deferred_changes)) {
    copy.deferred_changes = copy.deferred_changes.map((deferred) =>
      isObject(deferred) ? { ...deferred, resource_change: redactResourceChange(deferred.resource_change) } : deferred,
    );
  }
  if (isObject(copy.output_changes)) copy.output_changes = mapValues(copy.output_changes, redactChange);
  if (isObject(copy.planned_values)) copy.planned_values = redactValues(copy.planned_values);
  if (isObject(copy.values)) copy.values = redactValues(copy.values);
  if (isObject(copy.prior_state)) {
    const { values } = copy.prior_state;
    copy.prior_state = { ...copy.prior_state, ...(isObject(values) && { values: redactValues(values) }) };
  }
  if (isObject(copy.configuration) && isObject(root)) {
    copy.configuration = { ...copy.configuration, root_module: redactModule(root) };
  }
  return copy as T;
}

/**
 * A value with everything hidden that `marks` marks.
 *
 * @param marks `true` for all of it, or an object or list of marks in the value's own shape
 */
export function hideMarked(value: unknown, marks: unknown): unknown {
  if (marks === true) return value === null || value === undefined ? value : REDACTED;
  if (Array.isArray(value) && Array.isArray(marks)) return value.map((item, at) => hideMarked(item, marks[at]));
  if (isObject(value) && isObject(marks)) return mapValues(value, (item, key) => hideMarked(item, marks[key]));
  return value;
}

function redactResourceChange(entry: unknown): unknown {
  return isObject(entry) ? { ...entry, change: redactChange(entry.change) } : entry;
}

function redactChange(change: unknown): unknown {
  if (!isObject(change)) return change;
  const copy: Json = { ...change };
  if ('before' in copy) copy.before = hideMarked(copy.before, copy.before_sensitive);
  if ('after' in copy) copy.after = hideMarked(copy.after, copy.after_sensitive);
  return copy;
}

function redactValues(values: Json): Json {
  return {
    ...values,
    ...(isObject(values.outputs) && {
      outputs: mapValues(values.outputs, (output) => hideIf(isSensitive(output), output, 'value')),
    }),
    ...(isObject(values.root_module) && { root_module: redactResources(values.root_module) }),
  };
}

function redactResources(module: Json): Json {
  const copy: Json = { ...module };
  if (Array.isArray(copy.resources)) {
    copy.resources = copy.resources.map((resource) =>
      isObject(resource) ? { ...resource, values: hideMarked(resource.values, resource.sensitive_values) } : resource,
    );
  }
  if (Array.isArray(copy.child_modules)) {
    copy.child_modules = copy.child_modules.map((child) => (isObject(child) ? redactResources(child) : child));
  }
  return copy;
}

function redactModule(module: Json): Json {
  const copy: Json = { ...module };
  if (isObject(copy.variables)) {
    copy.variables = mapValues(copy.variables, (variable) => hideIf(isSensitive(variable), variable, 'default'));
  }
  if (isObject(copy.module_calls)) {
    copy.module_calls = mapValues(copy.module_calls, (call) =>
      isObject(call) && isObject(call.module) ? { ...call, module: redactModule(call.module) } : call,
    );
  }
  return copy;
}

function isSensitive(entry: unknown): boolean {
  return isObject(entry) && entry.sensitive === true;
}

function hideIf(sensitive: boolean, entry: unknown, key: string): unknown {
  return sensitive && isObject(entry) && key in entry ? { ...entry, [key]: hideMarked(entry[key], true) } : entry;
}

function mapValues(object: Json, map: (value: unknown, key: string) => unknown): Json {
  return Object.fromEntries(Object.entries(object).map(([key, value]) => [key, map(value, key)]));
}

function isObject(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
