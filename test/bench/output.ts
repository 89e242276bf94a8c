import { execFileSync } from 'node:child_process';
import { cpus, totalmem } from 'node:os';

export function print(text = ''): void {
  process.stdout.write(`${text}\n`);
}

/** A table in plain text: the first column to the left, the others, which hold figures, to the right. */
export function printTable(header: readonly string[], rows: readonly (readonly string[])[]): void {
  const all = [header, ...rows];
  const widths = header.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]) =>
    row.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0)));
  const rule = widths.map((width) => '─'.repeat(width));
  for (const row of [line(header), rule, ...rows.map(line)]) print(`  ${row.join('  ').trimEnd()}`);
}

export function ms(value: number): string {
  if (Number.isNaN(value)) return '–';
  return value < 10 ? value.toFixed(1) : value.toFixed(0);
}

export function ratio(value: number): string {
  return Number.isFinite(value) ? `${value.toFixed(2)}×` : '–';
}

/** What the figures were measured on. */
export function describeMachine(): string {
  const [processor] = cpus();
  const terraform = execFileSync('terraform', ['version', '-json'], {
    encoding: 'utf8',
    env: { PATH: process.env.PATH, CHECKPOINT_DISABLE: '1' },
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  const { terraform_version: version } = JSON.parse(terraform) as { terraform_version: string };
  return [
    `${cpus().length} cores (${processor?.model.trim() ?? 'unknown'}), ${(totalmem() / 1024 ** 3).toFixed(0)} GiB`,
    `Node ${process.versions.node}`,
    `Terraform ${version}`,
  ].join(' · ');
}
