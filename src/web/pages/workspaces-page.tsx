import type { Workspace } from '../../db/schema.js';
import type { RunState } from '../../runs/machine.js';
import { runPath, workspacePath } from './addresses.js';
import { cut, Foreign } from './foreign.js';
import { Icon } from './icon.js';
import { Layout } from './layout.js';
import { ListFilter } from './list-filter.js';
import type { PageContext } from './page-context.js';
import { Pager } from './pager.js';
import { Blank, type Notice, NoticeBanner } from './parts.js';
import { CommitLink, runTitle } from './run-cause.js';
import type { ListedRun, Listing, RepositoryName } from './shown-run.js';
import { StateWord } from './state.js';
import { Time } from './time.js';

export interface ListedWorkspace {
  workspace: Workspace;
  repository: RepositoryName;
  /** The current one, else the latest completed one. */
  run: ListedRun | undefined;
}

export interface WorkspacesPageProps {
  page: PageContext;
  listing: Listing<ListedWorkspace>;
  filter: { q?: string | undefined; state?: RunState | undefined; repository?: string | undefined };
  /** `owner/name` of those that can be chosen. */
  repositories: string[];
  /** The App is installed somewhere that this person may see. */
  installed: boolean;
  /** Where the App is installed on GitHub, if that is known. */
  installUrl?: string | undefined;
  notice?: Notice | undefined;
}

/** Every workspace that this person may see: what runs or waits for somebody comes first. */
export function WorkspacesPage({
  page,
  listing,
  filter,
  repositories,
  installed,
  installUrl,
  notice,
}: WorkspacesPageProps) {
  const { q, state, repository } = filter;
  const filtered = Boolean(q || state || repository);
  return (
    <Layout page={page} title={q ? `${cut(q, 40)} · Workspaces · Signalbox` : 'Workspaces · Signalbox'}>
      <div class="page">
        <h1 class="page-title">Workspaces</h1>
        <NoticeBanner notice={notice} />
        {(installed || filtered) && (
          <ListFilter address="/" label="Search workspaces" q={q} state={state} filtered={filtered}>
            <RepositoryField repository={repository} repositories={repositories} />
          </ListFilter>
        )}
        <div class="box list">
          {listing.rows.length > 0 ? (
            <ul>
              {listing.rows.map((row) => (
                <WorkspaceRow row={row} page={page} />
              ))}
            </ul>
          ) : filtered ? (
            <Blank icon="search" title="No workspace matches">
              <p>
                Try other words, or <a href="/">see all workspaces</a>.
              </p>
            </Blank>
          ) : installed ? (
            <NoWorkspace />
          ) : (
            <NoInstallation installUrl={installUrl} />
          )}
        </div>
        <Pager {...listing} address="/" query={{ q, state, repository }} label="Pages of workspaces" />
      </div>
    </Layout>
  );
}

function RepositoryField({ repository, repositories }: { repository: string | undefined; repositories: string[] }) {
  const names = repository && !repositories.includes(repository) ? [repository, ...repositories] : repositories;
  return (
    <select name="repository" class="form-select" aria-label="Repository">
      <option value="">All repositories</option>
      {names.map((name) => (
        <option value={name} selected={name === repository}>
          {cut(name, 80)}
        </option>
      ))}
    </select>
  );
}

function WorkspaceRow({ row: { workspace, repository, run }, page }: { row: ListedWorkspace; page: PageContext }) {
  return (
    <li class="list-row">
      <div class="list-state">
        {run ? <StateWord state={run.state} /> : <span class="state-word fg-muted">No runs yet</span>}
      </div>
      <div class="list-what">
        <div class="list-title">
          <a class="list-name" href={workspacePath(repository, workspace.name)}>
            <Foreign text={workspace.name} />
          </a>
          <span class="quiet">
            <Foreign text={`${repository.owner}/${repository.name}`} />
          </span>
          <Badges workspace={workspace} />
        </div>
        {run && (
          <div class="list-detail">
            <CommitLink sha={run.commit_sha} repository={repository} page={page} />{' '}
            <a class="quiet-link" href={runPath(run.id)}>
              <Foreign text={runTitle(run)} max={120} />
            </a>
          </div>
        )}
      </div>
      {run && (
        <div class="list-when">
          <span>
            <Icon name="clock" /> <Time at={run.ended_at ?? run.created_at} now={page.now} />
          </span>
          <span>
            <Icon name="person" /> <Foreign text={run.actor} max={40} />
          </span>
        </div>
      )}
    </li>
  );
}

/** Why runs of a workspace don't start. */
export function Badges({ workspace }: { workspace: Workspace }) {
  return (
    <>
      {workspace.locked_at !== null && (
        <span class="label label-attention" title={workspace.lock_reason ? cut(workspace.lock_reason, 300) : undefined}>
          <Icon name="lock" /> Locked by <Foreign text={workspace.locked_by ?? 'Signalbox'} max={40} />
        </span>
      )}
      {workspace.held_pull_request !== null && (
        <span class="label" title="Applied, not merged yet">
          <Icon name="git-pull-request" /> Held for #{workspace.held_pull_request}
        </span>
      )}
    </>
  );
}

const EXAMPLE = `workspaces:
  - name: network
    directory: infra/network`;

function NoWorkspace() {
  return (
    <Blank icon="stack" title="No workspaces yet">
      <p>
        Every directory with a root module becomes a workspace by itself at the first push to the default branch. To
        name them yourself, commit <code>.github/signalbox.yml</code>:
      </p>
      <pre class="example">{EXAMPLE}</pre>
      <p>Then push, or open a pull request that changes one of them: its plan appears here and on GitHub.</p>
    </Blank>
  );
}

function NoInstallation({ installUrl }: { installUrl: string | undefined }) {
  return (
    <Blank icon="mark-github" title="Install the GitHub App first">
      <p>
        Signalbox shows the workspaces of repositories in which its GitHub App is installed and that you can see. It
        isn’t installed in any of yours.
      </p>
      {installUrl && (
        <p>
          <a class="btn btn-primary" href={installUrl}>
            Install on GitHub
          </a>
        </p>
      )}
    </Blank>
  );
}
