import { isMap, isScalar, isSeq, LineCounter, type Pair } from 'yaml';
import type { SettingKey } from '../db/schema.js';
import { didYouMean } from './did-you-mean.js';
import {
  APPLY_REQUIREMENTS,
  type ApplyRequirement,
  branchFault,
  defaultSettings,
  directoryFault,
  nameFault,
  normalDirectory,
  patternFault,
  type WorkspaceSettings,
} from './settings.js';
import { type Entry, type Range, readYaml } from './yaml-document.js';

export { APPLY_REQUIREMENTS, type ApplyRequirement, type WorkspaceSettings } from './settings.js';

/** Where the settings live, from the repository's root. */
export const SETTINGS_FILE = '.github/signalbox.yml';

/** What is wrong with the settings file, where a reader finds it. Lines and columns count from 1. */
export interface Problem {
  message: string;
  line: number;
  endLine?: number;
  column?: number;
}

export interface SettingsFile {
  /** Those without a problem, in the file's order. */
  workspaces: WorkspaceSettings[];
  /** In the file's order; after a hundred, one that counts the rest. */
  problems: Problem[];
}

/** The repository's directories (no trailing slash), or a question about one of them. */
export type Directories = ReadonlySet<string> | ((directory: string) => boolean | Promise<boolean>);

const MAX_PROBLEMS = 100;
const KEYS: SettingKey[] = [
  'name',
  'directory',
  'branch',
  'auto-apply',
  'trigger-prefixes',
  'trigger-patterns',
  'apply-requirements',
  'supersede-pending',
];

/**
 * Parses the text of `.github/signalbox.yml`. A workspace with any problem is left out, because a misspelt
 * `apply-requirements` must not become a laxer workspace; the others go on. Of workspaces with one name none goes on:
 * state belongs to the name, and which of them owns it can't be guessed. Never throws for what the file says.
 */
export async function parseSettingsFile(text: string, directories?: Directories): Promise<SettingsFile> {
  const reader = new Reader(text);
  const workspaces: WorkspaceSettings[] = [];
  for (const { settings, node } of reader.read()) {
    if (await exists(settings.directory, directories)) workspaces.push(settings);
    else reader.report(`the directory \`${settings.directory}\` does not exist`, node);
  }
  const problems = reader.problems.sort((a, b) => a.line - b.line || (a.column ?? 0) - (b.column ?? 0));
  const more = problems.length - MAX_PROBLEMS;
  if (more > 0) problems.splice(MAX_PROBLEMS, more, { message: `and ${more} more problems`, line: 1 });
  return { workspaces, problems };
}

async function exists(directory: string, directories: Directories | undefined): Promise<boolean> {
  if (directory === '.' || directories === undefined) return true;
  return typeof directories === 'function' ? directories(directory) : directories.has(directory);
}

type Found = { settings: WorkspaceSettings; node: Entry };

class Reader {
  readonly problems: Problem[] = [];
  readonly #lines = new LineCounter();
  readonly #text: string;
  #resolve: (node: Entry) => Entry = (node) => node;

  constructor(text: string) {
    this.#text = text;
  }

  report(message: string, at: Entry | Range): void {
    const [start, end] = Array.isArray(at) ? at : ((at as Entry)?.range ?? [0, 0]);
    const from = this.#lines.linePos(start);
    const to = this.#lines.linePos(Math.max(start, end - 1));
    const problem: Problem = { message, line: Math.max(1, from.line), column: Math.max(1, from.col) };
    if (to.line > problem.line) problem.endLine = to.line;
    this.problems.push(problem);
  }

  read(): Found[] {
    const document = readYaml(this.#text, this.#lines);
    if ('fault' in document) return this.#nothing(document.fault, document.range);
    this.#resolve = document.resolve;
    const root = document.contents;
    if (!root) return this.#nothing('the file is empty: list your workspaces under `workspaces:`');
    if (!isMap(root)) return this.#nothing('the file must be a map with the key `workspaces`', root);
    const list = this.#entries(root, ['workspaces'], 'the file').get('workspaces');
    if (list === undefined) {
      if (this.problems.length > 0) return [];
      return this.#nothing('there is no key `workspaces`: list your workspaces under it');
    }
    const items = this.#resolve(list.value as Entry);
    if (!isSeq(items)) return this.#nothing('`workspaces` must be a list', (items ?? list.key) as Entry);
    return this.#workspaces(items.items as Entry[]);
  }

  #nothing(message: string, at: Entry | Range = null): [] {
    this.report(message, at);
    return [];
  }

