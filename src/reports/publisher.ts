import type { Config } from '../config.js';
import type { Db } from '../db/pool.js';
import type { Log } from '../log.js';
import type { OctokitFor } from '../octokit.js';
import { describeError } from '../queue/complaints.js';
import type { Gate } from '../queue/gate.js';
import { type EffectHandlers, type EffectOf, RetryRarely } from '../queue/outbox-pump.js';
import { Budget, contentLimits, type Limit } from './budget.js';
import { react, reply } from './comments.js';
import type { ReportContext } from './context.js';
import { GitHubCalls, Refused } from './github-calls.js';
import { InstallationGate } from './installation-gate.js';
import { reportForgotten, wakeEffects } from './recovery.js';
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
  config: Pick<Config, 'githubUrl' | 'githubContentPerMinute' | 'githubContentPerHour'> & { publicUrl: string };
  log: Pick<Log, 'info' | 'warn' | 'error'>;
  /** The App's own account: `<slug>[bot]`. */
  botLogin: () => Promise<string>;
  /** Default: what GitHub documents, as configured. */
  limits?: Limit[];
}

export interface Reports {
  handlers: ReportHandlers;
  /** Closed for what would be tried in vain: the pump that has the handlers has to ask it. */
  gate: Gate;
}

/** How often what GitHub refuses is tried: the pauses between are half a minute first, and an hour in the end. */
const TRIES_IN_THREE_DAYS = 78;
const TRIES_IN_A_QUARTER = 6;

/**
 * The handlers of the outbox's effects on GitHub. Each looks at the present state in the record and brings GitHub to it,
 * so that any number of changes may be one request, and none when GitHub shows it already.
 */
export function createReports({ db, octokitFor, config, log, botLogin, limits }: ReportOptions): Reports {
  const budget = new Budget(db, limits ?? contentLimits(config));
  const gate = openGate(db, budget, log);
  const calls = new GitHubCalls(octokitFor, budget, gate, log);
  const addresses = { githubUrl: config.githubUrl, publicUrl: config.publicUrl };
  const context: ReportContext = { db, calls, addresses, botLogin, log };
  const handle = <K extends ReportKind>(kind: K, report: (effect: EffectOf<K>) => Promise<void>) => {
    return async (effect: EffectOf<K>): Promise<void> => {
      try {
        await report(effect);
      } catch (error) {
        if (!(error instanceof Refused)) throw error;
        if (!isLocked(kind, error)) throw putOff(kind, error);
        log.info({ kind, reason: error.message }, 'A locked conversation gets no answer');
      }
    };
  };
  const handlers: ReportHandlers = {
    run_report: handle('run_report', ({ run }) => reportRun(context, run)),
    pull_request_report: handle('pull_request_report', ({ repository, number }) =>
      reportPullRequest(context, repository, number),
    ),
    head_report: handle('head_report', ({ repository, sha }) => reportHead(context, repository, sha)),
    settings_report: handle('settings_report', ({ repository, sha, problems }) =>
      reportSettings(context, repository, sha, problems),
    ),
    reaction: handle('reaction', ({ repository, comment, content }) => react(context, repository, comment, content)),
    reply: handle('reply', ({ repository, number, key, body }) => reply(context, repository, number, key, body)),
  };
  return { handlers, gate };
}

/** What the gate learns goes into the record as far as the record can be had: it is for people, and other processes. */
function openGate(db: Db, budget: Budget, log: ReportOptions['log']): InstallationGate {
  const away = new Set<number>();
  const note = (work: Promise<unknown>) => void work.catch(() => undefined);
  return new InstallationGate({
    onAway: (installation, error) => {
      if (!away.has(installation))
        log.warn({ installation, err: error }, 'GitHub is away: reports wait until it is back');
      away.add(installation);
      note(budget.noteFailure(installation, describeError(error)));
    },
    onBack: (installation, { wasAway, long }) => {
      if (wasAway) log.info({ installation }, 'GitHub is back: reports catch up');
      away.delete(installation);
      note(budget.noteFailure(installation, undefined));
      if (long) note(wakeEffects(db, installation));
      if (long || !wasAway) note(reportForgotten(db, installation));
    },
  });
}

/** Somebody locked the conversation: an answer there isn't wanted, now or later. */
function isLocked(kind: ReportKind, { status, message }: Refused): boolean {
  return (kind === 'reply' || kind === 'reaction') && status === 403 && /locked/i.test(message);
}

/**
 * What is gone for good can't be told from what is gone for an incident, or while an installation is suspended, so a no
 * is asked for again: for three days, in which GitHub would redeliver webhooks too; for a quarter of an hour where GitHub
 * says what is wrong with the request itself, or knows no such installation, or where the answer would come too late.
 */
function putOff(kind: ReportKind, { status, message, uninstalled }: Refused): RetryRarely {
  const mayPass = (status === 403 || status === 404) && !uninstalled && kind !== 'reaction' && kind !== 'reply';
  return new RetryRarely(
    mayPass ? TRIES_IN_THREE_DAYS : TRIES_IN_A_QUARTER,
    `GitHub refuses it (${status}): ${message}`,
  );
}
