import type { Access, KnownAccess } from '../signin/access.js';
import { within } from '../within.js';
import { END, HEARTBEAT, outputFrame, RETRY, regionsFrame } from './frame.js';
import type { LiveRuns } from './live-runs.js';
import { type Position, parsePosition } from './position.js';
import type { RenderRegions, WatchedRun } from './watched-run.js';

export interface EventStreamRequest {
  run: string;
  /** `Last-Event-ID`, else `?from=`: the position that the viewer has reached. */
  from: string | undefined;
  /** Regions that the viewer's page has in full and that don't change any more. */
  has?: readonly string[];
  /** Whose streams are counted together. */
  session: string;
  /** What the viewer may see now; undefined: nothing. Throws when that can't be known. */
  access: () => Promise<KnownAccess | undefined>;
  render: RenderRegions;
}

export interface EventStreamsOptions {
  live: LiveRuns;
  maxPerSession?: number;
  /** In ms; see the constants. */
  tickMs?: number;
  patienceMs?: number;
  /** Something failed while a run was followed; of looks that fail one after the other, the first. */
  onError?: (error: Error, run: string) => void;
}

const MAX_PER_SESSION = 20;
const HEARTBEAT_MS = 15_000;
/** How often access is asked for again, in ms. What answers remembers GitHub's own word for up to a minute. */
const TICK_MS = 5_000;
/**
 * How long a viewer goes on as before when GitHub, or the record, gives no newer answer, in ms since GitHub was asked: with
 * the time until it is looked at, a minute.
 */
const UNSURE_MS = 55_000;
/** How long an answer about access is waited for, in ms: a record that hangs says nothing at all. */
const PATIENCE_MS = 10_000;

const refusals = {
  400: 'This is not a position in an output.',
  404: 'Not found',
  429: 'Too many pages of this kind are open: close some.',
  503: 'Not now: try again.',
} as const;

/** `GET /runs/<id>/events`: the streams that are open in this process. One timer looks after all of them. */
export class EventStreams {
  readonly #options: EventStreamsOptions;
  readonly #open = new Set<EventStream>();
  readonly #timer: NodeJS.Timeout;
  #closed = false;

  constructor(options: EventStreamsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#tick(), options.tickMs ?? TICK_MS).unref();
  }

  get size(): number {
    return this.#open.size;
  }

  /** 200 with the stream; 404 for who may not see the run, 429 and 503 for those who should try again. */
  async open(request: EventStreamRequest): Promise<Response> {
    const from = request.from ? parsePosition(request.from) : undefined;
    if (request.from && !from) return refuse(400);
    const { maxPerSession = MAX_PER_SESSION, patienceMs = PATIENCE_MS } = this.#options;
    const access = () => within(patienceMs, request.access());
    const known = await access().catch(() => 'unknown' as const);
    if (known === 'unknown' || this.#closed) return refuse(503);
    if (known === undefined) return refuse(404);
    const mine = [...this.#open].filter(({ session }) => session === request.session);
    if (mine.length >= maxPerSession) return refuse(429);
    const stream = new EventStream({ ...request, access }, known, from, {
      live: this.#options.live,
      onError: (error) => this.#options.onError?.(error, request.run),
      onEnd: () => this.#open.delete(stream),
    });
    this.#open.add(stream);
    void stream.run();
    return new Response(stream.body, {
      headers: {
        'Content-Type': 'text/event-stream',
        'Cache-Control': 'no-store',
        // Else a server that stops would wait for the connection, kept for another request.
        Connection: 'close',
        'X-Accel-Buffering': 'no',
        'X-Content-Type-Options': 'nosniff',
      },
    });
  }

  /** Ends all streams: a server waits for them before it is closed. */
  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    for (const stream of this.#open) stream.end();
  }

  #tick(): void {
    for (const stream of this.#open) {
      stream.endUnlessSure();
      stream.beat();
      void stream.askAgain();
    }
  }
}

function refuse(status: keyof typeof refusals): Response {
  return new Response(`${refusals[status]}\n`, {
    status,
    headers: { 'Content-Type': 'text/plain; charset=utf-8', 'Cache-Control': 'no-store' },
  });
}

interface Surroundings {
  live: LiveRuns;
  onError: (error: Error) => void;
  onEnd: () => void;
}

/** One viewer. It asks for what follows its position when the one before has been taken, so it can be slow at no cost. */
class EventStream {
  readonly session: string;
  readonly body: ReadableStream<Uint8Array>;
  readonly #request: EventStreamRequest;
  readonly #around: Surroundings;
  #access: Access;
  /** When GitHub was asked for that, by `performance.now()`. */
  #sureAt: number;
  #position: Position | undefined;
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined;
  #onPull: () => void = () => undefined;
  #ended = false;
  #sentAt = performance.now();
  #asking = false;
  readonly #shown = new Map<string, string>();

