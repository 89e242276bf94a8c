import { Encryption } from '../../src/variables/encryption.js';
import type { Comment, Repository } from '../support/github/index.js';
import type { Day, Push } from './day.js';
import type { Evidence, PullFact, PushFact, RunFact, StateVersionFact } from './evidence.js';
import type { Place } from './place.js';
import type { Trouble } from './trouble.js';

/** Gathers the evidence once everything has come to rest. */
export async function collect(place: Place, day: Day, { blows }: Pick<Trouble, 'blows'>): Promise<Evidence> {
  const { github } = place;
  const repositories = [...place.repositories.values()];
  const names = new Map(repositories.map(({ id, name }) => [id, name]));
  const app = github.app;
  return {
    ...(await readRecord(place, names)),
    journal: [...place.journal.entries],
    blows,
    pushes: await Promise.all(day.pushes.map((push) => readPush(place, push))),
    pulls: (await Promise.all(repositories.map(readPulls))).flat(),
    commands: day.commands.map(({ repository, number, body, comment }) => ({
      repository,
      number,
      body,
      comment: comment.id,
      reactions: comment.reactions.filter(({ user }) => user === app.bot).map(({ content }) => content),
    })),
    presses: day.presses,
    checkRuns: repositories.flatMap((repository) =>
      repository.checkRuns
        .filter(({ suite }) => suite.app === app)
        .map((run) => ({
          id: run.id,
          repository: repository.name,
          name: run.name,
          head: run.headSha,
          externalId: run.externalId,
          status: run.status,
          conclusion: run.conclusion ?? undefined,
          title: run.title ?? '',
          summary: run.summary ?? '',
          text: run.text ?? '',
          actions: run.actions.map(({ identifier }) => identifier),
        })),
    ),
    comments: repositories.flatMap((repository) =>
      [...repository.comments.values()]
        .filter((comment: Comment) => comment.app === app)
        .map(({ issue, body }) => ({ repository: repository.name, number: issue.number, body })),
    ),
    mishaps: await mishapsOf(place),
  };
}

async function readRecord(place: Place, names: Map<number, string>) {
  const time = (at: Date | null) => at?.getTime();
  const workspaces = await place.query(`select * from workspaces order by id`);
  const nameOf = new Map(workspaces.map(({ id, name }) => [id as number, name as string]));
  const runs = await place.query(`
    select r.*, r.sequence::int sequence, r.repository_id::int repository_id,
      (select coalesce(string_agg(text, '' order by attempt, sequence), '') from outputs where run_id = r.id and stage = 'apply') apply_output
    from runs r order by r.sequence`);
  const events = await place.query(`select * from run_events order by id`);
  const undone = await place.query<{ line: string }>(`
    select 'delivery ' || event || ' ' || guid || coalesce(': ' || error, '') line from deliveries where done_at is null
    union all select 'effect ' || kind || ' ' || subject || ' (' || attempts || ' attempts)' || coalesce(': ' || error, '') from outbox`);
  return {
    workspaces: workspaces.map((row) => ({
      id: row.id as number,
      name: row.name as string,
      repository: names.get(Number(row.repository_id)) ?? '',
      lockedAt: time(row.locked_at),
      heldFor: row.held_pull_request ?? undefined,
    })),
    runs: runs.map(
      (row): RunFact => ({
        id: row.id,
        sequence: row.sequence,
        workspace: nameOf.get(row.workspace_id) ?? '',
        repository: names.get(row.repository_id) ?? '',
        speculative: row.speculative,
        state: row.state,
        trigger: row.trigger,
        actor: row.actor,
        commit: row.commit_sha,
        pullRequest: row.pull_request ?? undefined,
        reviewedRun: row.reviewed_run ?? undefined,
        clearsHold: row.clears_hold,
        attempt: row.attempt,
        createdAt: row.created_at.getTime(),
        endedAt: time(row.ended_at),
        error: row.error ?? undefined,
        applyOutput: row.apply_output,
      }),
    ),
    events: events.map((row) => ({
      run: row.run_id as string,
      at: row.at.getTime() as number,
      type: row.type as string,
      state: row.state as string,
      actor: (row.actor as string | null) ?? undefined,
    })),
    stateVersions: await readStateVersions(place, nameOf),
    undone: undone.map(({ line }) => line),
  };
}

