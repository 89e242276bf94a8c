import type { Workspace } from '../../db/schema.js';
import { MAX_MESSAGE_LENGTH } from '../../github/queue-plan.js';
import type { RunState } from '../../runs/machine.js';
import type { QueueExplanation } from '../../runs/queue-explanation.js';
import type { Access } from '../../signin/access.js';
import { fileUrl, repositoryListPath, repositoryUrl, runPath, stateVersionsPath, workspacePath } from './addresses.js';
import { Code, cut, Foreign } from './foreign.js';
import { Icon } from './icon.js';
import { Layout } from './layout.js';
import { ListFilter } from './list-filter.js';
import type { PageContext } from './page-context.js';
import { Pager } from './pager.js';
import { ActionForm, Banner, Blank, type Notice, NoticeBanner } from './parts.js';
import { QueueWords } from './queue-explanation.js';
import { runTitle } from './run-cause.js';
import { RunList } from './run-list.js';
import type { ListedRun, Listing, RepositoryName } from './shown-run.js';
import { StateWord, stateMark } from './state.js';
import { type ListedStateVersion, StateVersionList } from './state-version-list.js';
import { Time } from './time.js';
import { LockBanner, LockForm } from './workspace-lock.js';

/** One setting, and where it comes from. */
export interface ShownSetting {
  /** As signalbox.yml calls it. */
  key: string;
  value: string | boolean | string[];
  origin: { file: string; line: number } | 'default' | 'discovered' | 'unknown';
}

export interface WorkspacePageProps {
  page: PageContext;
  access: Access;
  workspace: Workspace;
  repository: RepositoryName;
  runs: Listing<ListedRun>;
  filter: { q?: string | undefined; state?: RunState | undefined };
  latestCompleted: string | undefined;
  /** Who has the workspace, and who waits for it, in order. */
  queue: {
    holder: ListedRun | undefined;
    /** The first of those that wait. */
    pending: ListedRun[];
    pendingCount: number;
    explanation: QueueExplanation | undefined;
  };
  /** With the commit that they were read at, where that is known. */
  settings: { sha: string | undefined; settings: ShownSetting[] };
  /** The newest ones. */
  stateVersions: ListedStateVersion[];
  /** Whoever locked it, and admins. */
  mayUnlock: boolean;
  notice?: Notice | undefined;
}

/** A workspace: its tools, its lock, its queue, its runs, its settings and its state. */
export function WorkspacePage(props: WorkspacePageProps) {
  const { page, workspace, repository, access, runs, filter, queue, stateVersions } = props;
  const address = workspacePath(repository, workspace.name);
  const filtered = Boolean(filter.q || filter.state);
  const current = queue.holder ?? runs.rows[0];
  return (
    <Layout
      page={page}
      title={`${current ? `${stateMark(current.state)} ` : ''}${cut(workspace.name, 60)} · ${repository.owner}/${repository.name}`}
      crumbs={[
        { text: `${repository.owner}/${repository.name}`, href: repositoryListPath(repository) },
        { text: workspace.name, href: address },
      ]}
    >
      <div class="page">
        <div class="page-head">
          <div>
            <h1 class="page-title">
              <Foreign text={workspace.name} />
            </h1>
            <p class="quiet page-subtitle">
              <Icon name="repo" />{' '}
              <a href={repositoryUrl(page.githubUrl, repository)}>
                <Foreign text={`${repository.owner}/${repository.name}`} />
              </a>{' '}
              <Code text={workspace.directory} max={120} />
            </p>
          </div>
          <Tools {...props} address={address} />
        </div>
        <NoticeBanner notice={props.notice} />
        <RemovedBanner workspace={workspace} page={page} />
        <LockBanner {...props} address={address} />
        <div class="run-columns">
          <div class="run-main">
            {(queue.holder || queue.pending.length > 0) && <Queue {...props} />}
            <section id="runs" aria-labelledby="runs-title">
              <h2 id="runs-title" class="section-title">
                Runs
              </h2>
              <ListFilter
                address={`${address}#runs`}
                label="Search runs"
                q={filter.q}
                state={filter.state}
                filtered={filtered}
              />
              <div class="box list">
                {runs.rows.length > 0 ? (
                  <RunList runs={runs.rows} repository={repository} page={page} />
                ) : filtered ? (
                  <Blank icon="search" title="No run matches">
                    <p>
                      Try other words, or <a href={`${address}#runs`}>see all runs</a>.
                    </p>
                  </Blank>
                ) : workspace.removed_at !== null ? (
                  <Blank icon="play" title="There were no runs" />
                ) : (
                  <Blank icon="play" title="No runs yet">
                    <p>
                      Push a change of <Code text={workspace.directory} /> to <Code text={workspace.branch} />, open a
                      pull request{access === 'read' ? '.' : ', or queue a plan by hand.'}
                    </p>
                  </Blank>
                )}
              </div>
              <Pager {...runs} address={address} query={{ ...filter }} fragment="#runs" label="Pages of runs" />
            </section>
          </div>
          <div class="run-side">
            <Settings {...props} />
            <StateVersions {...props} versions={stateVersions} />
            {workspace.removed_at === null && <LockForm {...props} address={address} />}
          </div>
        </div>
      </div>
    </Layout>
  );
}