  constructor(request: EventStreamRequest, known: KnownAccess, from: Position | undefined, around: Surroundings) {
    this.session = request.session;
    this.#request = request;
    this.#access = known.access;
    this.#sureAt = known.asked;
    this.#position = from;
    this.#around = around;
    this.body = new ReadableStream({
      start: (controller) => {
        this.#controller = controller;
      },
      pull: () => this.#onPull(),
      cancel: () => this.end(),
    });
  }

  async run(): Promise<void> {
    const { run, leave } = this.#around.live.join(this.#request.run);
    try {
      await this.#send(RETRY);
      await this.#follow(run);
    } catch (error) {
      this.#around.onError(error as Error);
    } finally {
      leave();
      this.end();
    }
  }

  async #follow(run: WatchedRun): Promise<void> {
    let shownVersion = -1;
    let shownAccess: Access | undefined;
    let failing = false;
    while (!this.#ended) {
      const version = run.version;
      try {
        const page = await run.page(this.#position);
        if (!page) return;
        for (const text of page.texts) {
          if (!(await this.#send(outputFrame(text)))) return;
          this.#position = text;
        }
        const access = this.#access;
        if (run.runVersion !== shownVersion || access !== shownAccess) {
          shownVersion = run.runVersion;
          shownAccess = access;
          await this.#showRegions(run, access);
        } else if (page.texts.length === 0) {
          failing = false;
          if (page.final) return void (await this.#send(END));
          await run.changeSince(version);
        }
      } catch (error) {
        // The record is away, most likely. All there is to do is to look again, with everybody else.
        if (!failing) this.#around.onError(error as Error);
        failing = true;
        shownVersion = -1;
        await run.changeSince(run.version);
      }
    }
  }

  async #showRegions(run: WatchedRun, access: Access): Promise<void> {
    const regions = await run.regions(access, this.#request.render);
    // The right went away, or became another, while this was rendered.
    if (this.#access !== access) return;
    const { has = [] } = this.#request;
    const news = Object.keys(regions).filter((id) => !has.includes(id) && this.#shown.get(id) !== regions[id]);
    for (const id of news) this.#shown.set(id, regions[id] ?? '');
    if (news.length > 0) await this.#send(regionsFrame(regions, news));
  }

  /** So that nobody on the way takes the connection for dead. */
  beat(): void {
    const room = this.#controller?.desiredSize ?? 0;
    if (this.#ended || room <= 0 || performance.now() - this.#sentAt < HEARTBEAT_MS) return;
    this.#enqueue(HEARTBEAT);
  }

  /** However it comes that nothing newer is known: GitHub or the record says no, or says nothing. */
  endUnlessSure(): void {
    if (performance.now() - this.#sureAt > UNSURE_MS) this.end();
  }

  async askAgain(): Promise<void> {
    if (this.#asking || this.#ended) return;
    this.#asking = true;
    try {
      const known = await this.#request.access();
      if (known === undefined) return this.end();
      this.#sureAt = known.asked;
      this.#access = known.access;
    } catch {
      // The next tick asks again, as long as the last answer counts.
    } finally {
      this.#asking = false;
    }
  }

  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#around.onEnd();
    this.#onPull();
    try {
      this.#controller?.close();
    } catch {
      // The browser was first.
    }
  }

  /** Resolves when it was taken: true, or when the stream has ended: false. */
  async #send(bytes: Uint8Array): Promise<boolean> {
    while (!this.#ended && (this.#controller?.desiredSize ?? 0) <= 0) {
      await new Promise<void>((resolve) => {
        this.#onPull = resolve;
      });
    }
    if (this.#ended) return false;
    this.#enqueue(bytes);
    return true;
  }

  #enqueue(bytes: Uint8Array): void {
    this.#sentAt = performance.now();
    this.#controller?.enqueue(bytes);
  }
}