async function readStateVersions(place: Place, names: Map<number, string>): Promise<StateVersionFact[]> {
  const encryption = new Encryption(place.encryptionKey);
  const rows = await place.query(`select * from state_versions order by id`);
  return rows.map((row) => {
    const state = JSON.parse(encryption.open(`state/${row.workspace_id}`, row.state).toString()) as TerraformState;
    return {
      workspace: names.get(row.workspace_id) ?? '',
      run: row.run_id,
      serial: Number(row.serial),
      lineage: row.lineage,
      at: row.created_at.getTime(),
      resources: Object.fromEntries(
        state.resources.flatMap(({ name, instances }) =>
          instances.map(({ attributes }) => [name, attributes?.triggers_replace?.value ?? '']),
        ),
      ),
    };
  });
}

interface TerraformState {
  resources: { name: string; instances: { attributes?: { triggers_replace?: { value?: string } } }[] }[];
}

async function readPush(place: Place, { repository: name, branch, before, after, at }: Push): Promise<PushFact> {
  const repository = place.repository(name);
  const deliveries = place.github.deliveries.filter(({ event, payload, redelivery, repository: of }) => {
    return event === 'push' && !redelivery && of === repository && payload.after === after;
  });
  const files =
    before === undefined
      ? (await repository.git(['ls-tree', '-r', '--name-only', after])).split('\n')
      : await changedFiles(repository, before, after);
  return {
    repository: name,
    branch,
    after,
    at,
    workspaces: workspacesIn(files),
    content: await contentOf(repository, after),
    delivered: deliveries.every(({ statusCode }) => statusCode >= 200 && statusCode < 300),
  };
}

async function changedFiles(repository: Repository, before: string, after: string): Promise<string[]> {
  return (await repository.git(['diff', '--name-only', '--no-renames', before, after])).split('\n');
}

function workspacesIn(files: string[]): string[] {
  return [...new Set(files.filter((file) => file.endsWith('.tf')).map((file) => file.split('/')[0] ?? ''))];
}

async function contentOf(repository: Repository, sha: string): Promise<Record<string, Record<string, string>>> {
  const content: Record<string, Record<string, string>> = {};
  const lines = await repository
    .git(['grep', '-o', '-E', 'triggers_replace = "[0-9]+"', sha, '--', '*.tf'])
    .catch(() => '');
  for (const line of lines.split('\n').filter(Boolean)) {
    const match = /^[0-9a-f]+:([^/]+)\/([^/]+)\.tf:triggers_replace = "(\d+)"$/.exec(line);
    if (!match) continue;
    const [, workspace = '', resource = '', version = ''] = match;
    content[workspace] = { ...content[workspace], [resource]: version };
  }
  return content;
}

async function readPulls(repository: Repository): Promise<PullFact[]> {
  return Promise.all(
    repository.pulls().map(async (pull) => {
      const base = await repository.git(['merge-base', pull.baseSha, pull.headSha]);
      return {
        repository: repository.name,
        number: pull.issue.number,
        state: pull.merged ? ('merged' as const) : (pull.issue.state as 'open' | 'closed'),
        head: pull.headSha,
        workspaces: workspacesIn(await changedFiles(repository, base, pull.headSha)),
      };
    }),
  );
}

async function mishapsOf(place: Place): Promise<string[]> {
  const { github } = place;
  const crashes = await Promise.all(
    place.processes.map(async (each) => (await each.crashes()).map((text) => `${each.name} crashed: ${text}`)),
  );
  const givenUp = await place.query<{ line: string }>(`
    select 'a delivery was given up: ' || event || ' ' || guid || ': ' || error line from deliveries
    where done_at is not null and error is not null`);
  return [
    ...crashes.flat(),
    ...givenUp.map(({ line }) => line),
    ...github.violations.map(
      ({ request, errors }) => `GitHub's description doesn't allow ${request}: ${errors.join('; ')}`,
    ),
    ...github.reopened.map(({ name, headSha }) => `a completed check run was reopened: ${name} on ${headSha}`),
  ];
}
