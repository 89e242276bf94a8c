import type { Db } from '../db/pool.js';
import type { SettingKey, Workspace } from '../db/schema.js';
import { explainQueue, type QueueExplanation } from '../runs/queue-explanation.js';
import { LISTED, type ListedRun } from '../runs/run-list.js';
import { SETTINGS_FILE } from './settings-file.js';

/** A workspace's runs that haven't ended, speculative ones aside. */
export interface WorkspaceQueue {
  /** The run that holds the workspace. */
  holder: ListedRun | undefined;
  /** The first of those that wait, in their order. */
  pending: ListedRun[];
  /** How many wait. */
  pendingCount: number;
  /** What the first of them waits for. */
  explanation: QueueExplanation | undefined;
}

const PENDING_SHOWN = 50;

export async function queueOf(db: Db, workspace: Pick<Workspace, 'id'>): Promise<WorkspaceQueue> {
  const standard = db.selectFrom('runs').where('workspace_id', '=', workspace.id).where('speculative', '=', false);
  const waiting = standard.where('state', '=', 'pending');
  const [holder, pending, { count }, first] = await Promise.all([
    standard
      .select(LISTED)
      .where('state', 'in', ['planning', 'needs_confirmation', 'confirmed', 'applying'])
      .executeTakeFirst(),
    waiting.select(LISTED).orderBy('sequence').limit(PENDING_SHOWN).execute(),
    waiting.select((eb) => eb.fn.countAll<number>().as('count')).executeTakeFirstOrThrow(),
    waiting.selectAll().orderBy('sequence').limit(1).executeTakeFirst(),
  ]);
  return { holder, pending, pendingCount: count, explanation: first && (await explainQueue(db, first)) };
}

/**
 * Where a setting comes from. `unknown`: it was read by a version of Signalbox that didn't note that, and is noted as soon as
 * the default branch moves.
 */
export type Origin = { file: string; line: number } | 'default' | 'discovered' | 'unknown';

export interface Setting {
  key: SettingKey;
  value: string | boolean | string[];
  origin: Origin;
}

export interface WorkspaceSettingsShown {
  /** The commit that they were read at, where that is known. */
  sha: string | undefined;
  settings: Setting[];
}

/** What a workspace's settings are, in the order of the README, each with its origin. */
export function settingsOf(workspace: Workspace): WorkspaceSettingsShown {
  const values: Record<SettingKey, Setting['value']> = {
    name: workspace.name,
    directory: workspace.directory,
    branch: workspace.branch,
    'auto-apply': workspace.auto_apply,
    'trigger-prefixes': workspace.trigger_prefixes,
    'trigger-patterns': workspace.trigger_patterns,
    'apply-requirements': workspace.apply_requirements,
    'supersede-pending': workspace.supersede_pending,
  };
  const keys = Object.keys(values) as SettingKey[];
  const settings = keys.map((key) => ({ key, value: values[key], origin: originOf(workspace, key, values[key]) }));
  return { sha: workspace.settings_origin?.sha, settings };
}

function originOf({ settings_origin: origin }: Workspace, key: SettingKey, value: Setting['value']): Origin {
  if (origin === null) return 'unknown';
  if (origin.lines === undefined) return isFound(key, value) ? 'discovered' : 'default';
  const line = origin.lines[key];
  return line === undefined ? 'default' : { file: SETTINGS_FILE, line };
}

/** Discovery finds directories, names them, and follows their modules. */
function isFound(key: SettingKey, value: Setting['value']): boolean {
  if (key === 'trigger-prefixes') return Array.isArray(value) && value.length > 0;
  return key === 'name' || key === 'directory';
}
