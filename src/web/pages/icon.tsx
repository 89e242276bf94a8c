import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { raw } from 'hono/html';

const NAMES = [
  'alert',
  'arrow-right',
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
  'diff',
  'dot-fill',
  'feed-person',
  'file',
  'gear',
  'git-branch',
  'git-commit',
  'git-merge',
  'git-merge-queue',
  'git-pull-request',
  'history',
  'hourglass',
  'info',
  'iterations',
  'link-external',
  'lock',
  'mark-github',
  'person',
  'play',
  'repo',
  'search',
  'server',
  'sign-out',
  'skip',
  'stack',
  'stop',
  'sync',
  'trash',
  'unlock',
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
