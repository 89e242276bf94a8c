import { randomInt } from 'node:crypto';
import { createServer, type RequestListener, type Server } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';

const HOST = '127.0.0.1';
/**
 * Ports below those that Linux gives to outgoing connections (32768 and up): a port that a run depends on mustn't be taken
 * by a passing connection during a restart.
 */
const FIRST_PORT = 20_000;
const LAST_PORT = 32_767;
const TRIES = 50;
/** How long an earlier process of ours may take to let go of a port, in ms. */
const PATIENCE_MS = 10_000;

/** A run's port is taken by somebody else: its Terraform can't hand in its state there. */
export class PortTaken extends Error {
  override name = 'PortTaken';
  constructor(readonly port: number) {
    super(`Port ${port} of ${HOST} is in use by another program.`);
  }
}

/** One handler behind several loopback ports. */
export class Listeners {
  readonly #handler: RequestListener;
  readonly #servers = new Map<number, Server>();

  constructor(handler: RequestListener) {
    this.#handler = handler;
  }

  /** Listens on a port that nobody has. */
  async listenAnywhere(): Promise<number> {
    for (let tried = 0; tried < TRIES; tried++) {
      const port = await this.#tryListen(randomInt(FIRST_PORT, LAST_PORT + 1));
      if (port !== undefined) return port;
    }
    return (await this.#tryListen(0)) ?? Promise.reject(new Error(`No port of ${HOST} is free.`));
  }

  /** Listens on this very port, if we don't yet. Throws PortTaken. */
  async listen(port: number): Promise<void> {
    const deadline = Date.now() + PATIENCE_MS;
    while (!this.#servers.has(port) && (await this.#tryListen(port)) === undefined) {
      if (Date.now() > deadline) throw new PortTaken(port);
      await sleep(100);
    }
  }

  /** Stops listening there, after the requests under way. */
  async close(port: number): Promise<void> {
    const server = this.#servers.get(port);
    if (!server) return;
    this.#servers.delete(port);
    // A connection whose request ends only now becomes idle after `close`, and would keep it waiting for a minute.
    const sweep = setInterval(() => server.closeIdleConnections(), 20);
    await new Promise((resolve) => server.close(resolve));
    clearInterval(sweep);
  }

  async closeAll(): Promise<void> {
    await Promise.all([...this.#servers.keys()].map((port) => this.close(port)));
  }

  /** Yields the port, or undefined when somebody else has it. */
  async #tryListen(port: number): Promise<number | undefined> {
    const server = createServer({ keepAliveTimeout: 60_000 }, this.#handler);
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, HOST, resolve);
      });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EADDRINUSE') return undefined;
      throw error;
    }
    const address = server.address();
    const taken = typeof address === 'object' && address ? address.port : port;
    this.#servers.set(taken, server);
    return taken;
  }
}
