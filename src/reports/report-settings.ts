import { RANK } from '../queue/effect-order.js';
import type { SettingsProblem } from '../queue/outbox.js';
import { lastCheckRunOfName } from './check-run-lookup.js';
import { openCheckRun, sendCheckRun, settle } from './check-run-record.js';
import { findRepository, type ReportContext } from './context.js';
import { SETTINGS_CHECK_NAME, settingsCheck } from './settings-check.js';

/** Brings the check run `signalbox/config` of a commit up to date. Sound settings of a mere push are not worth one. */
export async function reportSettings(
  context: ReportContext,
  repositoryId: number,
  sha: string,
  problems: SettingsProblem[],
): Promise<void> {
  const repository = await findRepository(context, repositoryId);
  if (!repository) return;
  const last = await lastCheckRunOfName(context, repositoryId, sha, SETTINGS_CHECK_NAME);
  if (problems.length === 0 && !last && !(await isHeadOfPullRequest(context, repositoryId, sha))) return;
  const opened =
    last ??
    (await openCheckRun(context, {
      repository_id: repositoryId,
      head_sha: sha,
      name: SETTINGS_CHECK_NAME,
      external_id: `config/${sha}/1`,
      run_id: null,
    }));
  const row = await settle(context, repository, opened);
  const content = settingsCheck(problems, row.external_id);
  await sendCheckRun(context, repository, row, content, content.conclusion ?? '', RANK.summary);
}

async function isHeadOfPullRequest({ db }: ReportContext, repository: number, sha: string): Promise<boolean> {
  const found = await db
    .selectFrom('pull_requests')
    .select('number')
    .where('repository_id', '=', repository)
    .where('head_sha', '=', sha)
    .where('state', '=', 'open')
    .limit(1)
    .executeTakeFirst();
  return found !== undefined;
}
