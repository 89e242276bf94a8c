import type { Chunk } from './chunk.js';
import type { OutputView } from './output.js';

/** By its place in the text of its chunk. */
interface Match {
  chunk: Chunk;
  start: number;
  end: number;
}

/** So many matches around the one looked at are marked: a mark for each of a hundred thousand would take seconds. */
const MARKED = 500;
const WAIT_MS = 200;

/** The search box of an output. */
export class OutputSearch {
  readonly #output: OutputView;
  readonly #input: HTMLInputElement;
  readonly #count: HTMLElement;
  #matches: Match[] = [];
  #current = -1;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(section: HTMLElement, output: OutputView) {
    const box = section.querySelector<HTMLElement>('.Output-search');
    const input = box?.querySelector('input');
    const count = box?.querySelector<HTMLElement>('.Output-count');
    if (!box || !input || !count) throw new Error('There is no search box.');
    this.#output = output;
    this.#input = input;
    this.#count = count;
    box.hidden = false;
    input.addEventListener('input', () => this.#later(() => this.#search(0)));
    input.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();
      this.#go(event.shiftKey ? -1 : 1);
    });
    box.querySelector('[data-step="-1"]')?.addEventListener('click', () => this.#go(-1));
    box.querySelector('[data-step="1"]')?.addEventListener('click', () => this.#go(1));
    output.onText(() => {
      if (this.#input.value !== '') this.#later(() => this.#search(this.#current, false));
    });
    output.onDress(() => this.#mark());
  }

  #later(work: () => void): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      work();
    }, WAIT_MS);
  }

  /** Looks for all matches, and goes to the one with this number. */
  #search(current: number, moves = true): void {
    const query = this.#input.value;
    this.#matches = query === '' ? [] : matchesIn(this.#output.chunks, query);
    this.#current = Math.min(current, this.#matches.length - 1);
    this.#show(moves);
  }

  #go(step: number): void {
    if (this.#timer !== undefined) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.#search(0);
      return;
    }
    const { length } = this.#matches;
    if (length === 0) return;
    this.#current = (this.#current + step + length) % length;
    this.#show(true);
  }

  #show(moves: boolean): void {
    const { length } = this.#matches;
    const isAsked = this.#input.value !== '';
    this.#count.textContent = !isAsked ? '' : length === 0 ? 'No matches' : `${this.#current + 1} of ${length}`;
    this.#mark();
    const match = this.#matches[this.#current];
    if (match && moves) this.#output.goToLine(lineOf(match));
  }

  #mark(): void {
    unmark(this.#output.log, this.#output.stage);
    const match = this.#matches[this.#current];
    if (!match) return;
    const first = Math.max(0, this.#current - MARKED / 2);
    mark(this.#output.stage, this.#matches.slice(first, first + MARKED), match);
  }
}

function matchesIn(chunks: readonly Chunk[], query: string): Match[] {
  const pattern = new RegExp(query.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&'), 'gi');
  return chunks.flatMap((chunk) =>
    [...chunk.text.matchAll(pattern)].map(({ index, 0: found }) => ({
      chunk,
      start: index,
      end: index + found.length,
    })),
  );
}

function lineOf({ chunk, start }: Match): number {
  return chunk.firstLine + chunk.text.slice(0, start).split('\n').length - 1;
}

function mark(stage: string, matches: Match[], current: Match): void {
  const ranges = new Map(rangesOf(matches));
  const chosen = ranges.get(current);
  if ('highlights' in CSS) {
    CSS.highlights.set(`output-match-${stage}`, new Highlight(...ranges.values()));
    if (chosen) CSS.highlights.set(`output-current-${stage}`, new Highlight(chosen));
    return;
  }
  // From the last to the first: a mark moves what comes after it.
  for (const [match, range] of [...ranges].reverse()) {
    const element = document.createElement('mark');
    element.className = match === current ? 'Output-match Output-match--current' : 'Output-match';
    element.append(range.extractContents());
    range.insertNode(element);
  }
}

function unmark(log: HTMLElement, stage: string): void {
  if ('highlights' in CSS) {
    CSS.highlights.delete(`output-match-${stage}`);
    CSS.highlights.delete(`output-current-${stage}`);
    return;
  }
  for (const element of log.querySelectorAll('mark')) {
    const parent = element.parentNode;
    element.replaceWith(...element.childNodes);
    parent?.normalize();
  }
}

/** In one walk through the text of each chunk. Matches come in order. */
function* rangesOf(matches: Match[]): Generator<[Match, Range]> {
  let chunk: Chunk | undefined;
  let walker: TreeWalker | undefined;
  let node: Node | null = null;
  let at = 0;
  for (const match of matches) {
    if (match.chunk !== chunk || !walker) {
      chunk = match.chunk;
      walker = document.createTreeWalker(chunk.element, NodeFilter.SHOW_TEXT);
      node = walker.nextNode();
      at = 0;
    }
    const range = document.createRange();
    while (node && at + (node.nodeValue?.length ?? 0) <= match.start) {
      at += node.nodeValue?.length ?? 0;
      node = walker.nextNode();
    }
    if (!node) continue;
    range.setStart(node, match.start - at);
    while (node && at + (node.nodeValue?.length ?? 0) < match.end) {
      at += node.nodeValue?.length ?? 0;
      node = walker.nextNode();
    }
    if (!node) continue;
    range.setEnd(node, match.end - at);
    yield [match, range];
  }
}
