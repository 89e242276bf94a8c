import {
  type BackendFactory,
  createRedisBackend,
  isNotConnectionError,
  Queue,
  type RedisQueueBackend,
  Worker,
} from 'bullmq';
import { Redis, type RedisOptions } from 'ioredis';
import {
  AGE_SECONDS,
  EVENTS_KEPT,
  type JobQueue,
  type JobWorker,
  LOCK_MS,
  type QueueBackend,
  within,
} from './backend.js';
import { Complaints, type QueueLog } from './complaints.js';

/** A command that Redis hasn't answered after this time has failed, in ms. */
const COMMAND_MS = 5_000;
const PING_MS = 2_000;
const LONGEST_PAUSE_MS = 2_000;

/** Three connections: one for commands, and two for the worker that waits (BullMQ blocks on one of them). */
export function openRedisBackend(options: { url: string; log: QueueLog; prefix?: string }): QueueBackend {
  const { url, prefix = 'signalbox' } = options;
  const complaints = new Complaints(options.log);
  const watch = (client: Redis) => {
    client.on('error', (error) => complaints.raise('redis', "Redis can't be reached: jobs wait", error));
    client.on('ready', () => complaints.settle('redis', 'Redis can be reached again'));
    return client;
  };

  // One reconnection is waited for. After that a caller learns that Redis is away, and may come again: a command that
  // waits for ever would be carried out when nobody expects it any more.
  const commands = watch(new Redis(url, { ...clientOptions, maxRetriesPerRequest: 1, commandTimeout: COMMAND_MS }));
  const waiting: Redis[] = [];
  const openWaiting = () => waitingClient(url, (client) => waiting.push(watch(client)));
  const shared = { connection: commands, prefix, skipVersionCheck: true, skipWaitingForReady: true };
  // Siblings of one backend share its connection, its scripts and its listeners.
  const root = createRedisBackend('root', { ...shared, lockDuration: LOCK_MS } as typeof shared);
  root.on('error', () => undefined);
  const sibling: BackendFactory<RedisQueueBackend> = (name) => root.forQueue(name, prefix) as RedisQueueBackend;

  return {
    kind: 'redis',
    queue: (name) =>
      new Queue(name, { ...shared, streams: { events: { maxLen: EVENTS_KEPT } } }, sibling) as unknown as JobQueue,
    fetcher: (name) => new Worker(name, null, { ...shared, autorun: false }, sibling) as unknown as JobWorker,
    worker: async (name, process, concurrency) => {
      const settings = { connection: openWaiting(), prefix, concurrency, lockDuration: LOCK_MS };
      const worker = new Worker(name, process, settings, createRedisBackend);
      // A lock that was lost, a job that was wiped: the record decides what that means.
      worker.on('error', (error) => {
        if (isNotConnectionError(error)) complaints.raise('worker', 'BullMQ reports an error', error);
      });
      return worker as unknown as JobWorker;
    },
    ageOut: (queue) => {
      const aging = commands.pipeline();
      for (const key of ['events', 'meta', 'id', 'marker']) aging.expire(queue.toKey(key), AGE_SECONDS);
      aging.exec().catch(() => undefined);
    },
    ping: async () => void (await within(PING_MS, 'Redis', commands.ping())),
    close: async () => {
      await commands.quit().catch(() => undefined);
      for (const client of [commands, ...waiting]) if (client.status !== 'end') client.disconnect();
    },
  };
}

const clientOptions = {
  connectionName: 'signalbox',
  connectTimeout: COMMAND_MS,
  keepAlive: 10_000,
  disconnectTimeout: 200,
  retryStrategy: (attempts) => Math.min(25 * 2 ** attempts, LONGEST_PAUSE_MS),
} satisfies RedisOptions;

/** BullMQ makes a copy of a worker's connection to block on: `opened` hears of that one too. */
function waitingClient(url: string, opened: (client: Redis) => void): Redis {
  const client = new Redis(url, { ...clientOptions, maxRetriesPerRequest: null });
  const duplicate = client.duplicate.bind(client);
  client.duplicate = (override) => {
    const copy = duplicate(override);
    opened(copy);
    return copy;
  };
  opened(client);
  return client;
}
