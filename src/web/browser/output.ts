import { type AnsiState, parseAnsi } from './ansi.js';

/** Lines that are laid out together: what is far away isn't, so that any number of lines is shown at once. */
const CHUNK_LINES = 200;
/** What is added at once, in characters, and how long others may have to wait for that, in ms. */
const SLICE = 8 * 1024;
const TURN_MS = 50;
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
  readonly #queue: { text: string; attempt: number }[] = [];
  #busy = false;
  #running: boolean;
  /** The reader is at the end, and so stays there. */
  #follows: boolean;
  #frame = false;
  #scrolledTo = 0;
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
    section.querySelector('.Output-link--end')?.addEventListener('click', (event) => {
      event.preventDefault();
      this.#toEnd();
      log.focus({ preventScroll: true });
    });
    log.addEventListener('copy', (event) => copyExactly(event, log));
    this.#running = section.dataset.running !== undefined;
    this.#follows = details.open && this.#running;
    log.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = log;
      const isAtEnd = scrollHeight - scrollTop - clientHeight < NEAR_END;
      // Text that was added since is no reason to stop.
      if (isAtEnd || scrollTop < this.#scrolledTo) this.#follows = isAtEnd;
      this.#scrolledTo = scrollTop;
    });
    this.#followSoon();
  }

  /** What to do when there is more text, or other. */
  onText(listener: () => void): void {
    this.#onText.push(listener);
  }

  /** Adds text, in turns: the page answers also while a long one is added. */
  append(text: string, attempt: number): void {
    for (let start = 0; start < text.length; start += SLICE) {
      this.#queue.push({ text: text.slice(start, start + SLICE), attempt });
    }
    if (!this.#busy) void this.#drain();
  }

  async #drain(): Promise<void> {
    this.#busy = true;
    while (this.#queue.length > 0) {
      const until = performance.now() + TURN_MS;
      do {
        const next = this.#queue.shift();
        if (next) this.#add(next.text, next.attempt);
      } while (this.#queue.length > 0 && performance.now() < until);
      // While there is much more, its lines stay out of sight: those in sight are laid out.
      if (this.#queue.length === 0) this.#followSoon();
      if (this.#awaited !== undefined) this.show(this.#awaited);
      for (const listener of this.#onText) listener();
      await new Promise((resolve) => setTimeout(resolve));
    }
    this.#busy = false;
  }

  /** Unfolded while its stage runs, and folded when that is over: what comes of it is next. Not while somebody reads it. */
  runs(now: boolean): void {
    if (now === this.#running) return;
    this.#running = now;
    if (now) {
      this.#details.open = true;
      this.#follows = true;
      return;
    }
    const { activeElement } = document;
    const isRead = activeElement !== null && this.#section.contains(activeElement);
    const isSelected =
      document.getSelection()?.containsNode(this.log, true) === true && !document.getSelection()?.isCollapsed;
    if (this.#follows && !isRead && !isSelected) this.#details.open = false;
  }

  #add(text: string, attempt: number): void {
    if (this.#attempt !== attempt) this.#clear(attempt);
    if (this.#section.hidden) {
      this.#section.hidden = false;
      this.#details.open = this.#running;
      this.#follows = true;
    }
    const { spans, state } = parseAnsi(text, this.#state);
    this.#state = state;
    for (const span of spans) {
      if (!this.#inLine) this.#beginLine();
      this.#chunk?.append(span.classes === '' ? span.text : coloured(span.text, span.classes));
      this.#inLine = !span.text.endsWith('\n');
    }
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

  /** Once for each frame: to ask where the end is costs a layout. */
  #followSoon(): void {
    if (!this.#follows || this.#frame) return;
    this.#frame = true;
    requestAnimationFrame(() => {
      this.#frame = false;
      if (this.#follows) this.#toEnd();
    });
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
