/** Serialises a JSON value so that two values have the same text exactly if they mean the same. */
export type Canonical = (value: unknown) => string;

/**
 * Object keys are sorted (never rebuilt into an object, where `__proto__` would get lost); arrays keep their order.
 * In strings and keys every replacement's text stands for the pattern: what differs between two plans of the same
 * thing. A pattern is replaced where it isn't part of a longer word.
 */
export function canonicalForm(replacements: readonly { pattern: string; by: string }[]): Canonical {
  const rules = replacements.map(({ pattern, by }) => {
    const literal = pattern.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
    return { pattern, by, regex: new RegExp(`(?<![\\w.-])${literal}(?![\\w-])`, 'g') };
  });
  const text = (raw: string): string => {
    let normal = raw;
    for (const { pattern, by, regex } of rules)
      if (normal.includes(pattern)) normal = normal.replaceAll(regex, () => by);
    return JSON.stringify(normal);
  };
  const canonical = (value: unknown): string => {
    if (typeof value === 'string') return text(value);
    if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
    if (typeof value !== 'object' || value === null) return JSON.stringify(value ?? null);
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .map(([key, member]) => [text(key), canonical(member)] as const);
    return `{${members
      .sort(([a], [b]) => compare(a, b))
      .map(([key, member]) => `${key}:${member}`)
      .join(',')}}`;
  };
  return canonical;
}

/** By code units: the same on every machine, whatever its locale. */
export function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
