import type { StateVersion, Workspace } from '../../db/schema.js';
import { plural } from '../../reports/words.js';
import { runPath, stateVersionPath } from './addresses.js';
import { Icon } from './icon.js';
import type { PageContext } from './page-context.js';
import type { RepositoryName } from './shown-run.js';
import { Time } from './time.js';

export type ListedStateVersion = Pick<StateVersion, 'id' | 'run_id' | 'serial' | 'resources' | 'created_at'>;

export interface StateVersionListProps {
  page: PageContext;
  workspace: Pick<Workspace, 'name'>;
  repository: RepositoryName;
  versions: ListedStateVersion[];
}

/** State versions, each with a link to what it holds and to the run that made it. */
export function StateVersionList({ versions, workspace, repository, page }: StateVersionListProps) {
  return (
    <ul class="state-versions">
      {versions.map(({ id, serial, resources, created_at, run_id }) => (
        <li>
          <Icon name="database" tone="muted" />
          <a href={stateVersionPath(repository, workspace.name, id)}>Serial {serial}</a>
          <span class="quiet">{plural(resources, 'resource')}</span>
          <a class="quiet-link" href={runPath(run_id)}>
            <Time at={created_at} now={page.now} />
          </a>
        </li>
      ))}
    </ul>
  );
}
