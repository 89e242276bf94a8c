const DECLARATION = /(--[\w-]+)\s*:\s*([^;{}]*);/g;
const USE = /var\(\s*(--[\w-]+)/g;

/** Style sheets of custom properties, without those that neither `styles` nor another used one mentions. */
export function usedTokens(tokens: string, styles: string): string {
  const values = new Map<string, string[]>();
  for (const [, name = '', value = ''] of tokens.matchAll(DECLARATION)) {
    values.set(name, [...(values.get(name) ?? []), value]);
  }
  const used = new Set<string>();
  const visit = (text: string) => {
    for (const [, name = ''] of text.matchAll(USE)) {
      if (used.has(name)) continue;
      used.add(name);
      for (const value of values.get(name) ?? []) visit(value);
    }
  };
  visit(styles);
  return tokens
    .replaceAll(DECLARATION, (declaration, name: string) => (used.has(name) ? declaration : ''))
    .replaceAll(/\n{2,}/g, '\n');
}
