import swc from '@swc/core';

/**
 * The one direction in which folders of src may import, as drawn in .github/CONTRIBUTING.md. A folder may import itself, the
 * files below, and the folders listed; everything else is an error.
 */
const everywhere = ['^src/(config|log|octokit|units|within)\\.ts$', '^src/db/', '^src/variables/'];
const allowed = {
  db: ['^src/runs/machine\\.ts$', '^src/queue/complaints\\.ts$'],
  variables: [],
  terraform: [],
  git: [],
  workspaces: [
    '^src/git/',
    '^src/queue/outbox\\.ts$',
    '^src/runs/(next|machine|said|run-list|queue-explanation)\\.ts$',
    '^src/signin/access\\.ts$',
  ],
  queue: [],
  runs: ['^src/queue/outbox\\.ts$', '^src/signin/access\\.ts$', '^src/terraform/plan-view\\.ts$'],
  live: ['^src/runs/', '^src/terraform/colour\\.ts$', '^src/signin/access\\.ts$'],
  recovery: ['^src/runs/', '^src/workspaces/lock\\.ts$', '^src/state/saved-state\\.ts$'],
  state: ['^src/terraform/state-file\\.ts$'],
  worker: [
    '^src/runs/',
    '^src/terraform/',
    '^src/state/',
    '^src/git/',
    '^src/queue/outbox\\.ts$',
    '^src/workspaces/lock\\.ts$',
  ],
  reports: ['^src/runs/', '^src/queue/'],
  github: ['^src/runs/', '^src/workspaces/', '^src/git/', '^src/queue/(outbox|complaints)\\.ts$'],
  operating: ['^src/runs/', '^src/state/', '^src/queue/outbox\\.ts$'],
  web: [
    '^src/(runs|workspaces|signin|live|github|state)/',
    '^src/reports/words\\.ts$',
    '^src/terraform/plan-view\\.ts$',
  ],
  signin: [],
  housekeeping: ['^src/git/', '^src/terraform/', '^src/worker/work-directory\\.ts$'],
};

// dependency-cruiser parses with swc, and tells it of no file that it has JSX.
const { parseFileSync } = swc;
swc.parseFileSync = (file, options) => parseFileSync(file, { ...options, tsx: file.endsWith('.tsx') });

export default {
  forbidden: [
    {
      name: 'no-circular',
      severity: 'error',
      from: {},
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    { name: 'no-unresolved', severity: 'error', from: {}, to: { couldNotResolve: true } },
    { name: 'no-dev-dependencies', severity: 'error', from: {}, to: { dependencyTypes: ['npm-dev'] } },
    {
      name: 'no-orphans',
      severity: 'error',
      from: { orphan: true, pathNot: ['^src/index\\.ts$', '^src/web/browser/'] },
      to: {},
    },
    ...Object.entries(allowed).map(([folder, targets]) => ({
      name: `${folder}-imports`,
      severity: 'error',
      from: { path: `^src/${folder}/` },
      to: { path: '^src/', pathNot: [`^src/${folder}/`, ...everywhere, ...targets] },
    })),
  ],
  options: {
    parser: 'swc',
    tsPreCompilationDeps: true,
    doNotFollow: { path: 'node_modules' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
};
