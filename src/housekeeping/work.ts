import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Db } from '../db/pool.js';
import type { Run } from '../db/schema.js';
import type { Log } from '../log.js';
import { holdsLiveProcess } from '../terraform/held-processes.js';
import { removeTree, type WorkDirectories } from '../worker/work-directory.js';
import type { Chore } from './housekeeper.js';

const DAY_MS = 24 * 3_600_000;
/** So long after its run's end a directory is kept: a worker that was cut off may have something to hand in. */
const KEPT_AFTER_END_DAYS = 1;

/**
 * Directories of runs that a process which died has left behind. Those of runs that aren't at their end are never touched,
 * nor those in which a Terraform lives, nor those that the record knows nothing of.
 */
export function workChore(db: Db, directories: WorkDirectories): Chore {
  return {
    name: 'work directories',
    run: async (signal) => {
      let removed = 0;
      for (const name of await directories.list()) {
        if (signal.aborted) break;
        const judge = async (root: string) => {
          if (Date.now() - (await stat(root)).mtimeMs < KEPT_AFTER_END_DAYS * DAY_MS) return undefined;
          const last = await lastRunIn(db, name);
          if (last === undefined || (await holdsLiveProcess(join(root, 'control')))) return undefined;
          return { ...last, module: last.settings.directory };
        };
        if (await directories.removeAbandoned(name, judge)) removed += 1;
      }
      return removed;
    },
  };
}

/** The run that had a directory last, if that and all others that might want it ended long enough ago. */
async function lastRunIn(db: Db, name: string): Promise<Run | undefined> {
  const runs = db.selectFrom('runs').selectAll().where('attempt', '>', 0).orderBy('sequence', 'desc');
  const candidates = name.startsWith('run-')
    ? runs.where('id', '=', name)
    : runs.where('workspace_id', '=', Number(name)).where('speculative', '=', false);
  const needed = await candidates
    .where(sql<boolean>`(ended_at is null or ended_at > now() - make_interval(days => ${KEPT_AFTER_END_DAYS}))`)
    .limit(1)
    .executeTakeFirst();
  return needed ? undefined : candidates.limit(1).executeTakeFirst();
}

/** Where runs of this worker may be: its own directories, and those of other workers in which a plan was made. */
export async function workRoots(db: Db, workRoot: string): Promise<string[]> {
  const runs = await db
    .selectFrom('runs')
    .select('work_directory')
    .where('ended_at', 'is', null)
    .where('work_directory', 'is not', null)
    .execute();
  const elsewhere = runs.map((run) => run.work_directory ?? '').filter((path) => !path.startsWith(`${workRoot}/`));
  return [workRoot, ...new Set(elsewhere)];
}

/** What was set aside of state that the record may not have, after so many days. */
export function keptStateChore(workRoot: string, days: number, log: Pick<Log, 'warn'>): Chore {
  return {
    name: 'kept states',
    run: async (signal) => {
      const directory = join(workRoot, 'kept');
      const names = days > 0 ? await readdir(directory).catch(() => []) : [];
      let removed = 0;
      for (const name of names) {
        const since = keptSince(name);
        if (signal.aborted) break;
        if (since === undefined || Date.now() - since.getTime() < days * DAY_MS) continue;
        const path = join(directory, name);
        await removeTree(path);
        log.warn({ path, since: since.toISOString() }, `State that was set aside ${days} days ago was removed`);
        removed += 1;
      }
      return removed;
    },
  };
}

/** When it was set aside, by its name, as WorkDirectories gives it. What has another name isn't ours to remove. */
function keptSince(name: string): Date | undefined {
  const [, day, h, m, s] = /-(\d{4}-\d\d-\d\d)T(\d\d)(\d\d)(\d\d\.\d{3})Z(-|$)/.exec(name) ?? [];
  return day === undefined ? undefined : new Date(`${day}T${h}:${m}:${s}Z`);
}
