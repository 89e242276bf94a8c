import type { PullRequest, Run } from '../db/schema.js';
import type { CheckRunConclusion, CheckRunContent } from './check-run-content.js';
import { boundedTable, code, MAX_BYTES } from './markdown.js';
import { type Addresses, checkRunUrl, icon, plural, type RepositoryName, runUrl, stateWords, toDo } from './words.js';

/** The one name to require in branch protection, whatever a pull request touches. */
export const HEAD_CHECK_NAME = 'signalbox';

export interface HeadWorkspace {
  name: string;
  /** The newest speculative run of this commit. */
  run?: Run | undefined;
  checkRunId?: number | undefined;
}

export interface Head {
  externalId: string;
  addresses: Addresses;
  repository: RepositoryName;
  /** Those whose head this commit is. */
  pullRequests: Pick<PullRequest, 'fork' | 'allowed_sha' | 'head_sha' | 'affected_sha' | 'settings_problems'>[];
  mergeGroup: boolean;
  /** What any of them affects. */
  workspaces: HeadWorkspace[];
}

/** Sums up a commit: whether what it would change could be planned. Undefined: no check run is called for. */
export function headCheck(head: Head): CheckRunContent {
  const verdict = verdictOf(head);
  return {
    name: HEAD_CHECK_NAME,
    external_id: head.externalId,
    status: verdict.conclusion ? 'completed' : 'in_progress',
    ...(verdict.conclusion && { conclusion: verdict.conclusion }),
    output: { title: verdict.title, summary: summaryOf(head, verdict), annotations: [] },
    actions: [],
  };
}

interface Verdict {
  conclusion?: CheckRunConclusion;
  title: string;
  explanation: string;
}

function verdictOf({ pullRequests, mergeGroup, workspaces }: Head): Verdict {
  if (pullRequests.length === 0 && !mergeGroup) {
    return {
      conclusion: 'cancelled',
      title: 'No longer the head of an open pull request',
      explanation: 'This commit was overtaken, or its pull request was closed.',
    };
  }
  if (pullRequests.some(({ affected_sha, head_sha }) => affected_sha !== head_sha)) {
    return {
      title: 'Looking for affected workspaces',
      explanation: 'Which workspaces this commit affects is being found out.',
    };
  }
  const problems = Math.max(0, ...pullRequests.map(({ settings_problems }) => settings_problems));
  if (problems > 0) {
    return {
      conclusion: 'failure',
      title: `signalbox.yml has ${plural(problems, 'problem')}`,
      explanation:
        "Which workspaces there are can't be told for sure while `.github/signalbox.yml` has problems, so this commit can't pass. The check `signalbox/config` of the commit that brought them shows where they are.",
    };
  }
  if (workspaces.length === 0) {
    return {
      conclusion: 'success',
      title: 'No workspace is affected',
      explanation: 'This commit touches no workspace: there is nothing to plan.',
    };
  }
  const inState = (...states: Run['state'][]) => workspaces.filter(({ run }) => run && states.includes(run.state));
  const unplanned = workspaces.filter(({ run }) => !run);
  const waiting = inState('pending', 'planning');
  const failed = inState('plan_errored');
  const dropped = inState('discarded', 'canceled');
  const fork = pullRequests.some(({ fork, allowed_sha, head_sha }) => fork && allowed_sha !== head_sha);

  if (unplanned.length > 0 && fork && waiting.length === 0) {
    return {
      conclusion: 'action_required',
      title: `A fork: ${plural(unplanned.length, 'workspace')} not planned`,
      explanation:
        'This commit comes from a fork, and planning runs its code. Somebody with write access who has read it can comment `plan` on its pull request.',
    };
  }
  if (waiting.length > 0 || unplanned.length > 0) {
    const finished = workspaces.length - waiting.length - unplanned.length;
    return {
      title: `${finished} of ${plural(workspaces.length, 'workspace')} planned`,
      explanation: 'This check ends when every affected workspace has its plan.',
    };
  }
  if (failed.length > 0) {
    return {
      conclusion: 'failure',
      title:
        failed.length === 1
          ? `${failed[0]?.name} could not be planned`
          : `${failed.length} of ${plural(workspaces.length, 'workspace')} could not be planned`,
      explanation: "The failed workspace's own check shows why. Push a fix, or comment `plan` to try again.",
    };
  }
  if (dropped.length > 0) {
    return {
      conclusion: 'action_required',
      title:
        dropped.length === 1
          ? `The plan of ${dropped[0]?.name} was ${dropped[0]?.run?.state}`
          : `${dropped.length} plans were discarded or canceled`,
      explanation: 'Comment `plan` on the pull request to plan again.',
    };
  }
  const changed = inState('planned').length;
  return {
    conclusion: 'success',
    title: changed === 0 ? 'No changes' : `${changed} of ${plural(workspaces.length, 'workspace')} would change`,
    explanation: 'Every affected workspace could be planned.',
  };
}

function summaryOf({ workspaces, addresses, repository }: Head, { explanation }: Verdict): string {
  if (workspaces.length === 0) return explanation;
  const rows = workspaces.map(({ name, run, checkRunId }) => {
    if (!run) return [code(name, 100), '⏳ Not planned yet', ''];
    const url = checkRunId ? checkRunUrl(addresses, repository, checkRunId) : runUrl(addresses, run.id);
    const plan = run.state === 'planned' && run.plan_summary ? toDo(run.plan_summary) : '';
    return [code(name, 100), `${icon(run.state)} [${stateWords(run.state)}](${url})`, plan];
  });
  return `${explanation}\n\n${boundedTable(['Workspace', 'Result', 'Plan'], 'lll', rows, MAX_BYTES - 1_000).trimEnd()}`;
}