  #workspaces(items: Entry[]): Found[] {
    const found: Found[] = [];
    const named = new Map<string, { name: string; line: number; count: number }>();
    for (const item of items) {
      const before = this.problems.length;
      const read = this.#workspace(item);
      if (read === undefined) continue;
      const { name, line } = read.settings;
      const first = named.get(name.toLowerCase());
      if (first) {
        first.count++;
        const both = first.name === name ? `\`${name}\`` : `\`${first.name}\` and \`${name}\` (case doesn't tell)`;
        this.report(`two workspaces are named ${both}: lines ${first.line} and ${line}`, read.nameNode);
      } else if (name !== '') named.set(name.toLowerCase(), { name, line, count: 1 });
      if (this.problems.length === before) found.push(read);
    }
    return found.filter(({ settings }) => named.get(settings.name.toLowerCase())?.count === 1);
  }

  #workspace(item: Entry): (Found & { nameNode: Entry }) | undefined {
    const map = this.#resolve(item);
    if (!isMap(map)) {
      this.report('a workspace must be a map with `name` and `directory`', item);
      return undefined;
    }
    const entries = this.#entries(map, KEYS, 'a workspace');
    const value = (key: string): Entry => entries.get(key)?.value as Entry;
    for (const key of ['name', 'directory']) {
      if (!entries.has(key)) this.report(`the workspace has no \`${key}\``, item);
    }
    const at = this.#lines.linePos(item?.range?.[0] ?? 0).line;
    const text = (key: string, fault: (text: string) => string | undefined) =>
      entries.has(key) ? this.#string(`\`${key}\``, value(key), entries.get(key)?.key as Entry, fault) : undefined;
    const list = (key: string, fault: (text: string) => string | undefined) =>
      entries.has(key) ? this.#strings(key, value(key), entries.get(key)?.key as Entry, fault) : undefined;
    const flag = (key: string) =>
      entries.has(key) ? this.#boolean(key, value(key), entries.get(key)?.key as Entry) : undefined;

    const settings = defaultSettings(text('name', nameFault) ?? '', text('directory', directoryFault) ?? '.', at);
    settings.directory = normalDirectory(settings.directory);
    const branch = text('branch', branchFault);
    if (branch !== undefined) settings.branch = branch;
    settings.autoApply = flag('auto-apply') ?? settings.autoApply;
    settings.triggerPrefixes = (list('trigger-prefixes', directoryFault) ?? []).map(normalDirectory);
    settings.triggerPatterns = list('trigger-patterns', patternFault) ?? [];
    const requirements = list('apply-requirements', requirementFault) as ApplyRequirement[] | undefined;
    if (requirements) settings.applyRequirements = [...new Set(requirements)];
    settings.supersedePending = flag('supersede-pending') ?? settings.supersedePending;
    settings.lines = this.#linesOf(entries);
    return { settings, node: value('directory'), nameNode: value('name') };
  }

  #linesOf(entries: ReadonlyMap<string, Pair>): NonNullable<WorkspaceSettings['lines']> {
    return Object.fromEntries(
      [...entries].map(([key, pair]) => [key, this.#lines.linePos((pair.key as Entry)?.range?.[0] ?? 0).line]),
    );
  }

  #entries(map: { items: Pair[] }, known: string[], owner: string): Map<string, Pair> {
    const entries = new Map<string, Pair>();
    for (const pair of map.items) {
      const node = pair.key as Entry;
      const key = isScalar(node) ? String(node.value) : '';
      if (!known.includes(key)) {
        const hint = key === '<<' ? '; YAML merge keys are not supported' : didYouMean(key, known);
        this.report(`${owner} has no key \`${shown(key)}\`${hint}`, node);
      } else if (entries.has(key)) this.report(`\`${key}\` is given twice`, node);
      else entries.set(key, pair);
    }
    return entries;
  }

  #string(what: string, node: Entry, key: Entry, fault: (text: string) => string | undefined): string | undefined {
    const scalar = this.#resolve(node);
    if (!isScalar(scalar) || typeof scalar.value !== 'string') {
      const quoted = isScalar(scalar) && scalar.value !== null ? `: write "${shown(String(scalar.source))}"` : '';
      this.report(`${what} must be text${quoted}`, (node ?? key) as Entry);
      return undefined;
    }
    const problem = fault(scalar.value);
    if (problem === undefined) return scalar.value;
    this.report(`${what} ${problem}`, node);
    return undefined;
  }

  #strings(
    key: string,
    node: Entry,
    keyNode: Entry,
    fault: (text: string) => string | undefined,
  ): string[] | undefined {
    const list = this.#resolve(node);
    if (!isSeq(list)) {
      this.report(`\`${key}\` must be a list`, (node ?? keyNode) as Entry);
      return undefined;
    }
    const read = list.items.map((item) => this.#string(`each of \`${key}\``, item as Entry, keyNode, fault));
    return read.filter((text) => text !== undefined);
  }

  #boolean(key: string, node: Entry, keyNode: Entry): boolean | undefined {
    const scalar = this.#resolve(node);
    if (isScalar(scalar) && typeof scalar.value === 'boolean') return scalar.value;
    this.report(`\`${key}\` must be true or false`, (node ?? keyNode) as Entry);
    return undefined;
  }
}

function requirementFault(text: string): string | undefined {
  if ((APPLY_REQUIREMENTS as readonly string[]).includes(text)) return undefined;
  return `must be one of ${APPLY_REQUIREMENTS.join(', ')}, not \`${shown(text)}\`${didYouMean(text, APPLY_REQUIREMENTS)}`;
}

function shown(text: string): string {
  return text.length > 60 ? `${text.slice(0, 60)}…` : text;
}
