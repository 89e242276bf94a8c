import { columnsOf, paint, wrap } from './terminal.js';

/** The Markdown of check runs and comments, for a terminal: what GitHub's page would show of it. */
export function renderMarkdown(markdown: string, columns: number): string[] {
  const blocks = blocksOf(markdown.replace(/<!--.*?-->/gs, ''));
  return blocks.flatMap((block, index) => [...(index > 0 ? [''] : []), ...renderBlock(block, columns)]);
}

/** Paragraphs, tables, lists and fences. */
export function blocksOf(markdown: string): string[] {
  const blocks: string[] = [];
  let fence: string | undefined;
  let lines: string[] = [];
  const end = () => {
    if (lines.length > 0) blocks.push(lines.join('\n'));
    lines = [];
  };
  for (const line of markdown.split('\n')) {
    const ticks = /^`{3,}/.exec(line)?.[0];
    if (fence === undefined && (line.trim() === '' || ticks)) end();
    if (fence !== undefined || line.trim() !== '') lines.push(line);
    if (fence === undefined) fence = ticks;
    else if (line === fence) {
      fence = undefined;
      end();
    }
  }
  end();
  return blocks;
}

function renderBlock(block: string, columns: number): string[] {
  const lines = block.split('\n');
  if (block.startsWith('```')) return lines.slice(1, -1);
  if (block.startsWith('|')) return renderTable(lines);
  if (block.startsWith('#')) return [paint('bold', inline(block.replace(/^#+ /, '')))];
  return lines.flatMap((line) => wrap(inline(line), columns));
}

function renderTable([header = '', rule = '', ...rows]: string[]): string[] {
  const align = cellsOf(rule).map((cell) => (cell.endsWith('-:') ? 'r' : 'l'));
  const render = (line: string) => cellsOf(line).map(inline);
  return columnsOf(render(header), align.join(''), rows.map(render));
}

function cellsOf(row: string): string[] {
  return row
    .replace(/^\| ?| ?\|$/g, '')
    .split(/(?<!\\)\|/)
    .map((cell) => cell.replaceAll('\\|', '|').trim());
}

/** Code keeps what is in it, links show their text only. */
function inline(text: string): string {
  return text
    .replace(/<\/?sub>/g, '')
    .replace(/\[([^\]]+)\]\(http[^)]*\)/g, '$1')
    .replace(/\*\*([^*]+)\*\*/g, (_, bold: string) => paint('bold', bold))
    .replace(/(`+) ?(.+?) ?\1/g, (_, _ticks, code: string) => paint('cyan', code));
}
