import { join } from 'node:path';
import { sql } from 'kysely';
import type { Log } from '../log.js';
import { Complaints } from '../queue/complaints.js';
import { type EmbeddedPostgres, startEmbeddedPostgres } from './embedded.js';
import { migrate } from './migrate.js';
import { Notifications } from './notifications.js';
import { isAway } from './outage.js';
import { createDb, createPool, type Db } from './pool.js';
import { type Supervision, supervise } from './supervision.js';

/** The open record. */
export interface OpenRecord {
  url: string;
  db: Db;
  notifications: Notifications;
  /** Throws when the database doesn't answer. */
  ping(): Promise<void>;
  close(): Promise<void>;
}

/** The record can't be opened. The message is for whoever starts Signalbox. */
export class RecordUnavailable extends Error {
  override name = 'RecordUnavailable';
}

/** Connections beyond those that slots need, for webhooks, reports and the outbox. */
const BASE_CONNECTIONS = 8;
const FIRST_RETRY_MS = 500;
const PATIENCE_MS = 60_000;

/**
 * Opens the record, brings it to this version, and listens for wake-ups. Without a `databaseUrl` it is the embedded
 * PostgreSQL in the data directory. A database that isn't there yet is waited for, for a minute.
 */
export async function openRecord(options: {
  databaseUrl: string | undefined;
  dataDirectory: string;
  slots: number;
  log: Log;
}): Promise<OpenRecord> {
  const { log } = options;
  let embedded: EmbeddedPostgres | undefined;
  let supervision: Supervision | undefined;
  if (options.databaseUrl === undefined) {
    embedded = await startEmbeddedPostgres(join(options.dataDirectory, 'postgres'));
    supervision = supervise(embedded, log);
  }
  const stopEmbedded = async () => {
    await supervision?.end();
    await embedded?.stop();
  };
  const url = embedded?.url ?? options.databaseUrl ?? '';
  const complaints = new Complaints(log);
  const onError = (error: Error) => complaints.raise('postgres', 'Connections to PostgreSQL break', error);
  const pool = createPool({ connectionString: url, max: BASE_CONNECTIONS + options.slots, onError });
  const db = createDb(pool);
  const notifications = new Notifications(url, onError, () =>
    complaints.settle('postgres', 'PostgreSQL can be reached again'),
  );
  try {
    await waitFor(db, log);
    await migrate(db);
    await notifications.start();
  } catch (error) {
    await notifications.close();
    await db.destroy();
    await stopEmbedded().catch(() => undefined);
    throw error;
  }
  return {
    url,
    db,
    notifications,
    ping: () => ping(db),
    close: async () => {
      await notifications.close();
      await db.destroy();
      await stopEmbedded();
    },
  };
}

async function ping(db: Db): Promise<void> {
  await sql`select 1`.execute(db);
}

async function waitFor(db: Db, log: Log): Promise<void> {
  const deadline = Date.now() + PATIENCE_MS;
  const complaints = new Complaints(log);
  for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, 5_000)) {
    try {
      await ping(db);
      return complaints.settle('postgres', 'PostgreSQL answers');
    } catch (error) {
      const reason = describe(error);
      if (Date.now() > deadline || !isTemporary(error)) {
        throw new RecordUnavailable(`PostgreSQL at DATABASE_URL can't be used: ${reason}`);
      }
      complaints.raise('postgres', 'PostgreSQL does not answer yet: it is tried for a minute', error);
      await new Promise((resolve) => setTimeout(resolve, pause));
    }
  }
}

/** Wrong passwords and missing databases don't mend themselves; refused connections and servers that start up do. */
function isTemporary(error: unknown): boolean {
  return isAway(error) || ((error as { code?: string }).code ?? '') === '';
}

function describe(error: unknown): string {
  const { code, message } = error as { code?: string; message?: string };
  return message || code || 'no reason given';
}
