import type { Child } from 'hono/jsx';
import { checkRunUrl, runPath, workspacePath } from './addresses.js';
import { Code, Foreign, firstLine, Login } from './foreign.js';
import { Icon } from './icon.js';
import type { PageContext } from './page-context.js';
import { BranchLink, CommitLink, PullRequestLink, triggerIcon, triggerWord } from './run-cause.js';
import type { ShownRun } from './shown-run.js';
import { Time } from './time.js';

/** Which commit, why, by whom, and with what. */
export function RunFacts({ shown, page }: { shown: ShownRun; page: PageContext }) {
  const { run, repository, pullRequest, workspace } = shown;
  return (
    <section id="facts" class="run-facts" aria-labelledby="facts-title">
      <h2 id="facts-title" class="side-title">
        About this run
      </h2>
      <dl>
        <Fact name="Trigger">
          <Icon name={triggerIcon(run.trigger)} tone="muted" /> {triggerWord(run.trigger)} by{' '}
          <Login login={run.actor} /> <Time at={run.created_at} now={page.now} />
        </Fact>
        <Fact name="Commit">
          <CommitLink sha={run.commit_sha} repository={repository} page={page} />{' '}
          <Foreign text={firstLine(run.commit_message)} max={120} />
        </Fact>
        <Fact name="Branch">
          <BranchLink branch={run.branch} repository={repository} page={page} />
        </Fact>
        {run.pull_request !== null && (
          <Fact name="Pull request">
            <PullRequestLink number={run.pull_request} repository={repository} page={page} />{' '}
            {pullRequest && <Foreign text={pullRequest.title} max={120} />}
          </Fact>
        )}
        {run.approved_by !== null && (
          <Fact name="Approved by">
            <Login login={run.approved_by} />
            {run.reviewed_run !== null && (
              <>
                {' '}
                after <a href={runPath(run.reviewed_run)}>this plan</a>
              </>
            )}
          </Fact>
        )}
        {run.confirmed_by !== null && (
          <Fact name="Confirmed by">
            {run.confirmed_by === 'auto-apply' ? 'auto-apply' : <Login login={run.confirmed_by} />}
          </Fact>
        )}
        <Fact name="Workspace">
          <a href={workspacePath(repository, workspace.name)}>
            <Foreign text={workspace.name} />
          </a>
          {run.settings.directory !== '.' && (
            <>
              {' '}
              in <Code text={run.settings.directory} max={120} />
            </>
          )}
        </Fact>
        {run.terraform_version !== null && <Fact name="Terraform">{run.terraform_version}</Fact>}
        {run.worker !== null && (
          <Fact name="Worker">
            <Foreign text={run.worker} max={80} />
            {run.attempt > 1 && `, attempt ${run.attempt}`}
          </Fact>
        )}
        {run.own_backend !== null && (
          <Fact name="State">
            in the configuration’s own backend, <Code text={run.own_backend} max={40} />
          </Fact>
        )}
        {run.superseded_by !== null && (
          <Fact name="Superseded by">
            <RunLink run={run.superseded_by} />
          </Fact>
        )}
        {shown.appliedAs !== undefined && (
          <Fact name="Applied as">
            <RunLink run={shown.appliedAs} />
          </Fact>
        )}
        {shown.newest !== undefined && shown.newest !== run.id && shown.newest !== run.superseded_by && (
          <Fact name="Newest run">
            <RunLink run={shown.newest} />
          </Fact>
        )}
        {shown.githubCheckRun !== undefined && (
          <Fact name="Check run">
            <a href={checkRunUrl(page.githubUrl, repository, shown.githubCheckRun)}>
              <Icon name="mark-github" /> On GitHub
            </a>
          </Fact>
        )}
      </dl>
    </section>
  );
}

function RunLink({ run }: { run: string }) {
  return (
    <a href={runPath(run)}>
      <code>{run}</code>
    </a>
  );
}

function Fact({ name, children }: { name: string; children?: Child }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>{children}</dd>
    </div>
  );
}
