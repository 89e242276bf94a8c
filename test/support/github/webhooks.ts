import { createHmac, randomInt, randomUUID } from 'node:crypto';
import { request } from 'node:http';
import type { Account } from './accounts.js';
import { type App, covers, type Installation } from './app.js';
import type { Json } from './http.js';
import { nodeId, timestamp } from './ids.js';
import type { LocalGitHub } from './local-github.js';
import { type Repository, repositoryJson } from './repository.js';

/** One attempt to deliver an event. */
export interface Delivery {
  /** Beyond 2^53, as github.com's are. */
  id: bigint;
  /** The same for all attempts: `X-GitHub-Delivery`. */
  guid: string;
  app: App;
  event: string;
  action: string | undefined;
  installationId: number | undefined;
  repository: Repository | undefined;
  redelivery: boolean;
  deliveredAt: string;
  /** Seconds. */
  duration: number;
  /** `pending` until it was answered; then `OK`, `Invalid HTTP Response: 500`, `timed out`, `failed to connect to host`. */
  status: string;
  statusCode: number;
  url: string;
  requestHeaders: Record<string, string>;
  /** The exact bytes that were signed. */
  body: string;
  payload: Json;
  responseHeaders: Record<string, string>;
  responseBody: string;
}

export interface Emission {
  event: string;
  action?: string;
  repository?: Repository;
  sender: Account;
  payload: Json;
  /** Delivered to this App only, as GitHub does with a check's own events. */
  onlyTo?: App;
  /** For events of an installation, which need no subscription. */
  installation?: Installation;
}

/** GitHub waits ten seconds for an answer. */
const TIMEOUT = 10_000;

interface Loss {
  matches: (delivery: Delivery) => boolean;
  left: number;
  recorded: boolean;
}

/** Signs, delivers and records events: in order for each repository, tried once. */
export class Webhooks {
  readonly deliveries: Delivery[] = [];
  readonly #queues = new Map<string, Promise<void>>();
  readonly #losses: Loss[] = [];
  readonly #stopped = new AbortController();
  #lastId = 9_007_199_254_740_993n + BigInt(randomInt(1_000_000));

  constructor(private readonly github: LocalGitHub) {}

  emit(emission: Emission): void {
    const { event, repository } = emission;
    for (const installation of this.github.installations.values()) {
      const { app } = installation;
      if (emission.onlyTo && emission.onlyTo !== app) continue;
      if (
        emission.installation
          ? emission.installation !== installation
          : !repository || !covers(installation, repository)
      )
        continue;
      if (!emission.installation && (installation.suspendedAt !== null || !app.events.includes(event))) continue;
      if (app.webhookUrl) this.#enqueue(this.#delivery(emission, installation, app.webhookUrl));
    }
  }

  /** GitHub's greeting of a new webhook. */
  ping(app: App): void {
    if (!app.webhookUrl) return;
    const config = { content_type: 'json', insecure_ssl: '0', secret: '********', url: app.webhookUrl };
    const times = { created_at: app.createdAt, updated_at: app.createdAt };
    const { id: app_id, events } = app;
    const hook = { type: 'App', id: app.hookId, name: 'web', active: true, events, app_id, config, ...times };
    const payload = { zen: 'Keep it logically awesome.', hook_id: app.hookId, hook };
    this.#enqueue(this.#build(app, app.webhookUrl, 'ping', undefined, payload));
  }

