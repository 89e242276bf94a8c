import { createWriteStream, type WriteStream } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';

/** What a resource said of itself while it was applied. */
export interface JournalEntry {
  /** By the harness' clock, in ms. */
  at: number;
  what: 'begin' | 'end';
  /** As Terraform's environment names it. */
  run: string;
  workspace: string;
  resource: string;
  /** The push that gave the resource its present form. */
  version: string;
}

/**
 * What really happened, told by the resources themselves: a server on loopback, which Terraform's provisioners reach from
 * inside a sandbox too. Each line is answered once it is written down; until then the provisioner doesn't go on.
 */
export class Journal {
  readonly entries: JournalEntry[] = [];
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #file: WriteStream;

  private constructor(file: string) {
    this.#file = createWriteStream(file);
    this.#server = createServer((socket) => this.#listen(socket));
  }

  static async start(file: string): Promise<Journal> {
    const journal = new Journal(file);
    await new Promise<void>((resolve) => journal.#server.listen(0, '127.0.0.1', resolve));
    return journal;
  }

  get port(): number {
    return (this.#server.address() as { port: number }).port;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
    await new Promise((resolve) => this.#file.end(resolve));
  }

  #listen(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    let text = '';
    socket.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
        this.#write(text.slice(0, end), socket);
        text = text.slice(end + 1);
      }
    });
  }

  #write(line: string, socket: Socket): void {
    const [what, run = '', workspace = '', resource = '', version = ''] = line.split(' ');
    if (what !== 'begin' && what !== 'end') return void socket.destroy();
    const entry: JournalEntry = { at: Date.now(), what, run, workspace, resource, version };
    this.entries.push(entry);
    this.#file.write(`${new Date(entry.at).toISOString()} ${line}\n`, (error) => {
      if (error) socket.destroy();
      else socket.write('noted\n');
    });
  }
}
