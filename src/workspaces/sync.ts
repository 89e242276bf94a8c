import { sql } from 'kysely';
import type { Db, Tx } from '../db/pool.js';
import type { Repository, SettingsOrigin, Workspace } from '../db/schema.js';
import { PathUnreadable } from '../git/git-error.js';
import type { Mirror } from '../git/mirror.js';
import type { SettingsProblem } from '../queue/outbox.js';
import { discoverWorkspaces } from './discovery.js';
import type { WorkspaceSettings } from './settings.js';
import { parseSettingsFile, SETTINGS_FILE } from './settings-file.js';
import { affectedWorkspaces, type ChangedPaths } from './triggers.js';

/** The part of a repository's mirror that settings are read from. */
export type CommitFiles = Pick<Mirror, 'files' | 'read'>;

/** Workspaces as a commit has them, ready to be taken into the record. */
export interface LoadedSettings {
  problems: SettingsProblem[];
  /** Brings the record up to date. */
  record(tx: Tx): Promise<RecordedSettings>;
}

export interface RecordedSettings {
  /** Those that runs may be created for, in the order of their names. */
  workspaces: Workspace[];
  /** Those that the settings have named until now: they keep their state, in case they come back. */
  removed: { id: number; name: string }[];
}

const MAX_FILE_BYTES = 2 * 1024 * 1024;

/**
 * The workspaces as of a commit of the default branch: from `.github/signalbox.yml`, or discovered where there is no
 * such file. What is on record as of that commit isn't read again.
 */
export async function loadSettings(
  db: Db,
  mirror: CommitFiles,
  repository: Repository,
  sha: string,
): Promise<LoadedSettings> {
  if (repository.settings_sha === sha) {
    return { problems: [], record: async (tx) => ({ workspaces: await workspacesOf(tx, repository.id), removed: [] }) };
  }
  const { workspaces, problems } = await readSettings(mirror, sha, await namesOnRecord(db, repository.id));
  return { problems, record: (tx) => recordSettings(tx, repository, sha, workspaces, problems.length > 0) };
}

/** Reads the settings of a commit, whichever it is, and changes nothing. */
export async function readSettings(
  mirror: CommitFiles,
  sha: string,
  names: ReadonlyMap<string, string> = new Map(),
): Promise<{ workspaces: WorkspaceSettings[]; problems: SettingsProblem[] }> {
  const files = await mirror.files(sha);
  const unreadable: SettingsProblem[] = [];
  const read = async (path: string): Promise<string> => {
    try {
      return (await mirror.read(sha, path, MAX_FILE_BYTES)).toString('utf8');
    } catch (error) {
      if (!(error instanceof PathUnreadable)) throw error;
      unreadable.push({ path, message: error.message, line: 1 });
      return '';
    }
  };
  if (files.includes(SETTINGS_FILE)) {
    const text = await read(SETTINGS_FILE);
    if (unreadable.length > 0) return { workspaces: [], problems: unreadable };
    const { workspaces, problems } = await parseSettingsFile(text, directoriesOf(files));
    return { workspaces, problems: problems.map((problem) => toReport(SETTINGS_FILE, problem)) };
  }
  const { workspaces, problems } = await discoverWorkspaces(files, read, { names });
  const reports = problems.map((problem) => toReport(problem.path, { line: 1, ...problem }));
  return { workspaces, problems: [...reports, ...unreadable] };
}

/** The workspaces on record that haven't been removed, in the order of their names. */
export async function workspacesOf(db: Db | Tx, repository: number): Promise<Workspace[]> {
  return db
    .selectFrom('workspaces')
    .selectAll()
    .where('repository_id', '=', repository)
    .where('removed_at', 'is', null)
    .orderBy('name')
    .execute();
}

/** Those of the workspaces that a change affects. */
export function affectedBy(workspaces: readonly Workspace[], changed: ChangedPaths): Workspace[] {
  const triggers = workspaces.map((row) => ({
    row,
    directory: row.directory,
    triggerPrefixes: row.trigger_prefixes,
    triggerPatterns: row.trigger_patterns,
  }));
  return affectedWorkspaces(triggers, changed).map(({ row }) => row);
}

