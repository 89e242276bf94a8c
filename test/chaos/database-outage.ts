import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { print } from '../bench/output.js';
import { resourceFile, settingsFile, WORKSPACES } from './configuration.js';
import { readOptions } from './options.js';
import { Place } from './place.js';

/**
 * `npx tsx test/chaos/database-outage.ts [seconds] [redis|postgres]`, after `npm run build`: PostgreSQL is killed in the
 * middle of applies and comes back so much later (default 300). Fails unless the applies finish, nobody is declared lost,
 * and every state version is in the record, in order.
 */
const [given = '300', backend = 'redis'] = process.argv.slice(2);
const seconds = Number(given);
const LIMIT_MS = 10 * 60_000;

/** How long each resource takes to be made, in seconds, one after the other: the state changes before, in and after the outage. */
const TIMES = { alpha: 2, beta: 26, gamma: Math.round(seconds / 2), delta: Math.round(seconds / 2) + 30 };

async function main(place: Place): Promise<string[]> {
  await place.open();
  const { github, journal } = place;
  const applied = WORKSPACES.filter(({ autoApply }) => autoApply);
  for (const [name, repository] of place.repositories) {
    const files = applied
      .filter((workspace) => workspace.repository === name)
      .flatMap((workspace) =>
        Object.entries(TIMES).map(([resource, time], index, { [index - 1]: before }): [string, string] => {
          const text = resourceFile(workspace.name, resource, { version: 'v1', seconds: time, journal: journal.port });
          const after = before ? `\n  depends_on = [terraform_data.${before[0]}]` : '';
          return [`${workspace.name}/${resource}.tf`, text.replace('{', `{${after}`)];
        }),
      );
    const settings = { '.github/signalbox.yml': settingsFile(name) };
    await github.as('alice').push(repository, { files: { ...settings, ...Object.fromEntries(files) } });
  }
  const all = applied.length * Object.keys(TIMES).length;
  const count = (what: 'begin' | 'end') => journal.entries.filter((entry) => entry.what === what).length;
  await github.until('the first ones to be done', () => count('end') >= applied.length, 120_000);
  await place.postgres.kill();
  print(`PostgreSQL is away for ${seconds} s, in the middle of ${applied.length} applies`);
  await sleep(seconds * 1_000);
  const meanwhile = count('end') - applied.length;
  await place.postgres.restart();
  const back = Date.now();
  const unfinished = async () =>
    (await place.query<{ open: number }>('select count(*)::integer open from runs where ended_at is null'))[0]?.open;
  await github.until(
    'every run to end',
    () =>
      unfinished().then(
        (open) => open === 0,
        () => false,
      ),
    LIMIT_MS,
  );
  print(
    `${meanwhile} resources were done meanwhile; every run had ended ${Math.round((Date.now() - back) / 1_000)} s after it was back`,
  );
  return [...(await judgeRuns(place)), ...(await judgeStates(place)), ...judgeJournal(place, all)];
}

async function judgeRuns(place: Place): Promise<string[]> {
  const runs = await place.query<{ id: string; state: string; name: string }>(
    `select runs.id, state, workspaces.name from runs join workspaces on workspaces.id = workspace_id where not speculative`,
  );
  const lost = await place.query<{ name: string }>('select name from workers where lost_at is not null');
  const locked = await place.query<{ name: string }>('select name from workspaces where locked_at is not null');
  print(`runs: ${runs.map(({ name, state }) => `${name} ${state}`).join(', ')}`);
  return [
    ...runs.filter(({ state }) => state !== 'applied').map(({ id, state }) => `${id} is ${state}`),
    ...lost.map(({ name }) => `${name} was declared lost`),
    ...locked.map(({ name }) => `${name} is locked`),
  ];
}

async function judgeStates(place: Place): Promise<string[]> {
  const versions = await place.query<{ name: string; serial: number; resources: number }>(
    `select workspaces.name, serial::integer, resources from state_versions join workspaces on workspaces.id = workspace_id
     order by state_versions.id`,
  );
  return WORKSPACES.filter(({ autoApply }) => autoApply).flatMap(({ name }) => {
    const own = versions.filter((version) => version.name === name);
    print(`state versions of ${name}: ${own.map(({ serial, resources }) => `#${serial} (${resources})`).join(', ')}`);
    const inOrder = own.every(({ serial }, index) => index === 0 || serial > (own[index - 1]?.serial ?? 0));
    const complete = own.at(-1)?.resources === Object.keys(TIMES).length;
    return [
      ...(inOrder ? [] : [`the state versions of ${name} are not in order`]),
      ...(complete ? [] : [`the last state of ${name} is not complete`]),
      ...(own.length >= 3 ? [] : [`${name} has ${own.length} state versions: those of the outage are missing`]),
    ];
  });
}

function judgeJournal({ journal }: Place, all: number): string[] {
  return (['begin', 'end'] as const).flatMap((what) => {
    const entries = journal.entries.filter((entry) => entry.what === what);
    const distinct = new Set(entries.map(({ workspace, resource }) => `${workspace}/${resource}`));
    if (entries.length === all && distinct.size === all) return [];
    return [`${entries.length} resources (${distinct.size} distinct ones) ${what}, of ${all}`];
  });
}

const directory = await mkdtemp(join(tmpdir(), 'signalbox-outage-'));
const place = new Place(directory, readOptions(['--backend', backend, '--calm']));
setTimeout(() => process.exit(1), seconds * 1_000 + 2 * LIMIT_MS).unref();
const problems = await main(place).catch((error: unknown) => [String(error)]);
await place.close({ keep: problems.length > 0 });
for (const problem of problems) print(`NOT RIGHT: ${problem}`);
print(problems.length === 0 ? 'All is right.' : `What is left of it is in ${directory}`);
process.exitCode = problems.length === 0 ? 0 : 1;
