const DURATIONS: Readonly<Record<string, number>> = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };
const SIZES: Readonly<Record<string, number>> = { k: 1024, m: 1024 ** 2, g: 1024 ** 3, t: 1024 ** 4 };

/** '90s', '15m', '1h' or '2d' in milliseconds; a bare number is seconds. Undefined for anything else. */
export function parseDuration(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d{1,9})\s*(s|m|min|h|d)?$/i.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  return Number(number) * (DURATIONS[unit.slice(0, 1).toLowerCase() || 's'] ?? 0);
}

/** '512M', '1.5G' or '10 GiB' in bytes, always by 1,024; a bare number is bytes. Undefined for anything else. */
export function parseSize(text: string): number | undefined {
  const [, number, unit = ''] = /^(\d{1,15}(?:\.\d{1,3})?)\s*(?:([kmgt])(?:i?b)?)?$/i.exec(text.trim()) ?? [];
  if (number === undefined) return undefined;
  return Math.round(Number(number) * (unit === '' ? 1 : (SIZES[unit.toLowerCase()] ?? 0)));
}

/** '30 seconds', '15 minutes', '1 hour 30 minutes': `ms` to the second, in at most two units. */
export function describeDuration(ms: number): string {
  let left = Math.round(ms / 1_000);
  const parts: string[] = [];
  for (const [unit, seconds] of [
    ['day', 86_400],
    ['hour', 3_600],
    ['minute', 60],
    ['second', 1],
  ] as const) {
    const count = Math.floor(left / seconds);
    left -= count * seconds;
    if (count > 0) parts.push(`${count} ${unit}${count === 1 ? '' : 's'}`);
  }
  return parts.slice(0, 2).join(' ') || '0 seconds';
}
