import { type AnsiState, parseAnsi, type Span } from './ansi.js';
import { CHUNK_LINES, Chunk } from './chunk.js';
import { copyExactly } from './selection.js';

/** Lines that have their colours and links wherever they are. Of the others those have them that are near the view. */
const ALWAYS_DRESSED = 5_000;
/** How near that is. */
const NEAR = '1000px 0px';
/** What is added at once, in characters, and how long others may have to wait for that, in ms. */
const SLICE = 8 * 1024;
const TURN_MS = 12;
/** How near to the end, in pixels, is at the end. */
const NEAR_END = 40;
/** Frames in which the way to a place is looked at again: what comes into view on it turns out to be longer or shorter. */
const FRAMES = 4;

/** One stage's output on the page. */
export class OutputView {
  readonly stage: string;
  readonly log: HTMLElement;
  readonly #section: HTMLElement;
  readonly #details: HTMLDetailsElement;
  readonly #onText: (() => void)[] = [];
  readonly #onDress: (() => void)[] = [];
  readonly #near: IntersectionObserver;
  #attempt: number | undefined;
  #state: AnsiState;
  #chunks: Chunk[] = [];
  readonly #queue: { text: string; attempt: number }[] = [];
  #busy = false;
  #running: boolean;
  /** The reader is at the end, and so stays there. */
  #follows: boolean;
  #scrolledTo = 0;
  /** Where to go, and in how many frames. */
  #step: () => void = () => undefined;
  #framesLeft = 0;
  /** The line that is marked, or will be as soon as it is there. */
  #marked: number | undefined;
  #awaited = false;

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
    for (const written of log.querySelectorAll<HTMLElement>('.Output-chunk')) {
      this.#chunks.push(new Chunk(this.stage, this.#nextLine, { dressed: true, written }));
    }
    this.#near = new IntersectionObserver((entries) => this.#dressNear(entries), { root: log, rootMargin: NEAR });
    section.querySelector('.Output-link--end')?.addEventListener('click', (event) => {
      event.preventDefault();
      this.#goToEnd();
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
    if (this.#follows) this.#goToEnd();
  }

  get chunks(): readonly Chunk[] {
    return this.#chunks;
  }

  /** What to do when there is more text, or other. */
  onText(listener: () => void): void {
    this.#onText.push(listener);
  }

  /** What to do when the same text is in other nodes than before. */
  onDress(listener: () => void): void {
    this.#onDress.push(listener);
  }

  /** Adds text, in turns: the page answers also while a long one is added. */
  append(text: string, attempt: number): void {
    for (let start = 0; start < text.length; start += SLICE) {
      this.#queue.push({ text: text.slice(start, start + SLICE), attempt });
    }
    if (!this.#busy) void this.#drain();
  }

  /** Opens the fold, goes to a line and marks it; if it isn't there yet, as soon as it is. */
  show(line: number): void {
    this.#details.open = true;
    this.#marked = line;
    this.#awaited = line >= this.#nextLine;
    this.#mark();
    if (!this.#awaited) this.goToLine(line);
  }

  goToLine(line: number): void {
    const chunk = this.#chunks[Math.floor((line - 1) / CHUNK_LINES)];
    if (!chunk) return;
    this.#follows = false;
    this.#goTo(() => {
      this.#dress([chunk], []);
      document.getElementById(`${this.stage}-L${line}`)?.scrollIntoView({ block: 'center' });
    });
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
      if (this.#queue.length === 0 && this.#follows) this.#goToEnd();
      if (this.#awaited && this.#marked !== undefined) this.show(this.#marked);
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
    for (let rest: readonly Span[] = spans; rest.length > 0; ) rest = this.#chunkToFill().append(rest);
  }

  #chunkToFill(): Chunk {
    const last = this.#chunks.at(-1);
    if (last && !last.isFull) return last;
    const line = this.#nextLine;
    const chunk = new Chunk(this.stage, line, { dressed: line <= ALWAYS_DRESSED });
    this.#chunks.push(chunk);
    this.log.append(chunk.element);
    if (line > ALWAYS_DRESSED) this.#near.observe(chunk.element);
    return chunk;
  }

  get #nextLine(): number {
    const last = this.#chunks.at(-1);
    return last ? last.firstLine + last.lines : 1;
  }

  #clear(attempt: number): void {
    this.#attempt = attempt;
    if (this.#chunks.length === 0) return;
    this.#near.disconnect();
    this.#chunks = [];
    this.log.replaceChildren();
    this.#state = {};
  }

  #dressNear(entries: IntersectionObserverEntry[]): void {
    const isNear = new Map(entries.map(({ target, isIntersecting }) => [target, isIntersecting]));
    const changed = (near: boolean) => this.#chunks.filter(({ element }) => isNear.get(element) === near);
    this.#dress(changed(true), changed(false));
  }

  #dress(near: readonly Chunk[], far: readonly Chunk[]): void {
    const dressed = near.filter((chunk) => chunk.dress());
    const undressed = far.filter((chunk) => chunk.undress());
    if (dressed.length > 0) this.#mark();
    if (dressed.length + undressed.length > 0) for (const listener of this.#onDress) listener();
  }

  #mark(): void {
    const id = this.#marked === undefined ? undefined : `${this.stage}-L${this.#marked}`;
    for (const marked of this.log.querySelectorAll('.Output-line--marked')) {
      marked.classList.toggle('Output-line--marked', marked.id === id);
    }
    if (id !== undefined) document.getElementById(id)?.classList.add('Output-line--marked');
  }

  #goToEnd(): void {
    this.#follows = true;
    this.#goTo(() => {
      if (this.#follows) this.log.scrollTop = this.log.scrollHeight;
    });
  }

  /** Once for each frame: to ask where a place is costs a layout. */
  #goTo(step: () => void): void {
    const move = () => {
      this.#step();
      this.#framesLeft -= 1;
      if (this.#framesLeft > 0) requestAnimationFrame(move);
    };
    if (this.#framesLeft <= 0) requestAnimationFrame(move);
    this.#step = step;
    this.#framesLeft = FRAMES;
  }
}
