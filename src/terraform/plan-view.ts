import { setImmediate } from 'node:timers/promises';
import { createMask, createMaskInSteps, isMaskable, type Mask } from '../variables/masking.js';
import { reasonText } from './action-reason.js';
import {
  type AttributeView,
  attributeViews,
  collectTexts,
  sidesOf,
  type ValueView,
  wholeView,
} from './attribute-views.js';
import { parseExactly } from './exact-numbers.js';
import { isObject, type Json } from './marked-value.js';

export type { AttributeView, ValueView };

/** A plan as people read it: nothing sensitive is in it. */
export interface PlanView {
  resources: ResourceView[];
  /** What was changed outside of Terraform. `destroy`: it is gone. */
  drift: ResourceView[];
  outputs: OutputView[];
}

export interface ResourceView {
  address: string;
  action: 'destroy' | 'replace' | 'update' | 'create' | 'read' | 'move' | 'import' | 'forget';
  movedFrom?: string;
  /** The id that it is imported by; `true` when that isn't known yet. */
  imported?: string | true;
  /** A remainder of an earlier replacement, by its key. */
  deposed?: string;
  /** Why Terraform does this, in a sentence. */
  reason?: string;
  attributes: AttributeView[];
}

export interface OutputView {
  name: string;
  action: 'create' | 'update' | 'destroy';
  before?: ValueView;
  after?: ValueView;
}

/** The member of a plan's JSON that has what must never be shown of it; Terraform has none of this name. */
const MASKED = 'signalbox_masked';

/**
 * A plan's JSON together with values that are secret though Terraform doesn't know: for `viewPlan`, and still the JSON that
 * it was for whoever doesn't look for them.
 *
 * @param masked as `createMask` takes it
 */
export function withMasked(planJson: string, masked: readonly string[]): string {
  const rest = planJson.trimStart().slice(1);
  if (masked.length === 0 || !planJson.trimStart().startsWith('{')) return planJson;
  const comma = rest.trimStart().startsWith('}') ? '' : ',';
  return `{${JSON.stringify(MASKED)}:${JSON.stringify(masked)}${comma}${rest}`;
}

/** A plan of which no view is made, since one would cost everybody else too much. The message ends a sentence about it. */
export class PlanTooLarge extends Error {
  override name = 'PlanTooLarge';
}

/** Values in the whole JSON: parsed, each takes some 100 bytes. */
const MOST_VALUES = 2_000_000;
/** Attributes in the view. */
const MOST_ROWS = 200_000;
/** Characters in the view. */
const MOST_CHARACTERS = 16 * 1024 * 1024;
/** Characters of what is sensitive: each is looked for in a dozen encodings. */
const MOST_SECRET = 512 * 1024;
/** Of a longer text a piece is masked at a time, in characters: at worst 50 ms. */
const MASKED_AT_ONCE = 64 * 1024;

const ORDER: ResourceView['action'][] = ['destroy', 'replace', 'update', 'create', 'read', 'move', 'import', 'forget'];

/**
 * Reads `terraform show -json` of a plan. Sensitive is what Terraform marks before or after the change, and, because
 * providers copy values into attributes that nobody marks, any text that equals or contains such a value or that of a
 * sensitive variable. What came with the JSON by `withMasked` is hidden in addresses and paths, too, where a `for_each` or a
 * map has it as a key.
 *
 * Cost: about 0.2 s for 2,000 resources of 2 KiB, and twice that when each has a secret of its own; 0.04 s of it is parsing. Measured on
 * Node 20.
 *
 * Throws SyntaxError, and PlanTooLarge.
 */
export function viewPlan(planJson: string): PlanView {
  const work = reading(planJson);
  for (;;) {
    const step = work.next();
    if (step.done) return step.value;
  }
}

/** How long one piece of the work may take before others have their turn, in ms. */
const TURN_MS = 10;

/** The same, in pieces between which others have their turn. Parsing is one piece: 8 ms for each MiB. */
export async function viewPlanInTurns(planJson: string): Promise<PlanView> {
  const work = reading(planJson);
  for (let since = performance.now(); ; ) {
    const step = work.next();
    if (step.done) return step.value;
    if (performance.now() - since < TURN_MS) continue;
    await setImmediate();
    since = performance.now();
  }
}