/** Its page is kept for those who ask what became of it. */
function RemovedBanner({ workspace: { removed_at: at }, page }: Pick<WorkspacePageProps, 'workspace' | 'page'>) {
  if (at === null) return null;
  return (
    <Banner tone="attention" icon="alert">
      <p>
        It was removed from the configuration <Time at={at} now={page.now} />: nothing is planned or applied in it any
        more. Its runs and its state versions are still here.
      </p>
    </Banner>
  );
}

/** The three that are always there, the last for whoever may press it. */
function Tools({ page, access, workspace, latestCompleted, address }: WorkspacePageProps & { address: string }) {
  return (
    <div class="tools">
      <a class="btn" href={`${address}#runs`}>
        Runs
      </a>
      {latestCompleted === undefined ? (
        <span class="btn btn-off">Latest Run</span>
      ) : (
        <a class="btn" href={runPath(latestCompleted)}>
          Latest Run
        </a>
      )}
      {access !== 'read' && workspace.removed_at === null && (
        <ActionForm page={page} action={`${address}/queue-plan`} name="joined">
          <input
            name="message"
            class="form-control"
            aria-label="Message"
            placeholder="Message (optional)"
            maxlength={MAX_MESSAGE_LENGTH}
            autocomplete="off"
          />
          <button type="submit" class="btn btn-primary">
            Queue Plan
          </button>
        </ActionForm>
      )}
    </div>
  );
}

function Queue({ queue, repository, workspace, page }: WorkspacePageProps) {
  const rows = [...(queue.holder ? [queue.holder] : []), ...queue.pending];
  return (
    <section aria-labelledby="queue-title">
      <h2 id="queue-title" class="section-title">
        Queue
      </h2>
      {/* A lock is told of at the top. */}
      {queue.explanation && !queue.explanation.lock && (
        <QueueWords queue={queue.explanation} repository={repository} workspace={workspace.name} page={page} />
      )}
      <ol class="box list queue">
        {rows.map((run, index) => (
          <li class="list-row">
            <div class="list-state">
              <StateWord state={run.state} />
            </div>
            <div class="list-what">
              <a class="list-name" href={runPath(run.id)}>
                <Foreign text={runTitle(run)} max={120} />
              </a>
            </div>
            <div class="list-when">
              <span>{run === queue.holder ? 'current' : place(index - (queue.holder ? 1 : 0))}</span>
              <span>
                <Icon name="person" /> <Foreign text={run.actor} max={40} />
              </span>
            </div>
          </li>
        ))}
      </ol>
      {queue.pendingCount > queue.pending.length && (
        <p class="quiet">And {queue.pendingCount - queue.pending.length} more.</p>
      )}
    </section>
  );
}

/** In the queue, from 0. */
function place(index: number): string {
  return index === 0 ? 'next' : `number ${index + 1}`;
}

function Settings({ settings: { sha, settings }, repository, page }: WorkspacePageProps) {
  return (
    <section aria-labelledby="settings-title">
      <h2 id="settings-title" class="side-title">
        Settings
      </h2>
      <dl class="settings">
        {settings.map(({ key, value, origin }) => (
          <div>
            <dt>{key}</dt>
            <dd>
              {String(value) === '' ? <span class="quiet">none</span> : <Code text={words(value)} max={300} />}
              <span class="origin">
                <SettingOrigin origin={origin} sha={sha} repository={repository} page={page} />
              </span>
            </dd>
          </div>
        ))}
      </dl>
    </section>
  );
}

function words(value: ShownSetting['value']): string {
  return Array.isArray(value) ? value.join(', ') : String(value);
}

interface SettingOriginProps {
  origin: ShownSetting['origin'];
  sha: string | undefined;
  repository: RepositoryName;
  page: PageContext;
}

/** The line of the file that says so, on GitHub; or why there is none. */
function SettingOrigin({ origin, sha, repository, page }: SettingOriginProps) {
  if (origin === 'unknown') return <>known at the next push</>;
  if (typeof origin === 'string') return <>{origin}</>;
  const { file, line } = origin;
  const place = `${file.split('/').at(-1)}:${line}`;
  if (sha === undefined) return <>{place}</>;
  return <a href={fileUrl(page.githubUrl, repository, { sha, path: file, startLine: line })}>{place}</a>;
}

function StateVersions({
  versions,
  workspace,
  repository,
  page,
}: WorkspacePageProps & { versions: ListedStateVersion[] }) {
  return (
    <section id="state-versions" aria-labelledby="state-versions-title">
      <h2 id="state-versions-title" class="side-title">
        State versions
      </h2>
      {versions.length === 0 ? (
        <p class="quiet">None yet: the first apply makes one.</p>
      ) : (
        <>
          <StateVersionList versions={versions} workspace={workspace} repository={repository} page={page} />
          <p>
            <a href={stateVersionsPath(repository, workspace.name)}>All state versions</a>
          </p>
        </>
      )}
    </section>
  );
}
