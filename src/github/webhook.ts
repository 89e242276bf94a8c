import type { Db } from '../db/pool.js';
import type { Log } from '../log.js';
import type { Complaints } from '../queue/complaints.js';
import { recordDelivery } from './deliveries.js';

/** GitHub sends no more, in bytes. */
export const MAX_WEBHOOK_BYTES = 25 * 1024 * 1024;

export interface WebhookRequest {
  /** By a name in lower case. */
  header: (name: string) => string | undefined;
  /** Exactly what was sent. */
  body: Uint8Array;
}

export interface WebhookAnswer {
  status: 202 | 400 | 401 | 413 | 503;
  /** One line, for whoever looks at the delivery on GitHub. */
  text: string;
}

export interface WebhookOptions {
  db: Db;
  /** `probot.webhooks.verify`. */
  verify: (body: string, signature: string) => Promise<boolean>;
  /** Events that have a handler, as `push` or `check_run.rerequested`. The others aren't recorded. */
  events: ReadonlySet<string>;
  log: Log;
  /** In an outage many webhooks meet the same error. */
  complaints: Complaints;
}

/** Answers a webhook once it is in the record, where it is handled from; or says why it is not. */
export async function answerWebhook(options: WebhookOptions, request: WebhookRequest): Promise<WebhookAnswer> {
  if (request.body.byteLength > MAX_WEBHOOK_BYTES) return { status: 413, text: 'The payload is larger than 25 MiB.' };
  const signature = request.header('x-hub-signature-256');
  const body = Buffer.from(request.body).toString('utf8');
  if (!signature) return { status: 401, text: 'The signature (X-Hub-Signature-256) is missing.' };
  if (!(await isSigned(options, body, signature))) {
    return { status: 401, text: "The signature doesn't match: is WEBHOOK_SECRET the App's webhook secret?" };
  }

  const guid = request.header('x-github-delivery') ?? '';
  const event = request.header('x-github-event') ?? '';
  if (!/^[\w-]{1,100}$/.test(guid)) return { status: 400, text: 'X-GitHub-Delivery is missing or malformed.' };
  if (!/^\w{1,100}$/.test(event)) return { status: 400, text: 'X-GitHub-Event is missing or malformed.' };
  const payload = parse(body);
  if (!payload) return { status: 400, text: "The body is no JSON object: is the webhook's content type JSON?" };
  if (!options.events.has(event) && !options.events.has(`${event}.${payload.action}`)) {
    return { status: 202, text: 'Nothing to do for this event.' };
  }

  try {
    const { id } = payload.repository ?? {};
    await recordDelivery(options.db, { guid, event, body, repositoryId: Number.isSafeInteger(id) ? id : undefined });
    options.complaints.settle('webhooks', 'Deliveries are recorded again');
    options.log.debug({ delivery: guid, event, action: payload.action }, 'A delivery was recorded');
    return { status: 202, text: 'Recorded.' };
  } catch (error) {
    const names = { delivery: guid, event };
    const message = 'A delivery could not be recorded: GitHub has it, as it has others that come meanwhile';
    options.complaints.raise('webhooks', message, error, names);
    options.log.debug({ err: error, ...names }, 'A delivery could not be recorded');
    return { status: 503, text: 'The delivery could not be recorded: redeliver it later.' };
  }
}

async function isSigned({ verify }: WebhookOptions, body: string, signature: string): Promise<boolean> {
  try {
    return await verify(body, signature);
  } catch {
    // Octokit throws for what it takes for no signature at all.
    return false;
  }
}

function parse(body: string): { action?: unknown; repository?: { id?: number } | null } | undefined {
  try {
    const payload = JSON.parse(body);
    return typeof payload === 'object' && payload !== null && !Array.isArray(payload) ? payload : undefined;
  } catch {
    return undefined;
  }
}
