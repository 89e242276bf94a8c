import { repositoryListPath, stateVersionsPath, workspacePath } from './addresses.js';
import { cut } from './foreign.js';
import { Layout } from './layout.js';
import { Pager } from './pager.js';
import { Blank } from './parts.js';
import type { Listing } from './shown-run.js';
import { type ListedStateVersion, StateVersionList, type StateVersionListProps } from './state-version-list.js';

export interface StateVersionsPageProps extends Omit<StateVersionListProps, 'versions'> {
  listing: Listing<ListedStateVersion>;
}

/** Every state version of a workspace that is kept, the newest first. */
export function StateVersionsPage({ page, workspace, repository, listing }: StateVersionsPageProps) {
  const { rows, newer, older } = listing;
  return (
    <Layout
      page={page}
      title={`State versions · ${cut(workspace.name, 60)} · ${repository.owner}/${repository.name}`}
      crumbs={[
        { text: `${repository.owner}/${repository.name}`, href: repositoryListPath(repository) },
        { text: workspace.name, href: workspacePath(repository, workspace.name) },
        { text: 'State versions' },
      ]}
    >
      <div class="page">
        <h1 class="page-title">State versions</h1>
        {rows.length === 0 ? (
          <Blank icon="database" title="No state yet">
            <p>The first apply makes a state version.</p>
          </Blank>
        ) : (
          <StateVersionList page={page} workspace={workspace} repository={repository} versions={rows} />
        )}
        <Pager
          newer={newer}
          older={older}
          address={stateVersionsPath(repository, workspace.name)}
          query={{}}
          label="Pages of state versions"
        />
      </div>
    </Layout>
  );
}
