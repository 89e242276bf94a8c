import type { Span } from './ansi.js';
import { keepingSelection } from './selection.js';

/** Lines that are laid out together: what is far away isn't, so that any number of lines is shown at once. */
export const CHUNK_LINES = 200;

/** Text that isn't plain, by its place in the chunk's. */
interface Coloured {
  start: number;
  end: number;
  classes: string;
}

/**
 * Some lines of an output. Dressed, it has colours and a link for each line, which makes five nodes of a line of a plan;
 * undressed, it is nothing but the text. Its textContent is exactly the text at all times.
 */
export class Chunk {
  readonly element: HTMLElement;
  readonly firstLine: number;
  readonly #stage: string;
  readonly #coloured: Coloured[] = [];
  #dressed: boolean;
  #lines: number;
  #length: number;
  #inLine: boolean;

  /** `written`: a dressed one, by the server. */
  constructor(stage: string, firstLine: number, options: { dressed: boolean; written?: HTMLElement }) {
    const { dressed, written } = options;
    this.element = written ?? document.createElement('div');
    this.element.className = 'Output-chunk';
    this.firstLine = firstLine;
    this.#stage = stage;
    this.#dressed = dressed;
    const text = this.text;
    this.#length = text.length;
    this.#lines = this.element.querySelectorAll('a[data-line]').length;
    this.#inLine = text !== '' && !text.endsWith('\n');
    this.#noteFull();
  }

  get text(): string {
    return this.element.textContent ?? '';
  }

  get lines(): number {
    return this.#lines;
  }

  get isFull(): boolean {
    return this.#lines >= CHUNK_LINES && !this.#inLine;
  }

  /** Takes spans up to its last line. Yields those that don't fit. */
  append(spans: readonly Span[]): readonly Span[] {
    let taken = 0;
    const added = document.createDocumentFragment();
    for (; taken < spans.length && !this.isFull; taken++) {
      const { text, classes } = spans[taken] as Span;
      if (!this.#inLine) {
        if (this.#dressed) added.append(this.#link(this.#lines));
        this.#lines += 1;
      }
      if (classes !== '') this.#coloured.push({ start: this.#length, end: this.#length + text.length, classes });
      if (this.#dressed) added.append(classes === '' ? text : coloured(text, classes));
      this.#length += text.length;
      this.#inLine = !text.endsWith('\n');
    }
    if (!this.#dressed)
      added.append(
        spans
          .slice(0, taken)
          .map(({ text }) => text)
          .join(''),
      );
    this.element.append(added);
    this.#noteFull();
    return spans.slice(taken);
  }

  /** Whether it wasn't before. */
  dress(): boolean {
    if (this.#dressed) return false;
    this.#dressed = true;
    const dressed = document.createDocumentFragment();
    const { text } = this;
    const colours = this.#coloured.values();
    let colour = colours.next().value;
    for (let line = 0, start = 0; start < text.length; line++) {
      const end = text.indexOf('\n', start) + 1 || text.length;
      dressed.append(this.#link(line));
      // None goes on beyond the end of its line.
      for (; colour && colour.start < end; colour = colours.next().value) {
        if (colour.start > start) dressed.append(text.slice(start, colour.start));
        dressed.append(coloured(text.slice(colour.start, colour.end), colour.classes));
        start = colour.end;
      }
      if (start < end) dressed.append(text.slice(start, end));
      start = end;
    }
    keepingSelection(this.element, () => this.element.replaceChildren(dressed));
    return true;
  }

  /** The opposite. */
  undress(): boolean {
    if (!this.#dressed) return false;
    this.#dressed = false;
    const { text } = this;
    keepingSelection(this.element, () => this.element.replaceChildren(text));
    return true;
  }

  #link(offset: number): HTMLAnchorElement {
    const number = String(this.firstLine + offset);
    const link = document.createElement('a');
    link.id = `${this.#stage}-L${number}`;
    link.dataset.line = number;
    link.href = `#${link.id}`;
    link.tabIndex = -1;
    link.ariaLabel = `Line ${number}`;
    return link;
  }

  #noteFull(): void {
    this.element.classList.toggle('Output-chunk--full', this.isFull);
  }
}

function coloured(text: string, classes: string): HTMLElement {
  const span = document.createElement('span');
  span.className = classes;
  span.textContent = text;
  return span;
}
