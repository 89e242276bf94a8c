import { createHash, timingSafeEqual } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { getRequestListener } from '@hono/node-server';
import { Hono } from 'hono';
import { checkReadiness, type ReadinessChecks } from './readiness.js';
import type { PagesEnv } from './routes/services.js';

/** Receives a webhook: GitHub's headers and the raw body in, a status and a line of text out. */
export type ReceiveWebhook = (request: {
  header: (name: string) => string | undefined;
  body: Uint8Array;
}) => Promise<{ status: 202 | 400 | 401 | 413 | 503; text: string }>;

export interface WebServerOptions {
  host: string | undefined;
  port: number;
  checks: ReadinessChecks;
  /** What waits, and why, for `/readyz`: fit for whoever reaches the port. */
  waiting?: () => Promise<object>;
  /** Undefined: there is no `/metrics`. */
  metrics?: MetricsEndpoint;
  /** Undefined in a process that is only a worker. */
  receiveWebhook: ReceiveWebhook | undefined;
  /** What people look at. Undefined in a process that is only a worker. */
  pages?: Hono<PagesEnv> | undefined;
  /** What is longer isn't read. */
  maxBodyBytes: number;
  /** Hears of what went wrong in here, and isn't told to the network. */
  onError?: (error: Error) => void;
}

export interface MetricsEndpoint {
  /** The whole answer. */
  text: () => Promise<string>;
  contentType: string;
  /** Whoever asks has to bring it as a bearer token. Undefined: anybody may ask. */
  token: string | undefined;
}

export interface WebServer {
  port: number;
  close(): Promise<void>;
}

/** How long requests under way may keep the server from closing, in ms: one that is sent slowly has no end. */
const CLOSE_MS = 5_000;

/** Serves webhooks, health, metrics and pages on one port. Resolves when it listens. */
export async function startWebServer(options: WebServerOptions): Promise<WebServer> {
  const app = new Hono();
  app.get('/healthz', (c) => c.text('ok'));
  app.get('/readyz', async (c) => {
    const readiness = await checkReadiness(options.checks, options.waiting);
    return c.json(readiness, readiness.ready ? 200 : 503);
  });
  const { receiveWebhook, metrics } = options;
  if (metrics) {
    app.get('/metrics', async (c) => {
      if (!mayRead(metrics, c.req.header('authorization'))) {
        return c.text('METRICS_TOKEN is needed, as a bearer token.', 401, { 'WWW-Authenticate': 'Bearer' });
      }
      return c.body(await metrics.text(), 200, { 'Content-Type': metrics.contentType });
    });
  }
  if (receiveWebhook) {
    app.post('/api/github/webhooks', async (c) => {
      const body = await readBody(c.req.raw, options.maxBodyBytes);
      if (body === undefined) return c.text('The payload is too large.', 413);
      const answer = await receiveWebhook({ body, header: (name) => c.req.header(name) });
      return c.text(answer.text, answer.status);
    });
  }
  if (options.pages) app.route('/', options.pages);
  app.notFound((c) => c.text('Not found', 404));
  app.onError((error, c) => {
    options.onError?.(error);
    return c.text('Internal error', 500);
  });

  const server = createServer(getRequestListener(app.fetch));
  await listen(server, options.port, options.host);
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeIdleConnections();
      const patience = setTimeout(() => server.closeAllConnections(), CLOSE_MS);
      await closed;
      clearTimeout(patience);
    },
  };
}

/** Compares in a time that tells nothing about the token. */
function mayRead({ token }: MetricsEndpoint, authorization: string | undefined): boolean {
  if (token === undefined) return true;
  const given = /^Bearer +(\S+)$/i.exec(authorization ?? '')?.[1] ?? '';
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(token));
}

/** Yields undefined as soon as there is more than `limit`. */
async function readBody(request: Request, limit: number): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = [];
  let length = 0;
  for await (const piece of (request.body ?? []) as AsyncIterable<Uint8Array>) {
    length += piece.byteLength;
    if (length > limit) return undefined;
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

async function listen(server: Server, port: number, host: string | undefined): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