/** What a view takes in memory, in bytes, roughly. */
export function weightOf({ resources, drift, outputs }: PlanView): number {
  const values = outputs.map((output) => 2 * charactersOf(output));
  const rows = [...resources, ...drift].map(({ address, attributes }) =>
    attributes.reduce((sum, row) => sum + ROW_BYTES + 2 * charactersOf(row), ROW_BYTES + 2 * address.length),
  );
  return [...values, ...rows].reduce((sum, bytes) => sum + bytes, 0);
}

const ROW_BYTES = 300;

/** How much text there is in an attribute, or in an output. */
export function charactersOf(holder: { path?: string; before?: ValueView; after?: ValueView }): number {
  const { path = '', before, after } = holder;
  const lengths = [before, after].map((value) => (value?.kind === 'value' ? value.text.length : 0));
  return lengths.reduce((sum, length) => sum + length, path.length);
}

function* reading(planJson: string): Generator<void, PlanView> {
  if (signsIn(planJson, MOST_VALUES) > MOST_VALUES) throw new PlanTooLarge('has too many values');
  const parsed = parseExactly(planJson);
  yield;
  const plan = isObject(parsed) ? parsed : {};
  const secrets = new Set<string>();
  let secret = 0;
  const collect = (text: string) => {
    if (!isMaskable(text) || secrets.has(text)) return;
    secret += text.length;
    if (secret > MOST_SECRET) throw new PlanTooLarge('has too much that is sensitive');
    secrets.add(text);
  };
  const weigh = weighing();
  collectVariables(plan, collect);
  const masked = Array.isArray(plan[MASKED]) ? plan[MASKED].filter((value) => typeof value === 'string') : [];
  const view: PlanView = { resources: [], drift: [], outputs: [] };
  for (const entry of changesOf(plan.resource_changes)) {
    view.resources.push(...resourceView(entry, collect).map(weigh.resource));
    yield;
  }
  for (const entry of changesOf(plan.resource_drift)) {
    view.drift.push(...resourceView(entry, collect).filter(isDrift).map(weigh.resource));
    yield;
  }
  for (const [name, change] of Object.entries(isObject(plan.output_changes) ? plan.output_changes : {})) {
    if (isObject(change)) view.outputs.push(...outputView(name, change, collect).map(weigh.row));
    yield;
  }
  view.resources.sort(byActionAndAddress);
  view.drift.sort(byActionAndAddress);
  yield* hiding(view, secrets, masked);
  return view;
}

/** What separates or begins values, up to one more than `most`: at least as many as there are values, within strings too. */
function signsIn(json: string, most: number): number {
  let count = 0;
  for (const sign of [',', '[', '{']) {
    for (let at = json.indexOf(sign); at >= 0 && count <= most; at = json.indexOf(sign, at + 1)) count++;
  }
  return count;
}

/** Lets everything through as it is, until all of it together is too much. */
function weighing() {
  let rows = 0;
  let characters = 0;
  const row = <Row extends Parameters<typeof charactersOf>[0]>(one: Row): Row => {
    rows += 1;
    characters += charactersOf(one);
    if (rows > MOST_ROWS) throw new PlanTooLarge('has too many attributes');
    if (characters > MOST_CHARACTERS) throw new PlanTooLarge('has too much text');
    return one;
  };
  const resource = (one: ResourceView): ResourceView => {
    row({ path: one.address });
    for (const attribute of one.attributes) row(attribute);
    return one;
  };
  return { row, resource };
}

function changesOf(list: unknown): (Json & { change: Json })[] {
  if (!Array.isArray(list)) return [];
  return list.filter((entry): entry is Json & { change: Json } => isObject(entry) && isObject(entry.change));
}

function resourceView(entry: Json & { change: Json }, collect: (secret: string) => void): ResourceView[] {
  const { change, deposed, previous_address: from } = entry;
  const address = String(entry.address);
  const sides = sidesOf(change, collect);
  const movedFrom = typeof from === 'string' && from !== address ? from : undefined;
  const imported = importedBy(change.importing);
  const actions = Array.isArray(change.actions) ? change.actions : [];
  const action = actionOf(actions, movedFrom, imported);
  if (action === undefined) return [];
  const [before, after] = sides;
  const keeps = actions.length > 1 && actions.includes('forget');
  const reason = [
    reasonText(entry.action_reason),
    keeps && 'The old object stays as it is, and Terraform no longer manages it.',
  ];
  const reasons = reason.filter(Boolean).join(' ');
  return [
    {
      address,
      action,
      ...(movedFrom !== undefined && { movedFrom }),
      ...(imported !== undefined && { imported }),
      ...(typeof deposed === 'string' && { deposed }),
      ...(reasons !== '' && { reason: reasons }),
      attributes: attributeViews(before, action === 'forget' ? before : after, change.replace_paths),
    },
  ];
}

