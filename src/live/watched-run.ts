import type { Access } from '../signin/access.js';
import { within } from '../within.js';
import type { OutputPage } from './output-page.js';
import { formatPosition, type Position } from './position.js';

/** The parts of a run's page that change, as HTML by the id of their element. */
export type Regions = Record<string, string>;
export type RenderRegions = (access: Access) => Promise<Regions>;

/** Pages kept for others who ask for the same, of 256 KiB each. */
const PAGES = 4;
/** A change is shown at most so often, in ms. */
const RENDER_MS = 250;

/** What all viewers of one run share. */
export class WatchedRun {
  viewers = 0;
  readonly #read: (from: Position | undefined) => Promise<OutputPage | undefined>;
  readonly #patienceMs: number;
  /** Grows at each change, or hint of one. */
  #version = 0;
  /** The same of the run itself, without its output. */
  #runVersion = 0;
  #bell = newBell();
  #final = false;
  readonly #pages = new Map<string, { version: number; reading: Promise<OutputPage | undefined> }>();
  readonly #rendered = new Map<Access, { version: number; begun: number; rendering: Promise<Regions> }>();

  /** `patienceMs`: how long a rendering is waited for. */
  constructor(read: (from: Position | undefined) => Promise<OutputPage | undefined>, patienceMs: number) {
    this.#read = read;
    this.#patienceMs = patienceMs;
  }

  get version(): number {
    return this.#version;
  }

  get runVersion(): number {
    return this.#runVersion;
  }

  changed(what: 'outputs' | 'runs'): void {
    this.#version += 1;
    if (what === 'runs') this.#runVersion += 1;
    const bell = this.#bell;
    this.#bell = newBell();
    bell.ring();
  }

  /** Resolves as soon as there has been a change since `version`. */
  async changeSince(version: number): Promise<void> {
    if (this.#version === version) await this.#bell.rung;
  }

  /** What follows `from`, as of now or later: read once for all who ask for the same before the next change. */
  page(from: Position | undefined): Promise<OutputPage | undefined> {
    const key = from ? formatPosition(from) : '';
    const known = this.#pages.get(key);
    if (known?.version === this.#version) return known.reading;
    const page = { version: this.#version, reading: this.#read(from) };
    this.#pages.delete(key);
    this.#pages.set(key, page);
    for (const oldest of [...this.#pages.keys()].slice(0, -PAGES)) this.#pages.delete(oldest);
    page.reading.then(
      (read) => read?.final && this.#sawEnd(),
      () => this.#pages.get(key) === page && this.#pages.delete(key),
    );
    return page.reading;
  }

  /** What was rendered so far may have been so before the end, whose wake-up is still on its way. */
  #sawEnd(): void {
    if (this.#final) return;
    this.#final = true;
    this.changed('runs');
  }

  /** The regions as of now or later: rendered once for all of this level who ask before the next change of the run. */
  async regions(access: Access, render: RenderRegions): Promise<Regions> {
    for (;;) {
      const last = this.#rendered.get(access);
      if (last?.version === this.#runVersion) return last.rendering;
      const wait = last ? last.begun + RENDER_MS - performance.now() : 0;
      if (wait <= 0) break;
      // Whoever waits here sees, when it goes on, what the first of them has begun.
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
    const entry = {
      version: this.#runVersion,
      begun: performance.now(),
      rendering: within(this.#patienceMs, render(access)),
    };
    this.#rendered.set(access, entry);
    entry.rendering.catch(() => {
      if (this.#rendered.get(access) === entry) this.#rendered.delete(access);
    });
    return entry.rendering;
  }
}

function newBell(): { rung: Promise<void>; ring: () => void } {
  let ring = () => {};
  const rung = new Promise<void>((resolve) => {
    ring = resolve;
  });
  return { rung, ring };
}