  redeliver(original: Delivery): Delivery {
    const again = this.#build(
      original.app,
      original.app.webhookUrl ?? original.url,
      original.event,
      original.action,
      original.payload,
      original.guid,
    );
    Object.assign(again, {
      installationId: original.installationId,
      repository: original.repository,
      redelivery: true,
    });
    this.#enqueue(again);
    return again;
  }

  /** See {@link LocalGitHub.loseDeliveries}. */
  lose(which: number | ((delivery: Delivery) => boolean), recorded: boolean): { stop(): void } {
    const loss: Loss =
      typeof which === 'number'
        ? { matches: () => true, left: which, recorded }
        : { matches: which, left: Number.POSITIVE_INFINITY, recorded };
    this.#losses.push(loss);
    return {
      stop: () => {
        loss.left = 0;
      },
    };
  }

  /** What was not delivered yet isn't any more. */
  stop(): void {
    this.#stopped.abort();
  }

  async settled(): Promise<void> {
    while (this.#queues.size > 0) await Promise.all(this.#queues.values());
  }

  #delivery(emission: Emission, installation: Installation, url: string): Delivery {
    const { repository, sender, event, action } = emission;
    const { accounts } = this.github;
    const payload: Json = {
      ...(action ? { action } : {}),
      ...(repository ? { repository: repositoryJson(repository) } : {}),
      ...(repository?.owner.type === 'Organization'
        ? { organization: accounts.organizationJson(repository.owner) }
        : {}),
      sender: accounts.json(sender),
      ...(emission.installation
        ? {}
        : { installation: { id: installation.id, node_id: nodeId('Integration', installation.id) } }),
      ...emission.payload,
    };
    const delivery = this.#build(installation.app, url, event, action, payload);
    delivery.installationId = installation.id;
    delivery.repository = repository;
    return delivery;
  }

  #build(
    app: App,
    url: string,
    event: string,
    action: string | undefined,
    payload: Json,
    guid: string = randomUUID(),
  ): Delivery {
    const body = JSON.stringify(payload);
    const signature = (algorithm: string) => createHmac(algorithm, app.webhookSecret).update(body).digest('hex');
    this.#lastId += BigInt(randomInt(1, 1_000_000));
    return {
      id: this.#lastId,
      guid,
      app,
      event,
      action,
      installationId: undefined,
      repository: undefined,
      redelivery: false,
      deliveredAt: timestamp(),
      duration: 0,
      status: 'pending',
      statusCode: 0,
      url,
      requestHeaders: {
        Accept: '*/*',
        'Content-Type': 'application/json',
        'User-Agent': 'GitHub-Hookshot/a1b2c3d',
        'X-GitHub-Delivery': guid,
        'X-GitHub-Enterprise-Host': this.github.host,
        'X-GitHub-Enterprise-Version': '3.19.0',
        'X-GitHub-Event': event,
        'X-GitHub-Hook-ID': String(app.hookId),
        'X-GitHub-Hook-Installation-Target-ID': String(app.id),
        'X-GitHub-Hook-Installation-Target-Type': 'integration',
        ...(app.webhookSecret
          ? { 'X-Hub-Signature': `sha1=${signature('sha1')}`, 'X-Hub-Signature-256': `sha256=${signature('sha256')}` }
          : {}),
      },
      body,
      payload: JSON.parse(body) as Json,
      responseHeaders: {},
      responseBody: '',
    };
  }

  #enqueue(delivery: Delivery): void {
    const loss = this.#losses.find((each) => each.left > 0 && each.matches(delivery));
    if (loss) loss.left -= 1;
    if (loss && !loss.recorded) return;
    this.deliveries.push(delivery);
    const key = delivery.repository?.fullName ?? '';
    const before = this.#queues.get(key) ?? Promise.resolve();
    const done: Promise<void> = before
      .then(() => (loss ? finish(delivery, 'failed to connect to host', 502) : send(delivery, this.#stopped.signal)))
      .finally(() => {
        if (this.#queues.get(key) === done) this.#queues.delete(key);
      });
    this.#queues.set(key, done);
  }
}

function finish(delivery: Delivery, status: string, statusCode: number): void {
  Object.assign(delivery, { status, statusCode });
}

function send(delivery: Delivery, signal: AbortSignal): Promise<void> {
  const started = performance.now();
  delivery.deliveredAt = new Date().toISOString();
  return new Promise((resolve) => {
    const end = (status: string, code: number) => {
      if (delivery.status !== 'pending') return;
      delivery.duration = Math.round(performance.now() - started) / 1000;
      finish(delivery, status, code);
      resolve();
    };
    const headers = { ...delivery.requestHeaders, 'Content-Length': Buffer.byteLength(delivery.body) };
    const outgoing = request(delivery.url, { method: 'POST', headers, agent: false, signal }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', () => end('failed to connect to host', 502));
      response.on('end', () => {
        const code = response.statusCode ?? 0;
        delivery.responseBody = Buffer.concat(chunks).toString();
        for (const [name, value] of Object.entries(response.headers)) delivery.responseHeaders[name] = String(value);
        end(code >= 200 && code < 300 ? 'OK' : `Invalid HTTP Response: ${code}`, code);
      });
    });
    const timer = setTimeout(() => {
      end('timed out', 504);
      outgoing.destroy();
    }, TIMEOUT);
    outgoing.on('close', () => clearTimeout(timer));
    outgoing.on('error', () => end('failed to connect to host', 502));
    outgoing.end(delivery.body);
  });
}
