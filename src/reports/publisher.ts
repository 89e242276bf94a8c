import type { Config } from '../config.js';
import type { Db } from '../db/pool.js';
import type { Log } from '../log.js';
import type { OctokitFor } from '../octokit.js';
import type { Effect } from '../queue/outbox.js';
import type { EffectHandlers, EffectOf } from '../queue/outbox-pump.js';
import { react, reply } from './comments.js';
import type { ReportContext } from './context.js';
import { GitHubCalls, Refused } from './github-calls.js';
import { Budget } from './pacing.js';
import { reportHead } from './report-head.js';
import { reportPullRequest } from './report-pull-request.js';
import { reportRun } from './report-run.js';
import { reportSettings } from './report-settings.js';

export type ReportKind =
  | 'run_report'
  | 'pull_request_report'
  | 'head_report'
  | 'settings_report'
  | 'reaction'
  | 'reply';
export type ReportHandlers = Required<Pick<EffectHandlers, ReportKind>>;

export interface ReportOptions {
  db: Db;
  octokitFor: OctokitFor;
  config: Pick<Config, 'githubUrl' | 'githubContentPerMinute'> & { publicUrl: string };
  log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** The App's own account: `<slug>[bot]`. */
  botLogin: () => Promise<string>;
}

/**
 * The handlers of the outbox's effects on GitHub. Each looks at the present state in the record and brings GitHub to it,
 * so that any number of changes may be one request, and none when GitHub shows it already.
 */
export function createReportHandlers({ db, octokitFor, config, log, botLogin }: ReportOptions): ReportHandlers {
  const calls = new GitHubCalls(octokitFor, new Budget(config.githubContentPerMinute), log);
  const addresses = { githubUrl: config.githubUrl, publicUrl: config.publicUrl };
  const context: ReportContext = { db, calls, addresses, botLogin, log };
  const handle = <K extends ReportKind>(report: (effect: EffectOf<K>) => Promise<void>) => {
    return async (effect: EffectOf<K>): Promise<void> => {
      try {
        await report(effect);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        giveUp(log, effect, error);
      }
    };
  };
  return {
    run_report: handle<'run_report'>(({ run }) => reportRun(context, run)),
    pull_request_report: handle<'pull_request_report'>(({ repository, number }) =>
      reportPullRequest(context, repository, number),
    ),
    head_report: handle<'head_report'>(({ repository, sha }) => reportHead(context, repository, sha)),
    settings_report: handle<'settings_report'>(({ repository, sha, problems }) =>
      reportSettings(context, repository, sha, problems),
    ),
    reaction: handle<'reaction'>(({ repository, comment, content }) => react(context, repository, comment, content)),
    reply: handle<'reply'>(({ repository, number, key, body }) => reply(context, repository, number, key, body)),
  };
}

/** Trying for ever would help nobody: the next change of state reports anew. */
function giveUp(log: Pick<Log, 'warn'>, effect: Effect, { status, message }: Refused): void {
  const { kind, ...subject } = effect;
  const { body: _, problems: __, ...named } = subject as Record<string, unknown>;
  log.warn({ kind, ...named, status, reason: message }, 'GitHub refuses a report: it is given up');
}
