import type { Db } from '../db/pool.js';
import type { Repository } from '../db/schema.js';
import type { Log } from '../log.js';
import type { GitHubCalls } from './github-calls.js';
import type { Addresses } from './words.js';

/** What every report needs. */
export interface ReportContext {
  db: Db;
  calls: GitHubCalls;
  addresses: Addresses;
  /** The App's own account, `<slug>[bot]`: by it our comments and check runs are told from others'. */
  botLogin: () => Promise<string>;
  log: Pick<Log, 'info' | 'warn' | 'error'>;
}

export async function findRepository({ db }: ReportContext, id: number): Promise<Repository | undefined> {
  return db.selectFrom('repositories').selectAll().where('id', '=', id).executeTakeFirst();
}
