/** What `show -json` says of a plan, as far as it is read here. Everything else is in it too. */
export interface ShownPlan {
  format_version?: string;
  terraform_version?: string;
  applyable?: boolean;
  complete?: boolean;
  errored?: boolean;
  resource_changes?: ResourceChange[];
  output_changes?: Record<string, { actions: string[] }>;
  [key: string]: unknown;
}

interface ResourceChange {
  address: string;
  previous_address?: string;
  mode?: string;
  deposed?: string;
  change: { actions: string[]; importing?: unknown };
}

/** What will be done with one resource; a move or an import may come with any of the others, or alone (`no-op`). */
export interface ResourceAction {
  address: string;
  action: 'create' | 'update' | 'replace' | 'delete' | 'forget' | 'read' | 'no-op';
  /** Where it was before, if it is moved. */
  movedFrom?: string;
  imported: boolean;
  /** A remainder of an earlier replacement, by its key. */
  deposed?: string;
}

/** A plan in figures. A replacement counts as `replace` only: Terraform's own line counts it as an add and a destroy. */
export interface PlanSummary {
  add: number;
  change: number;
  destroy: number;
  replace: number;
  import: number;
  move: number;
  forget: number;
  /** Root outputs whose value changes. */
  outputs: number;
  /** Resources that something is done with, by address. Data sources that are read are among them. */
  resources: ResourceAction[];
}

/** Counts what a plan will do. */
export function summarizePlan(plan: ShownPlan): PlanSummary {
  const resources = (plan.resource_changes ?? [])
    .map(resourceAction)
    .filter(({ action, movedFrom, imported }) => action !== 'no-op' || movedFrom !== undefined || imported)
    .sort((a, b) => (a.address < b.address ? -1 : a.address > b.address ? 1 : 0));
  const count = (action: ResourceAction['action']) => resources.filter((resource) => resource.action === action).length;
  return {
    add: count('create'),
    change: count('update'),
    destroy: count('delete'),
    replace: count('replace'),
    forget: count('forget'),
    import: resources.filter(({ imported }) => imported).length,
    move: resources.filter(({ movedFrom }) => movedFrom !== undefined).length,
    outputs: Object.values(plan.output_changes ?? {}).filter(({ actions }) => actions.some((name) => name !== 'no-op'))
      .length,
    resources,
  };
}

function resourceAction({ address, previous_address: movedFrom, deposed, change }: ResourceChange): ResourceAction {
  return {
    address,
    action: actionOf(change.actions),
    imported: change.importing !== undefined && change.importing !== null,
    ...(movedFrom !== undefined && movedFrom !== address && { movedFrom }),
    ...(deposed !== undefined && { deposed }),
  };
}

/** Terraform lists a replacement's two halves in their order; `create, forget` keeps the old object alive, unmanaged. */
function actionOf(actions: string[]): ResourceAction['action'] {
  if (actions.length > 1) return 'replace';
  const [action] = actions;
  switch (action) {
    case 'create':
    case 'update':
    case 'delete':
    case 'forget':
    case 'read':
      return action;
    default:
      return 'no-op';
  }
}
