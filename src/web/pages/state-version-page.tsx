import type { Workspace } from '../../db/schema.js';
import { plural } from '../../reports/words.js';
import { repositoryListPath, runPath, workspacePath } from './addresses.js';
import { cut, Foreign } from './foreign.js';
import { Layout } from './layout.js';
import type { PageContext } from './page-context.js';
import { Blank } from './parts.js';
import type { RepositoryName } from './shown-run.js';
import type { ListedStateVersion } from './state-version-list.js';
import { Time } from './time.js';

export interface StateVersionPageProps {
  page: PageContext;
  workspace: Pick<Workspace, 'name'>;
  repository: RepositoryName;
  version: ListedStateVersion & { lineage: string };
  contents: {
    terraformVersion: string;
    /** By address, without the index of an instance. */
    resources: { address: string; instances: number }[];
    outputs: { name: string; type: string; sensitive: boolean }[];
  };
}

/** What one state version holds: which resources and outputs, and no value of them. */
export function StateVersionPage(props: StateVersionPageProps) {
  const { page, workspace, repository, version } = props;
  const { terraformVersion, resources, outputs } = props.contents;
  const address = workspacePath(repository, workspace.name);
  return (
    <Layout
      page={page}
      title={`State ${version.serial} · ${cut(workspace.name, 60)} · ${repository.owner}/${repository.name}`}
      crumbs={[
        { text: `${repository.owner}/${repository.name}`, href: repositoryListPath(repository) },
        { text: workspace.name, href: address },
        { text: `State ${version.serial}` },
      ]}
    >
      <div class="page">
        <h1 class="page-title">
          State version <span class="quiet">{version.serial}</span>
        </h1>
        <p class="quiet page-subtitle">
          Written <Time at={version.created_at} now={page.now} /> by{' '}
          <a href={runPath(version.run_id)}>{version.run_id}</a> with Terraform {cut(terraformVersion, 40)}, lineage{' '}
          <code>{cut(version.lineage, 60)}</code>
        </p>
        <section class="box" aria-labelledby="resources-title">
          <h2 id="resources-title" class="box-head">
            Resources <span class="counter">{resources.length}</span>
          </h2>
          {resources.length === 0 ? (
            <Blank icon="database" title="No resources">
              <p>This state is empty.</p>
            </Blank>
          ) : (
            <ul aria-label={plural(resources.length, 'resource')}>
              {resources.map((resource) => (
                <li class="box-row resource-line">
                  <code class="address">
                    <Foreign text={resource.address} max={500} />
                  </code>
                  {resource.instances !== 1 && <span class="counter">{resource.instances}</span>}
                </li>
              ))}
            </ul>
          )}
        </section>
        {outputs.length > 0 && (
          <section class="box" aria-labelledby="outputs-title">
            <h2 id="outputs-title" class="box-head">
              Outputs <span class="counter">{outputs.length}</span>
            </h2>
            <ul>
              {outputs.map(({ name, type, sensitive }) => (
                <li class="box-row">
                  <code>
                    <Foreign text={name} max={300} />
                  </code>{' '}
                  <span class="quiet">
                    <Foreign text={type} max={200} />
                  </span>{' '}
                  {sensitive && <span class="label">Sensitive</span>}
                </li>
              ))}
            </ul>
          </section>
        )}
      </div>
    </Layout>
  );
}
