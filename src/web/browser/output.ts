import { type AnsiState, parseAnsi } from './ansi.js';

/** Lines that are laid out together: what is far away isn't, so that any number of lines is shown at once. */
const CHUNK_LINES = 200;
/** How near to the end, in pixels, is at the end. */
const NEAR_END = 40;

/** One stage's output on the page. */
export class OutputView {
  readonly stage: string;
  readonly log: HTMLElement;
  readonly #section: HTMLElement;
  readonly #details: HTMLDetailsElement;
  readonly #onText: (() => void)[] = [];
  #attempt: number | undefined;
  #state: AnsiState;
  #lines: number;
  #inLine: boolean;
  #chunk: HTMLElement | undefined;
  #chunkLines: number;
  /** The line that the address names, and that isn't there yet. */
  #awaited: string | undefined;

  constructor(section: HTMLElement) {
    const log = section.querySelector<HTMLElement>('[role=log]');
    const details = section.querySelector('details');
    if (!log || !details) throw new Error('This is not an output.');
    this.#section = section;
    this.#details = details;
    this.log = log;
    this.stage = section.dataset.stage ?? '';
    this.#attempt = section.dataset.attempt === undefined ? undefined : Number(section.dataset.attempt);
    this.#state = JSON.parse(section.dataset.ansi ?? '{}') as AnsiState;
    this.#lines = log.querySelectorAll('a[data-line]').length;
    this.#chunk = (log.lastElementChild as HTMLElement | null) ?? undefined;
    this.#chunkLines = this.#chunk?.querySelectorAll('a[data-line]').length ?? 0;
    this.#inLine = this.#lines > 0 && log.textContent?.endsWith('\n') === false;
    log.addEventListener('copy', (event) => copyExactly(event, log));
    if (details.open && section.dataset.running !== undefined) this.#toEnd();
  }

  /** What to do when there is more text, or other. */
  onText(listener: () => void): void {
    this.#onText.push(listener);
  }

  append(text: string, attempt: number): void {
    const isFirst = this.#section.hidden;
    if (this.#attempt !== attempt) this.#clear(attempt);
    if (isFirst) {
      this.#section.hidden = false;
      this.#details.open = true;
    }
    const follows = this.#isAtEnd();
    const { spans, state } = parseAnsi(text, this.#state);
    this.#state = state;
    for (const span of spans) {
      if (!this.#inLine) this.#beginLine();
      this.#chunk?.append(span.classes === '' ? span.text : coloured(span.text, span.classes));
      this.#inLine = !span.text.endsWith('\n');
    }
    if (follows) this.#toEnd();
    if (this.#awaited !== undefined) this.show(this.#awaited);
    for (const listener of this.#onText) listener();
  }

  /** Opens the fold, goes to a line and marks it; if it isn't there yet, as soon as it is. */
  show(id: string): void {
    const line = document.getElementById(id);
    this.#details.open = true;
    this.#awaited = line ? undefined : id;
    if (!line) return;
    for (const marked of this.log.querySelectorAll('.Output-line--marked'))
      marked.classList.remove('Output-line--marked');
    line.classList.add('Output-line--marked');
    line.scrollIntoView({ block: 'center' });
  }

  #beginLine(): void {
    if (!this.#chunk || this.#chunkLines >= CHUNK_LINES) {
      this.#chunk?.classList.add('Output-chunk--full');
      this.#chunk = document.createElement('div');
      this.#chunk.className = 'Output-chunk';
      this.#chunkLines = 0;
      this.log.append(this.#chunk);
    }
    this.#lines += 1;
    this.#chunkLines += 1;
    const number = String(this.#lines);
    const link = document.createElement('a');
    link.id = `${this.stage}-L${number}`;
    link.dataset.line = number;
    link.href = `#${link.id}`;
    link.tabIndex = -1;
    link.ariaLabel = `Line ${number}`;
    this.#chunk.append(link);
  }

  #clear(attempt: number): void {
    this.#attempt = attempt;
    if (this.#lines === 0) return;
    this.log.replaceChildren();
    this.#state = {};
    this.#lines = 0;
    this.#chunkLines = 0;
    this.#chunk = undefined;
    this.#inLine = false;
  }

  #isAtEnd(): boolean {
    const { scrollHeight, scrollTop, clientHeight } = this.log;
    return scrollHeight - scrollTop - clientHeight < NEAR_END;
  }

  #toEnd(): void {
    this.log.scrollTop = this.log.scrollHeight;
  }
}

function coloured(text: string, classes: string): HTMLElement {
  const span = document.createElement('span');
  span.className = classes;
  span.textContent = text;
  return span;
}

/** The browser would add a line's end between two blocks. */
function copyExactly(event: ClipboardEvent, log: HTMLElement): void {
  const selection = document.getSelection();
  if (selection?.rangeCount !== 1 || !event.clipboardData) return;
  const range = selection.getRangeAt(0);
  if (range.collapsed || !log.contains(range.commonAncestorContainer)) return;
  event.clipboardData.setData('text/plain', range.cloneContents().textContent ?? '');
  event.preventDefault();
}
