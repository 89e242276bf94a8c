import type { QueueBackend } from './backend.js';
import type { QueueLog } from './complaints.js';
import { openPostgresBackend } from './postgres-backend.js';
import { openRedisBackend } from './redis-backend.js';

export interface BackendOptions {
  /** Redis carries the jobs if this is given, else PostgreSQL does. */
  redisUrl: string | undefined;
  /** The record's database: BullMQ gets the schema `bullmq` of it, made and migrated here. */
  databaseUrl: string;
  log: QueueLog;
  /** What the keys in Redis begin with. */
  prefix?: string;
}

export async function openBackend({ redisUrl, databaseUrl, log, prefix }: BackendOptions): Promise<QueueBackend> {
  if (redisUrl !== undefined) return openRedisBackend({ url: redisUrl, log, ...(prefix ? { prefix } : {}) });
  return openPostgresBackend({ connectionString: databaseUrl, log });
}
