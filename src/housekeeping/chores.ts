import { join } from 'node:path';
import type { Config } from '../config.js';
import type { Db } from '../db/pool.js';
import type { Mirrors } from '../git/mirror.js';
import type { Log } from '../log.js';
import type { WorkDirectories } from '../worker/work-directory.js';
import type { Chore } from './housekeeper.js';
import { mirrorChore } from './mirrors.js';
import { providerChore } from './providers.js';
import { recordChores } from './record.js';
import { serverLogChore } from './server-log.js';
import { keptStateChore, workChore, workRoots } from './work.js';

/** What this process has to keep in order: the record, which all do in turn, and its own DATA_DIR. */
export function choresOf(options: {
  config: Config;
  db: Db;
  mirrors: Mirrors;
  /** Undefined: this process works on no runs. */
  workDirectories: WorkDirectories | undefined;
  log: Log;
}): Chore[] {
  const { config, db, mirrors, workDirectories, log } = options;
  const { dataDirectory } = config;
  const work = join(dataDirectory, 'work');
  return [
    ...recordChores(db, config),
    mirrorChore(mirrors, join(dataDirectory, 'mirrors'), config.mirrorsMaxSize),
    ...(config.databaseUrl === undefined ? [serverLogChore(join(dataDirectory, 'postgres', 'log'))] : []),
    ...(workDirectories
      ? [
          workChore(db, workDirectories),
          keptStateChore(work, config.keepSnapshotDays, log),
          providerChore(join(dataDirectory, 'providers'), () => workRoots(db, work), config.providersMaxSize),
        ]
      : []),
  ];
}
