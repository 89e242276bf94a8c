/**
 * Run by `npm run build`, after tsc: puts dist/web/assets together. Of Primer's styles it takes the modules named here, and
 * of Primer's thousands of tokens those that they or our own styles use.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { usedTokens } from './tokens.js';

const PRIMER_MODULES = ['base', 'buttons', 'forms'];
const PRIMER_TOKENS = [
  'base/size/size',
  'base/typography/typography',
  'functional/size/border',
  'functional/size/radius',
  'functional/size/size',
  'functional/typography/typography',
  'functional/themes/light',
  'functional/themes/dark',
];

const require = createRequire(import.meta.url);
const source = new URL('../../src/web/styles/', import.meta.url);
const target = new URL('./assets/', import.meta.url);

function read(name: string): string {
  return readFileSync(require.resolve(name), 'utf8');
}

/** Comments away, and white space where it means nothing. A `/*!` is a licence, and stays. */
function smaller(css: string): string {
  return css
    .replaceAll(/\/\*(?!!)[\s\S]*?\*\//g, '')
    .replaceAll(/\s*\n\s*/g, '\n')
    .replaceAll(/([{};,])\s+/g, '$1')
    .trim();
}

const own = readdirSync(source).sort();
const styles = [
  ...PRIMER_MODULES.map((name) => read(`@primer/css/dist/${name}.css`)),
  ...own.filter((name) => name.endsWith('.css')).map((name) => readFileSync(new URL(name, source), 'utf8')),
].map(smaller);
const tokens = PRIMER_TOKENS.map((name) => smaller(read(`@primer/primitives/dist/css/${name}.css`)));

rmSync(target, { recursive: true, force: true });
mkdirSync(target, { recursive: true });
writeFileSync(
  new URL('signalbox.css', target),
  [
    '/*! With parts of Primer, MIT License, github.com/primer */',
    usedTokens(tokens.join('\n'), styles.join('\n')),
    ...styles,
  ].join('\n'),
);
for (const name of own.filter((each) => each.endsWith('.svg'))) cpSync(new URL(name, source), new URL(name, target));
