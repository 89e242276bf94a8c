/** A plan as a reviewer wants it. */
export interface PlanView {
  resources: ResourceView[];
  drift: ResourceView[];
  outputs: OutputView[];
}

export interface ResourceView {
  address: string;
  action: 'destroy' | 'replace' | 'update' | 'create' | 'read' | 'move' | 'import' | 'forget';
  movedFrom?: string;
  imported?: string | true;
  deposed?: string;
  /** Words for Terraform's `action_reason`. */
  reason?: string;
  attributes: AttributeView[];
}

export interface AttributeView {
  path: string;
  change: 'add' | 'remove' | 'change' | 'same';
  before?: ValueView;
  after?: ValueView;
  forcesReplacement: boolean;
}

export type ValueView = { kind: 'value'; text: string } | { kind: 'sensitive' } | { kind: 'unknown' };

export interface OutputView {
  name: string;
  action: 'create' | 'update' | 'destroy';
  before?: ValueView;
  after?: ValueView;
}
