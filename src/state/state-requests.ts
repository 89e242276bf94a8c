import { createHash } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { z } from 'zod';
import type { StateLock } from '../db/schema.js';
import type { Log } from '../log.js';
import { StateFileError } from '../terraform/state-file.js';
import { ReadOnly, type RegisteredRun } from './registered-run.js';
import { StateRevoked } from './state-versions.js';
import { isDiskFull } from './write-durably.js';

/** Terraform's largest states have some 100 MB. In bytes. */
const LARGEST_BODY = 256 * 1024 * 1024;
const PATH = /^\/runs\/([\w-]{1,64})\/state$/;

const lockInfo = z.looseObject({ ID: z.string().min(1) });

/** An answer that is no success. The message is for Terraform's log. */
class Refusal extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly holder?: StateLock,
  ) {
    super(message);
  }
}

/**
 * Terraform's `http` backend, as the server sees it. Terraform tries again after 5xx and broken connections, and gives up
 * after anything else.
 */
export class StateRequests {
  readonly #runs: ReadonlyMap<string, RegisteredRun>;
  readonly #log: Log;

  constructor(runs: ReadonlyMap<string, RegisteredRun>, log: Log) {
    this.#runs = runs;
    this.#log = log;
  }

  async answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const url = new URL(request.url ?? '/', 'http://localhost');
      const run = this.#authenticate(request, url);
      const state = await this.#act(run, request, url);
      if (state === undefined) response.writeHead(request.method === 'GET' ? 204 : 200).end();
      else response.writeHead(200, { 'content-type': 'application/json' }).end(state);
    } catch (error) {
      this.#refuse(response, toRefusal(error), error);
    }
  }

  /** A run that isn't registered may be one that is about to be adopted: Terraform is to ask again. */
  #authenticate({ headers: { authorization = '' } }: IncomingMessage, { pathname }: URL): RegisteredRun {
    const id = PATH.exec(pathname)?.[1];
    if (id === undefined) throw new Refusal(404, 'There is nothing here.');
    const [, encoded = ''] = /^basic (.+)$/i.exec(authorization) ?? [];
    const credentials = Buffer.from(encoded, 'base64').toString();
    const colon = credentials.indexOf(':');
    if (colon < 0 || credentials.slice(0, colon) !== id) throw new Refusal(401, 'These are not the credentials.');
    const run = this.#runs.get(id);
    if (run === undefined) throw new Refusal(503, 'This run is not known here.');
    if (!run.accepts(credentials.slice(colon + 1))) throw new Refusal(401, 'These are not the credentials.');
    return run;
  }

  async #act(run: RegisteredRun, request: IncomingMessage, url: URL): Promise<Buffer | undefined> {
    switch (request.method) {
      case 'GET':
        return run.read();
      case 'POST': {
        const holder = run.conflict(url.searchParams.get('ID') ?? '');
        if (url.searchParams.has('ID') && holder) throw new Refusal(409, 'The state is locked by another one.', holder);
        await run.write(await bodyOf(request));
        return undefined;
      }
      case 'LOCK': {
        const info = parseLock(await bodyOf(request));
        if (info === undefined) throw new Refusal(400, 'This is no lock.');
        throwIfHeld(await run.lock(info));
        return undefined;
      }
      case 'UNLOCK':
        throwIfHeld(await run.unlock(parseLock(await bodyOf(request))?.ID));
        return undefined;
      default:
        throw new Refusal(405, 'This method is not supported.');
    }
  }

  #refuse(response: ServerResponse, refusal: Refusal, error: unknown): void {
    if (refusal.status === 500) this.#log.error({ err: error }, 'A request for state failed');
    if (response.headersSent) return void response.destroy();
    // A body that wasn't read would be taken for the next request.
    const headers = {
      connection: 'close',
      ...(refusal.status === 401 && { 'www-authenticate': 'Basic realm="state"' }),
    };
    if (refusal.holder === undefined) response.writeHead(refusal.status, headers).end(`${refusal.message}\n`);
    else response.writeHead(refusal.status, headers).end(JSON.stringify(refusal.holder.info));
  }
}

function throwIfHeld(holder: StateLock | undefined): void {
  if (holder) throw new Refusal(423, 'The state is locked.', holder);
}

function toRefusal(error: unknown): Refusal {
  if (error instanceof Refusal) return error;
  if (error instanceof StateRevoked) return new Refusal(403, "This run's credentials were revoked.");
  if (error instanceof ReadOnly) return new Refusal(403, error.message);
  if (error instanceof StateFileError) return new Refusal(400, error.message);
  if (isDiskFull(error)) return new Refusal(507, "The worker's disk is full.");
  if ((error as Error).name === 'TookTooLong') return new Refusal(503, 'The record does not answer.');
  return new Refusal(500, 'Something went wrong.');
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const tooLarge = new Refusal(413, 'The limit is 256 MiB.');
  if (Number(request.headers['content-length'] ?? 0) > LARGEST_BODY) throw tooLarge;
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > LARGEST_BODY) throw tooLarge;
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const expected = request.headers['content-md5'];
  if (expected !== undefined && expected !== createHash('md5').update(body).digest('base64')) {
    throw new Refusal(400, 'The state changed on the way.');
  }
  return body;
}

function parseLock(body: Buffer): StateLock['info'] | undefined {
  try {
    const parsed = lockInfo.safeParse(JSON.parse(body.toString()));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined;
  }
}
