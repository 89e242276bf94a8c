import type { Workspace } from '../../db/schema.js';
import type { Access } from '../../signin/access.js';
import { MAX_REASON_LENGTH } from '../../workspaces/lock.js';
import { runPath } from './addresses.js';
import { Foreign, Login } from './foreign.js';
import type { PageContext } from './page-context.js';
import { ActionForm, Banner } from './parts.js';
import { PullRequestLink } from './run-cause.js';
import type { RepositoryName } from './shown-run.js';
import { Time } from './time.js';

interface LockProps {
  page: PageContext;
  access: Access;
  workspace: Workspace;
  repository: RepositoryName;
  mayUnlock: boolean;
  address: string;
}

/** Why runs of the workspace don't start: whose lock it is, with its end, and the pull request that it is held for. */
export function LockBanner({ page, access, workspace, repository, mayUnlock, address }: LockProps) {
  const { locked_at: at, locked_by: by, lock_reason: reason, lock_run: run, held_pull_request: held } = workspace;
  if (at === null && held === null) return null;
  return (
    <div class="locks">
      {at !== null && (
        <Banner
          tone="attention"
          icon="lock"
          action={
            mayUnlock && (
              <ActionForm page={page} action={`${address}/unlock`}>
                <input type="hidden" name="lock" value={at.toISOString()} />
                <button type="submit" class="btn">
                  Unlock
                </button>
              </ActionForm>
            )
          }
        >
          <p>
            <Login login={by} /> locked this workspace <Time at={at} now={page.now} />
            {run !== null && (
              <>
                {' '}
                because of{' '}
                <a href={runPath(run)}>
                  <code>{run}</code>
                </a>
              </>
            )}
            {reason ? ':' : '.'} {reason && <Foreign text={reason} max={500} />}
          </p>
          <p class="quiet">
            No run starts until {by === null ? 'an administrator' : `${by} or an administrator`} unlocks it. A run that
            has begun goes on to its end.
          </p>
        </Banner>
      )}
      {held !== null && (
        <Banner
          tone="accent"
          icon="git-pull-request"
          action={
            // One button of the name: what is locked is unlocked first, as by comment.
            at === null &&
            access !== 'read' && (
              <ActionForm page={page} action={`${address}/unlock`}>
                <input type="hidden" name="hold" value={held} />
                <button type="submit" class="btn">
                  Unlock
                </button>
              </ActionForm>
            )
          }
        >
          <p>
            Held for <PullRequestLink number={held} repository={repository} page={page} />, which was applied and isn’t
            merged yet. Runs that don’t contain it wait until it is merged or closed.
          </p>
          <p class="quiet">
            Unlocked before that, they go on and may undo what was applied; so none of them applies by itself.
          </p>
        </Banner>
      )}
    </div>
  );
}

/** The way to lock it, for whoever may. */
export function LockForm({ page, access, workspace, address }: LockProps) {
  if (workspace.locked_at !== null || access === 'read') return null;
  return (
    <section aria-labelledby="lock-title">
      <h2 id="lock-title" class="side-title">
        Not locked
      </h2>
      <p class="quiet">While it is locked no run starts. One that has begun goes on to its end.</p>
      <ActionForm page={page} action={`${address}/lock`} name="joined">
        <input
          name="reason"
          class="form-control"
          aria-label="Reason"
          placeholder="Reason (optional)"
          maxlength={MAX_REASON_LENGTH}
          autocomplete="off"
        />
        <button type="submit" class="btn">
          Lock
        </button>
      </ActionForm>
    </section>
  );
}
