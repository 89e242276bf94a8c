/** Text that isn't ours, in one line of Markdown: in code, where nothing in it means anything. At most `max` characters. */
export function code(text: string, max = 100): string {
  const line = text
    .replace(/[\p{Cc}\p{Zl}\p{Zp}]+/gu, ' ')
    .replaceAll('`', "'")
    .trim();
  return line === '' ? '–' : `\`${line.length > max ? `${line.slice(0, max)}…` : line}\``;
}

export function shortSha(sha: string): string {
  return sha.slice(0, 7);
}

/** '2026-11-24 09:02:11 UTC'. */
export function moment(date: Date): string {
  return `${date.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}

/** 'a', 'a and b', 'a, b and c'. */
export function enumerate(items: readonly string[]): string {
  if (items.length < 2) return items.join('');
  return `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
}
