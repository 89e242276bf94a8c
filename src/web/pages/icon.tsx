import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { raw } from 'hono/html';

const NAMES = [
  'alert',
  'check',
  'check-circle',
  'check-circle-fill',
  'chevron-left',
  'chevron-right',
  'circle',
  'circle-slash',
  'clock',
  'comment',
  'database',
  'dot-fill',
  'feed-person',
  'file',
  'git-commit',
  'git-merge-queue',
  'git-pull-request',
  'hourglass',
  'lock',
  'mark-github',
  'person',
  'play',
  'repo',
  'search',
  'server',
  'skip',
  'stack',
  'stop',
  'sync',
  'x',
  'x-circle-fill',
] as const;
export type IconName = (typeof NAMES)[number];

const require = createRequire(import.meta.url);
const icons = new Map(NAMES.map((name) => [name, readFileSync(file(name), 'utf8')]));

function file(name: string): string {
  return require.resolve(`@primer/octicons/build/svg/${name}-16.svg`);
}

/** One of GitHub's icons. It is decoration: the word beside it says the same. */
export function Icon({ name, tone }: { name: IconName; tone?: string | undefined }) {
  const svg = icons.get(name) ?? '';
  return raw(svg.replace('<svg ', `<svg class="octicon${tone ? ` fg-${tone}` : ''}" aria-hidden="true" `));
}
