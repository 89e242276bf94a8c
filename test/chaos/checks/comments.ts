import type { Check, CommandFact, CommentFact, Evidence, PullFact, RunFact } from '../evidence.js';

const SUMMARY = '<!-- signalbox: summary of this pull request -->';
const LATEST = ['rocket', '+1', 'confused'];

/** Each pull request has one summary, which says what the record says; each command has one answer. */
export const commentsEqualTheRecord: Check = (evidence) => [
  ...evidence.pulls.flatMap((pull) => summaries(pull, evidence)),
  ...evidence.commands.flatMap((command) => answers(command, evidence)),
];

function summaries(pull: PullFact, evidence: Evidence): string[] {
  const { repository, number, state } = pull;
  const name = `the summary of ${repository}#${number}`;
  const [summary, ...more] = commentsOn(pull, evidence).filter(({ body }) => body.includes(SUMMARY));
  if (more.length > 0) return [`${name} is there ${more.length + 1} times`];
  if (!summary) return state === 'open' && pull.workspaces.length > 0 ? [`${name} is missing`] : [];
  if (state !== 'open') {
    const word = state === 'merged' ? 'Merged' : 'Closed';
    return summary.body.includes(word) ? [] : [`${name} doesn't say ${word}`];
  }
  return pull.workspaces.flatMap((workspace) => {
    const row = summary.body.split('\n').find((line) => line.startsWith(`| \`${workspace}\` `));
    if (row === undefined) return [`${name} doesn't name ${workspace}`];
    const wanted = runToShow(pull, workspace, evidence);
    if (!wanted) return [`${name} names ${workspace}, which has no run there`];
    const [, words = '', id] = /\[([^\]]+)\]\([^)]*\/runs\/(\d+)\)/.exec(row) ?? [];
    const linked = evidence.checkRuns.find((run) => String(run.id) === id);
    if (linked?.externalId.split('/')[0] !== wanted.id) {
      return [`${name} links ${workspace} to ${linked?.externalId ?? 'nothing'}, not to ${wanted.id}`];
    }
    const said = words.toLowerCase().replaceAll(' ', '_');
    const same = said.startsWith(wanted.state) || (wanted.state === 'needs_confirmation' && said.startsWith('differs'));
    return same ? [] : [`${name} says that ${workspace} is ${words}, but ${wanted.id} is ${wanted.state}`];
  });
}

/** What is under way first, then what was asked for last; an apply of an older head is of no interest any more. */
function runToShow({ repository, number, head }: PullFact, workspace: string, { runs, workspaces }: Evidence) {
  const mine = runs.filter(
    (run) => run.repository === repository && run.pullRequest === number && run.workspace === workspace,
  );
  const plan = mine.findLast((run) => run.speculative && run.commit === head);
  const apply = mine.findLast((run) => !run.speculative);
  if (!apply) return plan;
  if (apply.endedAt === undefined) return apply;
  const held = workspaces.find(({ name }) => name === workspace)?.heldFor === number;
  if (apply.commit !== head) return plan ?? (held ? apply : undefined);
  return newer(plan, apply);
}

function newer(plan: RunFact | undefined, apply: RunFact): RunFact {
  return plan && plan.sequence > apply.sequence ? plan : apply;
}

function answers(command: CommandFact, evidence: Evidence): string[] {
  const { repository, number, body, comment, reactions } = command;
  const name = `\`${body}\` on ${repository}#${number} (comment ${comment})`;
  const marker = `<!-- signalbox: reply ${Buffer.from(String(comment)).toString('base64url')} -->`;
  const replies = commentsOn(command, evidence).filter((each) => each.body.includes(marker));
  const last = reactions.filter((content) => LATEST.includes(content));
  return [
    ...(last.length === 1 ? [] : [`${name} has the reactions [${reactions}]`]),
    ...(replies.length > 1 ? [`${name} was answered ${replies.length} times`] : []),
    ...(last.includes('confused') && replies.length === 0 ? [`${name} was refused without a word`] : []),
  ];
}

function commentsOn({ repository, number }: { repository: string; number: number }, { comments }: Evidence) {
  return comments.filter((each: CommentFact) => each.repository === repository && each.number === number);
}
