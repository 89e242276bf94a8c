/** The workspaces of the day, in two repositories: half of them apply by themselves. */
export const REPOSITORIES = ['platform', 'product'] as const;
export type RepositoryName = (typeof REPOSITORIES)[number];

export interface WorkspacePlan {
  name: string;
  repository: RepositoryName;
  autoApply: boolean;
  /** What a pull request must meet before it is applied. */
  requirements: string[];
}

export const WORKSPACES: readonly WorkspacePlan[] = [
  { name: 'network', repository: 'platform', autoApply: true, requirements: ['mergeable', 'undiverged'] },
  { name: 'compute', repository: 'platform', autoApply: true, requirements: [] },
  { name: 'data', repository: 'platform', autoApply: false, requirements: [] },
  { name: 'edge', repository: 'platform', autoApply: false, requirements: ['mergeable'] },
  { name: 'shop', repository: 'product', autoApply: true, requirements: [] },
  { name: 'search', repository: 'product', autoApply: false, requirements: [] },
];

/** Names that resources may have: a workspace has from three to eight of them. */
export const RESOURCES = ['alpha', 'beta', 'gamma', 'delta', 'epsilon', 'zeta', 'eta', 'theta'] as const;

export function workspacesOf(repository: string): readonly WorkspacePlan[] {
  return WORKSPACES.filter((workspace) => workspace.repository === repository);
}

export function settingsFile(repository: RepositoryName): string {
  const entries = workspacesOf(repository).flatMap(({ name, autoApply, requirements }) => [
    `  - name: ${name}`,
    `    directory: ${name}`,
    `    auto-apply: ${autoApply}`,
    `    apply-requirements: [${requirements.join(', ')}]`,
  ]);
  return `workspaces:\n${entries.join('\n')}\n`;
}

/** Where a resource stands in its repository. */
export function pathOf(workspace: string, resource: string): string {
  return `${workspace}/${resource}.tf`;
}

/**
 * A resource that tells the journal when its making begins and ends, and takes so many seconds in between. It learns
 * which run it belongs to from the credentials for state: provisioners inherit Terraform's environment.
 */
export function resourceFile(
  workspace: string,
  resource: string,
  change: { version: string; seconds: number; journal: number },
): string {
  const { version, seconds, journal } = change;
  const note = (what: string) =>
    `printf '%s\\n' "${what} $TF_HTTP_USERNAME ${workspace} ${resource} ${version}" >&3 && read -r noted <&3`;
  const script = [
    `exec 3<>/dev/tcp/127.0.0.1/${journal}`,
    note('begin'),
    `sleep ${seconds}`,
    note('end'),
    `echo "${resource} ${version} is made"`,
  ].join(' && ');
  return `resource "terraform_data" "${resource}" {
  triggers_replace = "${version}"
  provisioner "local-exec" {
    interpreter = ["bash", "-c"]
    command     = ${JSON.stringify(script)}
  }
}
`;
}