function actionOf(
  actions: unknown[],
  movedFrom: string | undefined,
  imported: string | true | undefined,
): ResourceView['action'] | undefined {
  if (actions.length > 1) return 'replace';
  switch (actions[0]) {
    case 'delete':
      return 'destroy';
    case 'create':
    case 'update':
    case 'read':
    case 'forget':
      return actions[0];
    default:
      return imported !== undefined ? 'import' : movedFrom !== undefined ? 'move' : undefined;
  }
}

function importedBy(importing: unknown): string | true | undefined {
  if (!isObject(importing)) return undefined;
  return typeof importing.id === 'string' && importing.id !== '' ? importing.id : true;
}

/** Terraform lists moves here as well. */
function isDrift({ action, attributes }: ResourceView): boolean {
  return action === 'destroy' || attributes.some(({ change }) => change !== 'same');
}

function outputView(name: string, change: Json, collect: (secret: string) => void): OutputView[] {
  const [before, after] = sidesOf(change, collect);
  const [first] = Array.isArray(change.actions) ? change.actions : [];
  const action = first === 'delete' ? 'destroy' : first === 'create' || first === 'update' ? first : undefined;
  if (action === undefined) return [];
  const old = wholeView(before);
  const fresh = wholeView(after);
  return [{ name, action, ...(old && { before: old }), ...(fresh && { after: fresh }) }];
}

function collectVariables({ variables, configuration }: Json, collect: (secret: string) => void): void {
  const root = isObject(configuration) ? configuration.root_module : undefined;
  const declared = isObject(root) && isObject(root.variables) ? root.variables : {};
  for (const [name, declaration] of Object.entries(declared)) {
    if (!isObject(declaration) || declaration.sensitive !== true) continue;
    collectTexts(declaration.default, 0, collect);
    const given = isObject(variables) ? variables[name] : undefined;
    if (isObject(given)) collectTexts(given.value, 0, collect);
  }
}

/**
 * Terraform lets nothing that it calls sensitive be a key of `for_each`, so addresses and paths are left alone for its sake: a
 * sensitive `network` would take them apart.
 */
function* hiding(view: PlanView, secrets: Set<string>, masked: string[]): Generator<void> {
  if (secrets.size === 0 && masked.length === 0) return;
  const mask = yield* createMaskInSteps([...secrets, ...masked]);
  const names = createMask(masked);
  yield;
  for (const resource of [...view.resources, ...view.drift]) {
    resource.address = names.mask(resource.address);
    if (resource.movedFrom !== undefined) resource.movedFrom = names.mask(resource.movedFrom);
    if (typeof resource.imported === 'string') resource.imported = mask.mask(resource.imported);
    for (const attribute of resource.attributes) {
      attribute.path = names.mask(attribute.path);
      yield* hideIn(attribute, mask);
    }
    yield;
  }
  for (const output of view.outputs) yield* hideIn(output, mask);
}

function* hideIn(holder: { before?: ValueView; after?: ValueView }, mask: Mask): Generator<void> {
  for (const side of ['before', 'after'] as const) {
    const value = holder[side];
    if (value?.kind !== 'value') continue;
    const text = yield* maskedText(value.text, mask);
    if (text !== value.text) holder[side] = /^"?\*+"?$/.test(text) ? { kind: 'sensitive' } : { kind: 'value', text };
  }
}

function* maskedText(text: string, mask: Mask): Generator<void, string> {
  if (text.length <= MASKED_AT_ONCE) return mask.mask(text);
  const stream = mask.stream();
  let masked = '';
  for (let at = 0; at < text.length; at += MASKED_AT_ONCE) {
    masked += stream.push(text.slice(at, at + MASKED_AT_ONCE));
    yield;
  }
  return masked + stream.end();
}

function byActionAndAddress(a: ResourceView, b: ResourceView): number {
  return (
    ORDER.indexOf(a.action) - ORDER.indexOf(b.action) ||
    compare(a.address, b.address) ||
    compare(a.deposed ?? '', b.deposed ?? '')
  );
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
