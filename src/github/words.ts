/** Text that isn't ours, in one line of Markdown: in code, where nothing in it means anything. */
export function code(text: string): string {
  const line = text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll('`', "'")
    .trim();
  return line === '' ? '–' : `\`${line.length > 100 ? `${line.slice(0, 100)}…` : line}\``;
}

export function shortSha(sha: string): string {
  return sha.slice(0, 7);
}

/** 'a', 'a and b', 'a, b and c'. */
export function enumerate(items: readonly string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
