import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { sql } from 'kysely';
import { Notifications } from '../../src/db/notifications.js';
import { createDb, createPool, type Db } from '../../src/db/pool.js';
import type { Run, Stage } from '../../src/db/schema.js';
import { EventStreams } from '../../src/live/event-stream.js';
import { LiveRuns } from '../../src/live/live-runs.js';
import { rawOutput } from '../../src/live/raw-output.js';
import type { RenderRegions } from '../../src/live/watched-run.js';
import { findRun } from '../../src/runs/store.js';
import type { Access } from '../../src/signin/access.js';
import { createMask } from '../../src/variables/masking.js';
import { OutputLog } from '../../src/worker/output-log.js';

export const logOf = (db: Db, run: Run, stage: Stage = 'plan') => new OutputLog(db, run, stage, createMask([]));

export interface Options {
  url: string;
  access?: () => Promise<Access | undefined>;
  render?: RenderRegions;
  maxPerSession?: number;
  lookMs?: number;
  tickMs?: number;
  patienceMs?: number;
  onError?: (error: Error, run: string) => void;
  port?: number;
}

/** A process that serves nothing but live output, and counts what it asks of the record. */
export class LiveServer {
  queries = 0;
  renders = 0;
  port = 0;
  access: () => Promise<Access | undefined>;
  /** How long ago GitHub was asked for what is answered, in ms. */
  age = 0;
  streams!: EventStreams;
  live!: LiveRuns;
  #server!: Server;
  #db!: Db;
  #notifications!: Notifications;

  private constructor(readonly options: Options) {
    this.access = options.access ?? (async () => 'read');
  }

  static async start(options: Options): Promise<LiveServer> {
    const server = new LiveServer(options);
    await server.#listen();
    return server;
  }

  async #listen(): Promise<void> {
    const { url, render = async () => ({}), lookMs = 300, tickMs = 100, maxPerSession, onError, port } = this.options;
    const patience = this.options.patienceMs === undefined ? {} : { patienceMs: this.options.patienceMs };
    const pool = createPool({ connectionString: url, max: 4, onError: () => undefined });
    this.#db = createDb(pool);
    pool.on('acquire', () => {
      this.queries += 1;
    });
    this.#notifications = new Notifications(url, () => undefined);
    await this.#notifications.start();
    this.live = new LiveRuns({ db: this.#db, notifications: this.#notifications, lookMs, ...patience });
    this.streams = new EventStreams({
      live: this.live,
      tickMs,
      ...patience,
      ...(maxPerSession && { maxPerSession }),
      ...(onError && { onError }),
    });
    const counted: RenderRegions = (access) => {
      this.renders += 1;
      return render(access);
    };
    const answer = async (request: Request): Promise<Response> => {
      const url = new URL(request.url);
      const [, , run = '', what = ''] = url.pathname.split('/');
      if (what.endsWith('.txt')) return rawOutput(this.#db, await findRun(this.#db, run), what.slice(0, -4) as Stage);
      return this.streams.open({
        run,
        from: request.headers.get('last-event-id') ?? url.searchParams.get('from') ?? undefined,
        session: url.searchParams.get('session') ?? 's',
        access: async () => {
          const asked = performance.now() - this.age;
          const access = await this.access();
          return access && { access, asked };
        },
        render: counted,
      });
    };
    this.#server = createServer(getRequestListener(answer));
    await new Promise<void>((resolve) => this.#server.listen(port ?? this.port, '127.0.0.1', resolve));
    this.port = (this.#server.address() as AddressInfo).port;
  }

  get address(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** As when the process dies: connections break, nothing is said. */
  async kill(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
    this.streams.close();
    await this.#release();
  }

  /** As when it is stopped. */
  async stop(): Promise<void> {
    this.streams.close();
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeIdleConnections();
    await closed;
    await this.#release();
  }

  comeBack(): Promise<void> {
    return this.#listen();
  }

  async #release(): Promise<void> {
    this.live.close();
    await this.#notifications.close();
    await this.#db.destroy();
  }
}

export interface Event {
  id?: string;
  event: string;
  data: { stage?: Stage; attempt?: number; text?: string; regions?: Record<string, string> };
}

/** A browser's EventSource, as far as it is needed: goes on from the last id that it has seen. */
export class Viewer {
  readonly events: Event[] = [];
  readonly texts: Record<Stage, { attempt: number; text: string }> = {
    plan: { attempt: -1, text: '' },
    apply: { attempt: -1, text: '' },
  };
  readonly regions: Record<string, string> = {};
  status = 0;
  ended = false;
  lastEventId: string | undefined;
  #abort = new AbortController();

  constructor(
    readonly address: () => string,
    readonly run: string,
    readonly session = 's',
  ) {}

  /** One connection; resolves when it ends, however it does. */
  async connect(): Promise<void> {
    this.#abort = new AbortController();
    try {
      const response = await fetch(`${this.address()}/runs/${this.run}/events?session=${this.session}`, {
        headers: this.lastEventId === undefined ? {} : { 'Last-Event-ID': this.lastEventId },
        signal: this.#abort.signal,
      });
      this.status = response.status;
      if (response.status !== 200 || !response.body) return;
      let held = '';
      for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
        held += piece;
        for (let end = held.indexOf('\n\n'); end >= 0; end = held.indexOf('\n\n')) {
          this.#take(held.slice(0, end));
          held = held.slice(end + 2);
        }
      }
    } catch {
      // It was cut.
    }
  }

  cut(): void {
    this.#abort.abort();
  }

  #take(block: string): void {
    const fields = Object.fromEntries(
      block.split('\n').map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 2)]),
    );
    if (fields.event === undefined) return;
    const event = { ...fields, data: JSON.parse(fields.data ?? '{}') } as Event;
    if (event.id !== undefined) this.lastEventId = event.id;
    this.events.push(event);
    const { stage, attempt = 0, text = '', regions } = event.data;
    if (stage) {
      if (this.texts[stage].attempt !== attempt) this.texts[stage] = { attempt, text: '' };
      this.texts[stage].text += text;
    }
    Object.assign(this.regions, regions);
    if (event.event === 'end') this.ended = true;
  }
}

export async function finishRun(db: Db, run: Run): Promise<void> {
  await sql`update runs set state = 'plan_errored', ended_at = now() where id = ${run.id}`.execute(db);
}