/**
 * With a problem in the file nothing is taken for removed (which workspace the broken lines meant can't be told), and
 * the file is read again next time: workspaces that are on record only because of that get no runs meanwhile.
 */
async function recordSettings(
  tx: Tx,
  repository: Repository,
  sha: string,
  settings: WorkspaceSettings[],
  incomplete: boolean,
): Promise<RecordedSettings> {
  const recorded = settings.length === 0 ? [] : await upsert(tx, repository, sha, settings);
  const removed = incomplete ? [] : await removeOthers(tx, repository, recorded);
  await tx
    .updateTable('repositories')
    .set({ settings_sha: incomplete ? null : sha })
    .where('id', '=', repository.id)
    .execute();
  return { workspaces: recorded.sort((a, b) => (a.name < b.name ? -1 : 1)), removed };
}

async function upsert(
  tx: Tx,
  repository: Repository,
  sha: string,
  settings: WorkspaceSettings[],
): Promise<Workspace[]> {
  const rows = settings.map((workspace) => ({
    repository_id: repository.id,
    name: workspace.name,
    directory: workspace.directory,
    branch: workspace.branch ?? repository.default_branch,
    auto_apply: workspace.autoApply,
    trigger_prefixes: workspace.triggerPrefixes,
    trigger_patterns: workspace.triggerPatterns,
    apply_requirements: workspace.applyRequirements,
    supersede_pending: workspace.supersedePending,
    settings_origin: JSON.stringify({
      sha,
      ...(workspace.lines && { lines: workspace.lines }),
    } satisfies SettingsOrigin),
  }));
  return tx
    .insertInto('workspaces')
    .values(rows)
    .onConflict((conflict) =>
      conflict.columns(['repository_id', 'name']).doUpdateSet((eb) => ({
        directory: eb.ref('excluded.directory'),
        branch: eb.ref('excluded.branch'),
        auto_apply: eb.ref('excluded.auto_apply'),
        trigger_prefixes: eb.ref('excluded.trigger_prefixes'),
        trigger_patterns: eb.ref('excluded.trigger_patterns'),
        apply_requirements: eb.ref('excluded.apply_requirements'),
        supersede_pending: eb.ref('excluded.supersede_pending'),
        settings_origin: eb.ref('excluded.settings_origin'),
        removed_at: null,
      })),
    )
    .returningAll()
    .execute();
}

async function removeOthers(tx: Tx, repository: Repository, kept: Workspace[]): Promise<RecordedSettings['removed']> {
  const ids = kept.map((workspace) => workspace.id);
  return tx
    .updateTable('workspaces')
    .set({ removed_at: sql`now()` })
    .where('repository_id', '=', repository.id)
    .where('removed_at', 'is', null)
    .where((eb) => (ids.length === 0 ? eb.lit(true) : eb('id', 'not in', ids)))
    .returning(['id', 'name'])
    .execute();
}

/** Directory → name, removed workspaces included: what comes back to a directory gets its name back. */
async function namesOnRecord(db: Db, repository: number): Promise<Map<string, string>> {
  const rows = await db
    .selectFrom('workspaces')
    .select(['directory', 'name'])
    .where('repository_id', '=', repository)
    .orderBy((eb) => eb('removed_at', 'is', null))
    .orderBy('id')
    .execute();
  return new Map(rows.map(({ directory, name }) => [directory, name]));
}

function directoriesOf(files: readonly string[]): Set<string> {
  const directories = new Set<string>();
  for (const file of files) {
    for (let end = file.lastIndexOf('/'); end > 0; end = file.lastIndexOf('/', end - 1)) {
      const directory = file.slice(0, end);
      if (directories.has(directory)) break;
      directories.add(directory);
    }
  }
  return directories;
}

function toReport(path: string, problem: { message: string; line: number; endLine?: number }): SettingsProblem {
  const { message, line, endLine } = problem;
  return { path, message, line, ...(endLine === undefined ? {} : { endLine }) };
}
