import { connect, createServer, type Server, type Socket } from 'node:net';

/** A server tells browsers to wait so long before they connect again, and a test that cuts fifty times hasn't that long. */
const RETRY = 'retry: 1000\n';
const SOONER = 'retry: 0020\n';

/** Stands between a browser and a server, and cuts what is open between them: in the middle of whatever is said. */
export class Cutter {
  /** Event streams that were cut. */
  cuts = 0;
  readonly #target: number;
  readonly #open = new Set<Socket>();
  /** By the browser's side of an event stream: bytes that it is still given. */
  readonly #streams = new Map<Socket, number>();
  readonly #server: Server;
  #refuses = false;

  private constructor(target: number) {
    this.#target = target;
    this.#server = createServer((browser) => this.#join(browser));
  }

  static async start(target: number): Promise<Cutter> {
    const cutter = new Cutter(target);
    await new Promise<void>((resolve) => cutter.#server.listen(0, '127.0.0.1', resolve));
    return cutter;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as { port: number }).port}`;
  }

  /** Event streams that are open. */
  get streams(): number {
    return this.#streams.size;
  }

  /** Cuts every event stream when it has been given so many bytes more. */
  cutAfter(bytes: number): void {
    for (const browser of this.#streams.keys()) {
      this.#streams.set(browser, bytes);
      if (bytes === 0) this.#cut(browser);
    }
  }

  /** Cuts everything, and lets nobody in until `comeBack`. */
  goAway(): void {
    this.#refuses = true;
    this.cutAfter(0);
    for (const socket of this.#open) socket.destroy();
  }

  comeBack(): void {
    this.#refuses = false;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.goAway();
    await closed;
  }

  #join(browser: Socket): void {
    if (this.#refuses) return void browser.on('error', () => undefined).destroy();
    const server = connect(this.#target, '127.0.0.1');
    for (const [socket, other] of [
      [browser, server],
      [server, browser],
    ] as const) {
      this.#open.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#open.delete(socket);
        this.#streams.delete(browser);
        other.destroy();
      });
    }
    browser.on('data', (request) => {
      if (/^GET \/runs\/[^ ]*\/events/.test(request.toString('latin1'))) {
        this.#streams.set(browser, Number.POSITIVE_INFINITY);
      }
      server.write(request);
    });
    server.on('data', (bytes) => this.#give(browser, bytes));
  }

  #give(browser: Socket, bytes: Buffer): void {
    const room = this.#streams.get(browser);
    if (room === undefined) return void browser.write(bytes);
    const given = Buffer.from(bytes.subarray(0, room).toString('latin1').replace(RETRY, SOONER), 'latin1');
    this.#streams.set(browser, room - given.length);
    browser.write(given, () => {
      if (room <= bytes.length) this.#cut(browser);
    });
  }

  #cut(browser: Socket): void {
    if (!this.#streams.delete(browser)) return;
    this.cuts += 1;
    browser.destroy();
  }
}
