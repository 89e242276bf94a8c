import { connect, createServer, type Socket } from 'node:net';

const EXECUTE = 'E'.charCodeAt(0);
const QUERY = 'Q'.charCodeAt(0);

/** Stands before PostgreSQL and counts what it is asked. */
export class QueryCounter {
  queries = 0;
  readonly #target: URL;
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((client) => this.#join(client));

  private constructor(target: string) {
    this.#target = new URL(target);
  }

  static async start(target: string): Promise<QueryCounter> {
    const counter = new QueryCounter(target);
    await new Promise<void>((resolve) => counter.#server.listen(0, '127.0.0.1', resolve));
    return counter;
  }

  get url(): string {
    const url = new URL(this.#target);
    url.port = String((this.#server.address() as { port: number }).port);
    return url.href;
  }

  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #join(client: Socket): void {
    const server = connect(Number(this.#target.port), this.#target.hostname);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(socket);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        this.#sockets.delete(socket);
        other.destroy();
      });
    }
    server.pipe(client);
    let held: Buffer = Buffer.alloc(0);
    let started = false;
    client.on('data', (bytes) => {
      server.write(bytes);
      held = Buffer.concat([held, bytes]);
      // A message is a letter and a length that counts itself; the first one has no letter.
      for (;;) {
        const letter = started ? 1 : 0;
        const length = held.length >= letter + 4 ? letter + held.readUInt32BE(letter) : Number.POSITIVE_INFINITY;
        if (held.length < length) break;
        if (started && (held[0] === EXECUTE || held[0] === QUERY)) this.queries += 1;
        started = true;
        held = held.subarray(length);
      }
    });
  }
}
