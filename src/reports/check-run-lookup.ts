import type { CheckRun, Run } from '../db/schema.js';
import type { ReportContext } from './context.js';

/** The last check run of a name on a commit. */
export async function lastCheckRunOfName(
  { db }: ReportContext,
  repository: number,
  sha: string,
  name: string,
): Promise<CheckRun | undefined> {
  return db
    .selectFrom('check_runs')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('head_sha', '=', sha)
    .where('name', '=', name)
    .orderBy('id', 'desc')
    .limit(1)
    .executeTakeFirst();
}

/** By run: GitHub's id of the check run that shows it now, for links. */
export async function checkRunIds({ db }: ReportContext, runs: Pick<Run, 'id'>[]): Promise<Map<string, number>> {
  if (runs.length === 0) return new Map();
  const rows = await db
    .selectFrom('check_runs')
    .distinctOn('run_id')
    .select(['run_id', 'github_id'])
    .where(
      'run_id',
      'in',
      runs.map(({ id }) => id),
    )
    .where('github_id', 'is not', null)
    .orderBy('run_id')
    .orderBy('id', 'desc')
    .execute();
  return new Map(rows.flatMap((row) => (row.run_id && row.github_id ? [[row.run_id, row.github_id]] : [])));
}
