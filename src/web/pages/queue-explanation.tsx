import { plural } from '../../reports/words.js';
import { isHolding, stateTitle } from '../../runs/machine.js';
import type { QueueExplanation } from '../../runs/queue-explanation.js';
import { elapsed } from '../browser/relative-time.js';
import { runPath } from './addresses.js';
import { Foreign, Login } from './foreign.js';
import type { PageContext } from './page-context.js';
import { Banner } from './parts.js';
import { PullRequestLink } from './run-cause.js';
import type { RepositoryName } from './shown-run.js';
import { Time } from './time.js';

interface QueueProps {
  queue: QueueExplanation;
  repository: RepositoryName;
  workspace: string;
  page: PageContext;
}

/** What a pending run waits for, who can move that, and for about how long. */
export function QueueWords({ queue, repository, workspace, page }: QueueProps) {
  return (
    <Banner tone="attention" icon="hourglass">
      {queue.lock && (
        <p>
          <Login login={queue.lock.by} /> locked <Foreign text={workspace} /> <Time at={queue.lock.at} now={page.now} />
          {queue.lock.reason ? (
            <>
              : <Foreign text={queue.lock.reason} max={300} />
            </>
          ) : (
            '.'
          )}
        </p>
      )}
      {queue.lock && (
        <p>
          {queue.lock.by === null ? 'An administrator' : `${queue.lock.by} or an administrator`} can unlock it. Until
          then its runs wait in order.
        </p>
      )}
      {queue.heldFor && (
        <p>
          <PullRequestLink number={queue.heldFor.pullRequest} repository={repository} page={page} /> was applied and
          isn’t merged yet, so the workspace is held for it: this commit doesn’t contain its changes, and would plan to
          undo them. It goes on when that pull request is merged or closed, or when the workspace is unlocked.
        </p>
      )}
      {queue.waitsFor && <First queue={queue} first={queue.waitsFor} page={page} />}
      {queue.outlook && <Outlook outlook={queue.outlook} page={page} />}
      {!queue.lock && !queue.heldFor && !queue.waitsFor && <p>Waiting for a worker with a free slot.</p>}
    </Banner>
  );
}

function First({
  queue,
  first,
  page,
}: {
  queue: QueueExplanation;
  first: NonNullable<QueueExplanation['waitsFor']>;
  page: PageContext;
}) {
  const before = queue.ahead + (isHolding(first.state) ? 1 : 0);
  return (
    <p>
      <strong>{queue.ahead === 0 ? 'Next' : `Number ${queue.ahead + 1}`} in the queue.</strong> It waits for{' '}
      <a href={runPath(first.run)}>
        <code>{first.run}</code>
      </a>
      , which came to {stateTitle(first.state)} <Time at={first.since} now={page.now} />.{' '}
      {first.state === 'needs_confirmation' && (
        <>
          <Login login={first.actor} /> or anybody with write access can apply or discard it.{' '}
        </>
      )}
      {before > 1 && `${plural(before, 'run')} are ahead in all.`}
    </p>
  );
}

function Outlook({ outlook, page }: { outlook: NonNullable<QueueExplanation['outlook']>; page: PageContext }) {
  const usual = `A run of this workspace takes ${elapsed(outlook.medianMs)}, by the median of its last ${outlook.runs}`;
  if ('startsAt' in outlook) {
    return (
      <p>
        {usual}: this one should start <Time at={outlook.startsAt} now={page.now} />.
      </p>
    );
  }
  if (outlook.because === 'overdue') return <p>{usual}; the one that is under way takes longer.</p>;
  return <p>{usual}, not counting the time that people take.</p>;
}
