import { AsyncLocalStorage } from 'node:async_hooks';
import { sql } from 'kysely';
import type { Context } from 'probot';
import type { Db, Tx } from '../db/pool.js';
import type { Delivery, Repository } from '../db/schema.js';
import type { Mirrors } from '../git/mirror.js';
import type { Log } from '../log.js';
import type { InstallationOctokit, OctokitFor } from '../octokit.js';
import { type NotedEvent, notedIn } from '../runs/noted.js';
import { isRefusedToken } from './failures.js';
import { repository as findRepository, followRepository } from './repositories.js';

export type EventName = Context['name'];
type Payload<E extends EventName> = Context<E>['payload'];

/** What handlers need beside the event itself. */
export interface Services {
  db: Db;
  mirrors: Mirrors;
  /** The number of our own App: other Apps' check runs are none of our business. */
  appId: number;
  /** Signed in as the App itself, which knows its installations. */
  app: InstallationOctokit;
  octokitFor: OctokitFor;
  log: Log;
}

/** What a handler may do for one repository, and as whom. */
export interface RepositoryScope extends Services {
  repository: Repository;
  octokit: InstallationOctokit;
}

/** One delivery about a repository, as a handler gets it. */
export interface RepositoryDelivery extends RepositoryScope {
  /** When we had it, by the database's clock. */
  receivedAt: Date;
  /**
   * Runs the changes and marks the delivery done, in one transaction: they happen exactly once. At most one call a
   * handler; a handler that changes nothing needn't call it. The network is never used inside.
   */
  commit<T>(changes: (tx: Tx) => Promise<T>): Promise<T>;
}

/** One webhook. */
export interface Received<E extends EventName> extends RepositoryDelivery {
  payload: Payload<E>;
}

export type InstallationReceived<E extends EventName> = Omit<Received<E>, 'repository'>;

/** Somebody else has claimed the delivery since, because this process seemed dead. Nothing was changed. */
export class ClaimLost extends Error {
  constructor(guid: string) {
    super(`Delivery ${guid} was claimed by another process.`);
    this.name = 'ClaimLost';
  }
}

/** One attempt to handle a recorded delivery. */
export class Handling {
  readonly #db: Db;
  readonly delivery: Delivery;
  done = false;
  /** What has happened to runs. */
  events: readonly NotedEvent[] = [];
  /** What the handler threw: kept here, because Probot would log it a second time and wrap it. */
  error: unknown;

  constructor(db: Db, delivery: Delivery) {
    this.#db = db;
    this.delivery = delivery;
  }

  async commit<T>(changes: (tx: Tx) => Promise<T>): Promise<T> {
    const { id, guid, attempts } = this.delivery;
    if (this.done) throw new Error(`Delivery ${guid} is done already.`);
    let events = this.events;
    const result = await this.#db.transaction().execute(async (tx) => {
      const marked = await tx
        .updateTable('deliveries')
        .set({ done_at: sql`now()`, claimed_until: null, error: null })
        .where('id', '=', id)
        .where('attempts', '=', attempts)
        .where('done_at', 'is', null)
        .returning('id')
        .executeTakeFirst();
      if (!marked) throw new ClaimLost(guid);
      const changed = await changes(tx);
      events = notedIn(tx);
      return changed;
    });
    this.done = true;
    this.events = events;
    return result;
  }
}

const current = new AsyncLocalStorage<Handling>();

/** Runs `receive`, in which handlers find this handling, and throws what the handler threw, as it was. */
export async function handleWith(handling: Handling, receive: () => Promise<void>): Promise<void> {
  try {
    await current.run(handling, receive);
  } catch (error) {
    throw error instanceof AggregateError ? error.errors[0] : error;
  }
  if (handling.error !== undefined) throw handling.error;
}

/** Octokit would use a token that GitHub refuses until its time is up, and the delivery would be given up by then. */
export async function renewToken(octokit: InstallationOctokit): Promise<void> {
  await octokit.auth({ type: 'installation', refresh: true }).catch(() => undefined);
}

/** Makes a Probot handler of a handler for events of a repository, whose row is brought up to date first. */
export function onRepository<E extends EventName>(services: Services, handle: (event: Received<E>) => Promise<void>) {
  return onInstallation<E>(services, async (event) => {
    await handle({ ...event, repository: await followRepository(services.db, event.payload) });
  });
}

/** Makes a Probot handler of a handler for events that belong to no repository. */
export function onInstallation<E extends EventName>(
  services: Services,
  handle: (event: InstallationReceived<E>) => Promise<void>,
) {
  return async (context: Context<E>): Promise<void> => {
    const handling = current.getStore();
    if (!handling) throw new Error(`Webhook ${context.id} came past the record.`);
    const { payload, octokit } = context;
    const log = services.log.child({ delivery: context.id, event: context.name });
    const receivedAt = handling.delivery.received_at;
    try {
      await handle({ ...services, log, payload, octokit, receivedAt, commit: (changes) => handling.commit(changes) });
    } catch (error) {
      handling.error = error ?? new Error('A handler threw nothing.');
      if (isRefusedToken(error)) await renewToken(octokit);
    }
  };
}

/** What Signalbox delivers to itself: GitHub's deliveries have no such names, and none is taken by HTTP. */
export interface OwnEvent {
  id: string;
  name: string;
  payload: { repository: { id: number } };
}

/** Runs a handler for a delivery of our own, in the order of its repository's webhooks. */
export async function onOwnEvent<E extends OwnEvent>(
  services: Services,
  event: E,
  handle: (delivery: RepositoryDelivery) => Promise<void>,
): Promise<void> {
  const handling = current.getStore();
  if (!handling) throw new Error(`${event.name} came past the record.`);
  const repository = await findRepository(services.db, event.payload.repository.id);
  const octokit = await services.octokitFor(repository.installation_id);
  const log = services.log.child({ delivery: event.id, event: event.name });
  const receivedAt = handling.delivery.received_at;
  try {
    await handle({ ...services, log, repository, octokit, receivedAt, commit: (changes) => handling.commit(changes) });
  } catch (error) {
    if (isRefusedToken(error)) await renewToken(octokit);
    throw error;
  }
}
