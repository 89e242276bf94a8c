import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { hcl } from './world.js';

const STATE = JSON.stringify({
  ...{ version: 4, terraform_version: '1.9.0', serial: 1, lineage: '5b3c8d6e', outputs: {}, resources: [] },
});

/** What Terraform waits for until a test opens it: a plan takes as long as the test wants. */
export class Gates {
  readonly #open = new Set<string>();
  readonly #waiting = new Map<string, ServerResponse[]>();

  private constructor(private readonly server: Server) {
    server.on('request', (request, response) => {
      const name = request.url?.slice(1) ?? '';
      if (this.#open.has(name)) response.end(STATE);
      else this.#waiting.set(name, [...(this.#waiting.get(name) ?? []), response]);
    });
  }

  static async start(): Promise<Gates> {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new Gates(server);
  }

  /** A data source that is read once the gate of this name is open. Terraform can't be interrupted meanwhile. */
  data(name: string, more = ''): string {
    const { port } = this.server.address() as AddressInfo;
    return `data "terraform_remote_state" "${name}" {
  backend = "http"
  config = { address = ${hcl(`http://127.0.0.1:${port}/${name}`)} }
  ${more}
}
`;
  }

  open(name: string): void {
    this.#open.add(name);
    for (const response of this.#waiting.get(name) ?? []) response.end(STATE);
    this.#waiting.delete(name);
  }

  openAll(): void {
    for (const name of this.#waiting.keys()) this.open(name);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    this.server.close();
    await once(this.server, 'close');
  }
}
