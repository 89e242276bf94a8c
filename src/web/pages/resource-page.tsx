import type { Repository, Run } from '../../db/schema.js';
import type { ResourceView } from '../../terraform/plan-view.js';
import { repositoryListPath, runPath, workspacePath } from './addresses.js';
import { cut, Foreign } from './foreign.js';
import { Layout } from './layout.js';
import type { PageContext } from './page-context.js';
import { AttributeTable } from './plan-attributes.js';
import { fittingAttributes, More } from './plan-size.js';

export interface ResourcePageProps {
  page: PageContext;
  run: Run;
  repository: Pick<Repository, 'owner' | 'name'>;
  resource: ResourceView;
}

/** What a plan changes of one resource: where the plan has so many that its run's page doesn't show it all. */
export function ResourcePage({ page, run, repository, resource }: ResourcePageProps) {
  const { name } = run.settings;
  const attributes = fittingAttributes(resource.attributes);
  return (
    <Layout
      page={page}
      title={`${cut(resource.address, 60)} · ${cut(name, 60)} · ${repository.owner}/${repository.name}`}
      crumbs={[
        { text: `${repository.owner}/${repository.name}`, href: repositoryListPath(repository) },
        { text: name, href: workspacePath(repository, name) },
        { text: run.id, href: runPath(run.id), code: true },
        { text: resource.address, code: true },
      ]}
    >
      <div class="page">
        <h1 class="page-title">
          <Foreign text={resource.address} max={500} />
        </h1>
        <p class="quiet page-subtitle">{resource.action}</p>
        <div class="box" id="attributes">
          <AttributeTable attributes={attributes} />
          <More run={run.id} left={resource.attributes.length - attributes.length} />
        </div>
      </div>
    </Layout>
  );
}
